import { type ErrorSums, sqnrOf } from '../../core/error-sums.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import { type OpenRows, tileRows } from '../../sources/open-rows.js';
import type { ComparedRows } from './compared-rows.js';

/** What one weight of a package is off the checkpoint's, against what its scheme allows. */
export interface WeightError {
  sums: ErrorSums;
  sqnrDb: number;
  /** SQNR that the scheme must step on these very numbers. */
  floorDb: number;
  /** Greatest error of a group over the step that the group's own range asks for; null for float schemes. */
  worstGroupSteps: number | null;
  stepLimit: number;
  /** Row and column of that group. */
  worstGroup: [row: number, column: number];
}

/**
 * Floors of float schemes in dB: with m bits of mantissa the relative error is uniform in 2^-(m+1), so that the noise
 * is 10.8 + 6.02 m dB down; 10 dB are left for values below the normal range. The 4-bit ones are what normal values
 * give (20 dB) less 8.
 */
const FLOAT_FLOORS: Record<string, number> = {
  // Sums such as 1 + w, undone in float32, keep 80 dB of small w.
  f32: 80,
  f16: 60,
  bf16: 42,
  fp8_e4m3: 19,
  fp8_e5m2: 13,
  nf4: 12,
  mxfp4: 10,
  nvfp4: 12,
};

/** Noise over that of uniform errors within a step: clipping and float16 scales cost some, a wrong grid far more. */
const NOISE_LIMIT_DB = 9;

/** ONNX Runtime's symmetric grid clips the side away from its extreme by up to one step; searched grids clip more. */
const STEP_LIMITS = { rtn: 1.1, searched: 4.5 };

/** Compares two weights of one shape, tile by tile in `memory`. `groups` false where groups do not run along these rows. */
export async function measureWeight(
  reference: OpenRows,
  actual: OpenRows,
  scheme: QuantizationArgs & { scheme: string },
  groups: boolean,
  memory: ComparedRows,
): Promise<WeightError> {
  const { rows, cols } = reference;
  const bits = /^int(\d)$/.exec(scheme.scheme)?.[1];
  const grid = bits !== undefined && groups ? new GroupErrors(scheme, Number(bits), cols) : undefined;
  const step = Math.min(rows, tileRows(cols, Math.max(reference.quantum, actual.quantum)));
  const tiles = memory.start(step * cols);
  for (let from = 0; from < rows; from += step) {
    const count = Math.min(step, rows - from);
    const [a, b] = [tiles.reference, tiles.actual].map((tile) => tile.subarray(0, count * cols));
    reference.readFloat32(from, count, a);
    actual.readFloat32(from, count, b);
    memory.add(a, b, cols);
    grid?.add(memory.ranges(a, b, cols, grid.size), from);
  }
  const sums = memory.sums();
  const expected = grid && grid.noise > 0 ? 10 * Math.log10(sums.signal / grid.noise) - NOISE_LIMIT_DB : undefined;
  return {
    sums,
    sqnrDb: sqnrOf(sums),
    floorDb: expected ?? FLOAT_FLOORS[scheme.scheme] ?? (bits === undefined ? 10 : 6 * Number(bits) - 14),
    worstGroupSteps: grid?.worst ?? null,
    stepLimit: scheme.algorithm === 'rtn' ? STEP_LIMITS.rtn : STEP_LIMITS.searched,
    worstGroup: grid?.place ?? [0, 0],
  };
}

/** The integer grid that each group's own range asks for: one error of its step for all values is the yardstick. */
class GroupErrors {
  /** Sum of step^2 / 12 over all values. */
  noise = 0;
  worst = 0;
  place: [number, number] = [0, 0];
  /** Columns of a group. */
  readonly size: number;
  readonly #levels: number;

  constructor(
    readonly scheme: QuantizationArgs,
    bits: number,
    readonly cols: number,
  ) {
    this.#levels = 2 ** bits;
    this.size = scheme.strategy === 'group' ? (scheme.group_size ?? cols) : cols;
  }

  /** `ranges` has the least and the greatest value and the greatest error of each group of rows from `firstRow` on. */
  add(ranges: Float32Array, firstRow: number): void {
    const groups = Math.ceil(this.cols / this.size);
    for (let i = 0; 3 * i < ranges.length; i++) {
      const column = (i % groups) * this.size;
      const [low, high, error] = [ranges[3 * i], ranges[3 * i + 1], ranges[3 * i + 2]];
      const step = this.scheme.symmetric
        ? Math.max(high, -low) / (this.#levels / 2)
        : (high - low) / (this.#levels - 1);
      this.noise += (Math.min(this.size, this.cols - column) * step * step) / 12;
      const steps = error === 0 ? 0 : error / step;
      if (steps <= this.worst || Number.isNaN(this.worst)) continue;
      this.worst = steps;
      this.place = [firstRow + Math.floor(i / groups), column];
    }
  }
}
