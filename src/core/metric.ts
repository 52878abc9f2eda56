/** Log sum exp of two rows of logits, which a vocabulary of 150,000 makes dear. */
export interface LogTotals {
  reference: number;
  actual: number;
}

/**
 * One number that compares a reference and an actual run: logits [positions, vocabulary], or weights [rows, cols],
 * row-major float32.
 */
export interface Metric {
  unit: string;
  better: 'lower' | 'higher';
  /** What it compares: logits, logits against the ids that follow them (`targets`), or weights. */
  over: 'logits' | 'targets' | 'weights';
  /** `targets` holds the id that follows each position, -1 where none does; needed if `over` says so. */
  measure(reference: Float32Array, actual: Float32Array, vocabulary: number, targets?: ArrayLike<number>): number;
  /**
   * The value at one position from its two rows of logits, for streams, plots and bootstrap; metrics that share the
   * function share its values. `totals` are log sum exp of both rows, where the caller has them for several metrics.
   * `summary` makes the metric of all positions' values. Absent for weights.
   */
  position?(reference: Float32Array, actual: Float32Array, target: number, totals?: LogTotals): number;
  summary?(values: Float64Array): number;
}
