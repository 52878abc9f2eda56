import type { Check } from '../../core/verify-report.js';
import type { Package } from '../../formats/package-reader.js';
import { probePrediction } from '../../runtime/prediction-probe.js';
import { DRAFT_FILE, HIDDEN_STATES } from '../../runtime/speculate.js';
import { engineOn } from '../referees/engine-on-weights.js';
import type { Prediction } from '../subject/prediction-graph.js';
import { short } from '../verdict/short-number.js';
import { TOLERANCE } from '../verdict/tolerance.js';
import { StructureDifference } from './structure-difference.js';

/** Ids that the predictions are looked at on. */
const IDS = 64;

/**
 * Whether the graph computes what its own weights say for the hidden states that the package's model gives: within 2e-4
 * without rounded activations, at once and through its cache.
 */
export async function checkPrediction(
  opened: Package,
  { graph, weights }: Prediction,
  sequence: readonly number[],
  settings: { threads?: number | undefined; signal?: AbortSignal | undefined },
): Promise<Check[]> {
  const ids = sequence.slice(0, IDS);
  if (ids.length < 3) return [];
  const found = await probePrediction(opened, ids, settings);
  const engine = engineOn(graph, (files, room) => weights.lookup(files, room), settings);
  const structure = new StructureDifference({ isExact: true, relative: 0, reason: '' });
  try {
    const { logits: expected } = await engine.run([ids.slice(1)], {
      inputs: { [HIDDEN_STATES]: found.states },
      onRoutingMargin: (margin) => structure.decide(margin, 0),
    });
    for (const logits of [found.logits.prefill, found.logits.decode]) {
      for (let at = 0; at + 1 < ids.length; at++) {
        const [from, end] = [at * found.vocabulary, (at + 1) * found.vocabulary];
        structure.add(0, at, at, expected.subarray(from, end), logits.subarray(from, end));
      }
    }
  } finally {
    await engine.close();
  }
  const check = structure.check(DRAFT_FILE);
  const message =
    `${DRAFT_FILE}: for the model's own hidden states its logits, computed in float32 without rounded activations, are ` +
    `${short(check.measured ?? Number.NaN)} off what its own weights give in full precision (at most ${TOLERANCE}).`;
  return [{ ...check, id: `structure ${DRAFT_FILE} in float32`, message }];
}
