import { UsageError } from '../../core/errors.js';
import { NonFiniteWeight, type QuantizationArgs, type Scheme } from '../../core/scheme.js';

const f32 = Math.fround;

/** The values of E2M1 by code: a sign, two bits of exponent, one of mantissa (OCP Microscaling Formats, 5.3.3). */
export const E2M1_VALUES = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6);
export const E2M1_LARGEST = 6;

/**
 * Code of E2M1: to nearest, ties to the even code, saturating at 6. What rounds to 0 keeps its sign, -0 does not
 * (compressed-tensors, cast_to_fp4).
 */
export function float32ToE2m1(x: number): number {
  const a = Math.abs(x);
  const sign = x < 0 ? 8 : 0;
  if (a <= 1.25) return sign | (a <= 0.25 ? 0 : a < 0.75 ? 1 : 2);
  if (a <= 2.5) return sign | (a < 1.75 ? 3 : 4);
  return sign | (a < 3.5 ? 5 : a <= 5 ? 6 : 7);
}

/** The scale of one group as it is stored, and the float32 that its codes are multiplied by. */
export interface GroupScale {
  code: number;
  multiplier: number;
}

/** How a format of E2M1 codes scales its groups. */
export interface GroupScaling {
  group: number;
  scaleDtype: 'F8_E8M0' | 'F8_E4M3';
  /** Whether one float32 for the tensor scales the scales: part `global_scale`, which they are divided by. */
  global: boolean;
  /** The tensor's divisor from its greatest magnitude; 1 where there is none. */
  globalScale(amax: number): number;
  /** The usual scale of a group from its greatest magnitude. */
  scaleOf(amax: number, globalScale: number): GroupScale;
  /** Multiplier of a stored scale. */
  multiplier(code: number, globalScale: number): number;
  /** Stored scales that a search over the group's squared error tries beside `usual`. */
  candidates(usual: number): number[];
  /** The square of what a unit of a scale's codes is worth, in proportion to that of the others. */
  unit(code: number, usual: number): number;
}

/** Squares of what rounding takes from a group, in units of its codes: pairs of values go to four sums in turn. */
function squaredError(values: Float32Array, from: number, end: number, multiplier: number): number {
  const sums = new Float32Array(4);
  for (let i = from; i < end; i++) {
    const x = f32(values[i] / multiplier);
    const rest = f32(x - E2M1_VALUES[float32ToE2m1(x)]);
    sums[((i - from) >> 1) & 3] += f32(rest * rest);
  }
  return f32(f32(sums[0] + sums[1]) + f32(sums[2] + sums[3]));
}

/**
 * E2M1 codes with a scale of one byte for each group of a row.
 *
 * Parts: codes uint8 [rows, ceil(cols / 2)], even columns in low nibbles, a missing last one 0; scales
 * [rows, ceil(cols / group)]; where the format has one, global_scale float32 [1]. value = E2M1(code) * multiplier.
 * `rtn` takes the usual scale, `mse` the one of its neighbours with the least squared error, the usual one of
 * equals, otherwise the larger; errors are float32.
 */
