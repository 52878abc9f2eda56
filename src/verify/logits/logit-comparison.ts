import type { Metric } from '../../core/metric.js';
import type { Comparison, Disagreement, MetricValue } from '../../core/verify-report.js';
import { bootstrapInterval } from '../../metrics/math/bootstrap.js';
import { klDivergence } from '../../metrics/math/divergence.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';
import { logSumExp, totalsOf } from '../../metrics/math/log-softmax.js';
import { greatest } from '../../metrics/math/ranking.js';
import { find, ids } from '../../registry.js';

/** Positions drawn together by the bootstrap: neighbours of a text depend on each other. */
const BLOCK = 16;

const DISAGREEMENTS = 40;

/** Two logits of the reference this close may change places by float32's rounding alone. */
const NEAR_TIE = 4e-4;

export type TokenText = (id: number) => string | null;

export type PositionMetrics = Map<string, PositionMetric>;

type PositionMetric = Metric & Required<Pick<Metric, 'position' | 'summary'>>;

/** Every registered metric that has a value at each position, by id. */
export async function positionMetrics(): Promise<PositionMetrics> {
  const metrics: PositionMetrics = new Map();
  for (const id of ids('metrics')) {
    const metric = await find('metrics', id);
    if (metric?.position && metric.summary) metrics.set(id, metric as PositionMetric);
  }
  return metrics;
}

/** 95 % interval of a summary over positions; fewer resamples for long texts, whose intervals are narrow anyway. */
export function intervalOf(values: Float64Array, summary: (values: Float64Array) => number) {
  return bootstrapInterval(values, summary, { block: BLOCK, resamples: values.length > 4096 ? 200 : 500 });
}

/** Collects what two runs say about the same token ids, row of logits by row, and sums it up. */
export class LogitComparison {
  readonly #values = new Map<PositionMetric['position'], number[]>();
  readonly #kl: number[] = [];
  readonly #lengths: number[] = [];
  readonly #error = new ErrorSums();
  readonly #differing: number[] = [];
  #disagreements: Disagreement[] = [];
  /** Sum over positions of what a reduced reference leaves open. */
  #klBound = 0;
  /** Positions whose best tokens differ where the reference's own best two are as good as equal. */
  #ties = 0;

  constructor(
    readonly set: string,
    readonly referee: Comparison['referee'],
    readonly metrics: PositionMetrics,
    readonly textOf: TokenText,
  ) {}

  /**
   * Adds the logits [vocabulary] of both runs at a position of a sequence; position 0 begins the next sequence.
   * `klBound` is by how much the divergence may be larger than these rows say.
   */
  add(sequence: readonly number[], position: number, reference: Float32Array, actual: Float32Array, klBound = 0): void {
    if (position === 0) this.#lengths.push(sequence.length);
    const next = sequence[position + 1];
    this.#addRow(reference, actual, next ?? -1);
    this.#klBound += klBound;
    const [theirs, ours] = [greatest(reference, 3), greatest(actual, 3)];
    if (theirs[0] === ours[0]) return;
    this.#differing.push(this.#kl.length - 1);
    if (reference[theirs[0]] - reference[ours[0]] <= NEAR_TIE) this.#ties++;
    const token = (each: number) => ({ id: each, text: this.textOf(each) });
    this.#keep({
      sequence: this.#lengths.length - 1,
      position,
      token: token(sequence[position]),
      next: next === undefined ? null : token(next),
      kl: this.#kl[this.#kl.length - 1],
      reference: this.#candidates(reference, theirs),
      actual: this.#candidates(actual, ours),
    });
  }

  #addRow(reference: Float32Array, actual: Float32Array, target: number): void {
    const totals = totalsOf(reference, actual);
    const done = new Map<PositionMetric['position'], number>();
    for (const { position, over } of this.metrics.values()) {
      if (done.has(position) || (over === 'targets' && target < 0)) continue;
      const value = position(reference, actual, target, totals);
      done.set(position, value);
      const values = this.#values.get(position) ?? [];
      this.#values.set(position, values);
      values.push(value);
    }
    this.#kl.push(done.get(klDivergence) ?? klDivergence(reference, actual, target, totals));
    this.#error.add(reference, actual);
  }

  #candidates(row: Float32Array, best: number[]) {
    const total = logSumExp(row);
    return best.map((id) => ({ id, text: this.textOf(id), probability: Math.exp(row[id] - total) }));
  }

  #keep(found: Disagreement): void {
    this.#disagreements.push(found);
    if (this.#disagreements.length < 4 * DISAGREEMENTS) return;
    this.#disagreements = worst(this.#disagreements);
  }

  finish(): Comparison {
    const metrics: MetricValue[] = [...this.metrics].flatMap(([id, { position, summary, unit, better }]) => {
      const values = Float64Array.from(this.#values.get(position) ?? []);
      if (values.length === 0) return [];
      return [{ id, value: summary(values), interval: intervalOf(values, summary), unit, better }];
    });
    return {
      set: this.set,
      referee: this.referee,
      sequences: this.#lengths.length,
      tokens: this.#kl.length,
      metrics,
      kl: this.#kl,
      lengths: this.#lengths,
      relativeError: Math.sqrt(this.#error.noise / this.#error.signal),
      disagreements: worst(this.#disagreements),
      differing: this.#differing,
      ...(this.#klBound > 0 ? { klBound: this.#klBound / this.#kl.length } : {}),
      ...(this.#ties > 0 ? { ties: this.#ties } : {}),
    };
  }
}

const worst = (found: Disagreement[]) => [...found].sort((a, b) => b.kl - a.kl).slice(0, DISAGREEMENTS);

/** A metric's value in a comparison; NaN where it was not measured. */
export const metricOf = (comparison: Comparison, id: string): number =>
  comparison.metrics.find((each) => each.id === id)?.value ?? Number.NaN;
