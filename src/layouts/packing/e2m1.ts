import { f8e4m3ToFloat32, f8e8m0ToFloat32 } from '../../core/dtype.js';
import { E2M1_VALUES } from '../../schemes/arithmetic/group_scaled_float.js';

const tableOf = (value: (code: number) => number) => Float32Array.from({ length: 256 }, (_, code) => value(code));

/** Float32 of each code of 8 bits. */
export const E4M3_TABLE = tableOf(f8e4m3ToFloat32);
export const E8M0_TABLE = tableOf(f8e8m0ToFloat32);

/** E2M1 codes, even columns in low nibbles, with a scale from `table` for a group of columns, divided by `divisor`. */
export interface E2m1Rows {
  codes: Uint8Array;
  scales: Uint8Array;
  table: Float32Array;
  divisor: number;
  group: number;
}

/** E2M1(code) * (scale / divisor), float32 [count, cols]; cols is even. */
export function e2m1Values(
  { codes, scales, table, divisor, group }: E2m1Rows,
  count: number,
  cols: number,
  out: Float32Array,
): void {
  const groups = Math.ceil(cols / group);
  for (let row = 0; row < count; row++) {
    for (let index = 0; index < groups; index++) {
      const scale = Math.fround(table[scales[row * groups + index]] / divisor);
      const end = row * cols + Math.min(cols, (index + 1) * group);
      for (let i = row * cols + index * group; i < end; i += 2) {
        const byte = codes[i >> 1];
        out[i] = E2M1_VALUES[byte & 15] * scale;
        out[i + 1] = E2M1_VALUES[byte >> 4] * scale;
      }
    }
  }
}