export function groupScaledFloat(id: string, scaling: GroupScaling): Scheme {
  const { group } = scaling;
  const sizes = (cols: number) => ({ codeBytes: Math.ceil(cols / 2), groups: Math.ceil(cols / group) });

  function bestScale(values: Float32Array, from: number, end: number, usual: GroupScale, globalScale: number) {
    let best = usual;
    let least = f32(squaredError(values, from, end, usual.multiplier) * scaling.unit(usual.code, usual.code));
    for (const code of scaling.candidates(usual.code)) {
      const multiplier = scaling.multiplier(code, globalScale);
      const error = f32(squaredError(values, from, end, multiplier) * scaling.unit(code, usual.code));
      if (error < least) {
        least = error;
        best = { code, multiplier };
      }
    }
    return best;
  }

  return {
    numBits: 4,
    type: 'float',
    defaults: {
      scheme: id,
      strategy: 'group',
      group_size: group,
      symmetric: true,
      scale_dtype: scaling.scaleDtype,
      algorithm: 'rtn',
    },

    check(args: QuantizationArgs) {
      if (!args.symmetric) throw new UsageError(`${id} has no zero points; --asymmetric does not apply to it.`);
      if (args.strategy !== 'group' || args.group_size !== group) {
        throw new UsageError(`${id} has groups of ${group} columns only.`, `--group-size ${group}.`);
      }
      if (args.algorithm !== 'rtn' && args.algorithm !== 'mse') {
        throw new UsageError(`--algorithm ${args.algorithm}: ${id} has rtn, mse.`, '--algorithm rtn.');
      }
      if (args.scale_dtype !== scaling.scaleDtype) {
        throw new UsageError(`${id} stores its scales as ${scaling.scaleDtype}, not ${args.scale_dtype}.`);
      }
    },

    rowQuantum: ({ amax }) => (scaling.global && amax === undefined ? Number.POSITIVE_INFINITY : 1),

    layout(rows, cols) {
      const { codeBytes, groups } = sizes(cols);
      return {
        codes: { dtype: 'UINT8', shape: [rows, codeBytes], nbytes: rows * codeBytes },
        scales: {
          dtype: scaling.scaleDtype === 'F8_E8M0' ? 'FLOAT8E8M0' : 'FLOAT8E4M3FN',
          shape: [rows, groups],
          nbytes: rows * groups,
        },
        ...(scaling.global ? { global_scale: { dtype: 'FLOAT', shape: [1], nbytes: 4, fixed: true } } : {}),
      };
    },

    quantize(values, cols, args, out) {
      const { codeBytes, groups } = sizes(cols);
      let amax = 0;
      for (let i = 0; i < values.length; i++) {
        const magnitude = Math.abs(values[i]);
        if (!(magnitude < Number.POSITIVE_INFINITY)) {
          throw new NonFiniteWeight(Math.floor(i / cols), i % cols, values[i]);
        }
        if (magnitude > amax) amax = magnitude;
      }
      const globalScale = scaling.globalScale(args.amax ?? amax);
      if (scaling.global) viewOf(out.global_scale).setFloat32(0, globalScale, true);
      out.codes.fill(0);
      for (let row = 0; row * cols < values.length; row++) {
        for (let index = 0; index < groups; index++) {
          const from = row * cols + index * group;
          const end = row * cols + Math.min(cols, (index + 1) * group);
          let greatest = 0;
          for (let i = from; i < end; i++) greatest = Math.max(greatest, Math.abs(values[i]));
          const usual = scaling.scaleOf(greatest, globalScale);
          const chosen = args.algorithm === 'mse' ? bestScale(values, from, end, usual, globalScale) : usual;
          out.scales[row * groups + index] = chosen.code;
          for (let i = from; i < end; i++) {
            const column = i - row * cols;
            const code = float32ToE2m1(f32(values[i] / chosen.multiplier));
            out.codes[row * codeBytes + (column >> 1)] |= code << ((column & 1) * 4);
          }
        }
      }
    },

    dequantize(packed, rows, cols, _args, out) {
      const { codeBytes, groups } = sizes(cols);
      const globalScale = scaling.global ? viewOf(packed.global_scale).getFloat32(0, true) : 1;
      const multipliers = Float32Array.from({ length: 256 }, (_, code) => scaling.multiplier(code, globalScale));
      for (let row = 0; row < rows; row++) {
        for (let index = 0; index < groups; index++) {
          const multiplier = multipliers[packed.scales[row * groups + index]];
          const end = Math.min(cols, (index + 1) * group);
          for (let column = index * group; column < end; column++) {
            const code = (packed.codes[row * codeBytes + (column >> 1)] >> ((column & 1) * 4)) & 15;
            out[row * cols + column] = f32(E2M1_VALUES[code] * multiplier);
          }
        }
      }
    },
  };
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
