import type { GreedyResult } from '../../core/verify-report.js';
import { greatest } from '../../metrics/math/ranking.js';
import { continueText } from '../../runtime/continue-text.js';
import type { Decoder } from '../../runtime/decoder.js';
import type { Engine } from '../referees/engine-on-weights.js';
import { DECODED_TOKENS } from './decode-difference.js';

const PROMPT_TOKENS = 32;

const NEW_TOKENS = 16;

/**
 * A greedy continuation by the package beside the reference's. One evaluation of prompt and continuation tells at which
 * new token the reference would have gone another way: up to there both have read the same.
 */
export async function greedyByEngine(
  decoder: Decoder,
  reference: Engine,
  ids: readonly number[],
  signal?: AbortSignal | undefined,
): Promise<GreedyResult | null> {
  const room = Math.min(decoder.contextLength, DECODED_TOKENS) - NEW_TOKENS;
  const prompt = ids.slice(0, Math.min(PROMPT_TOKENS, room));
  if (prompt.length === 0) return null;
  const gaps: number[] = [];
  const { ids: actual } = await continueText(decoder, prompt, {
    sampler: (logits) => {
      const [first, second] = greatest(logits, 2);
      gaps.push(second === undefined ? Number.POSITIVE_INFINITY : logits[first] - logits[second]);
      return first ?? 0;
    },
    maxNewTokens: NEW_TOKENS,
    stopIds: [],
    signal,
  });
  const expected: number[] = [];
  await reference.run([[...prompt, ...actual.slice(0, -1)]], {
    onLogits: (_sequence, position, row) => {
      if (position >= prompt.length - 1) expected.push(greatest(row, 1)[0] ?? 0);
    },
  });
  const at = expected.findIndex((id, index) => actual[index] !== id);
  return {
    tokens: actual.length,
    equalTokens: at < 0 ? actual.length : at,
    firstDivergence: at < 0 ? null : at,
    // Beyond the first that differs the reference has read what it would not have said.
    expected: at < 0 ? expected : expected.slice(0, at + 1),
    actual,
    gap: at < 0 ? null : (gaps[at] ?? null),
  };
}

/** Continues a prompt greedily, past any end-of-text id, and compares with the tokens expected. */
export async function compareGreedy(
  decoder: Decoder,
  { prompt, generated }: { prompt: number[]; generated: number[] },
  signal?: AbortSignal | undefined,
): Promise<GreedyResult> {
  const gaps: number[] = [];
  const { ids } = await continueText(decoder, prompt, {
    sampler: (logits) => {
      const [first, second] = greatest(logits, 2);
      gaps.push(second === undefined ? Number.POSITIVE_INFINITY : logits[first] - logits[second]);
      return first ?? 0;
    },
    maxNewTokens: generated.length,
    stopIds: [],
    signal,
  });
  const at = generated.findIndex((id, index) => ids[index] !== id);
  return {
    tokens: generated.length,
    equalTokens: at < 0 ? generated.length : at,
    firstDivergence: at < 0 ? null : at,
    expected: generated,
    actual: ids,
    gap: at < 0 ? null : (gaps[at] ?? null),
  };
}
