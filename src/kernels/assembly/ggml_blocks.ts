// Rows in ggml's blocks: twin of schemes/ggml/block_scheme.ts.
import { allFinite } from './floats';
import { Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q8_0 } from './ggml_formats';
import { VALUES } from './ggml_search';
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from './ggml_simple_blocks';
import { encodeQ6_K, encodeWithMinimum } from './ggml_super_blocks';
import { bytesOf, F16, F32 } from './lanes';
import { widenBrains, widenHalves } from './widen';

/** Bytes of a block of each. */
const BLOCK_BYTES: usize = memory.data<u8>([18, 20, 22, 24, 34, 144, 176, 210]);

/** Place among all values, and size, of the value that made a scale overflow. */
let refusedPlace: usize = 0;
let refusedSize: f32 = 0;
export function refusedIndex(): usize {
  return refusedPlace;
}
export function refusedValue(): f32 {
  return refusedSize;
}

// @ts-ignore: decorator
@inline
function value(i: usize): f32 {
  return load<f32>(VALUES + 4 * i);
}

function encode(format: i32, to: usize): bool {
  if (format == Q4_0) return encodeQ4_0(to);
  if (format == Q4_1) return encodeQ4_1(to);
  if (format == Q5_0) return encodeQ5_0(to);
  if (format == Q5_1) return encodeQ5_1(to);
  if (format == Q8_0) return encodeQ8_0(to);
  if (format == Q4_K) return encodeWithMinimum(to, 15, -1, 20);
  if (format == Q5_K) return encodeWithMinimum(to, 31, -0.5, 15);
  return encodeQ6_K(to);
}

/** Makes `count` stored values float32 in VALUES, zeros after them up to a block. */
function load32(dtype: i32, from: usize, count: usize, block: usize): void {
  if (count < block) memory.fill(VALUES, 0, 4 * block);
  if (dtype == F32) memory.copy(VALUES, from, 4 * count);
  else if (dtype == F16) widenHalves(from, count, VALUES);
  else widenBrains(from, count, VALUES);
}

/** Quantizes rows in blocks: 1 done, 0 a value is not finite, 2 a scale overflows at `refusedIndex`. */
export function ggmlBlocks(format: i32, dtype: i32, from: usize, rows: usize, cols: usize, out: usize): i32 {
  if (!allFinite(dtype, from, rows * cols)) return 0;
  const block: usize = format <= Q8_0 ? 32 : 256;
  const nbytes = <usize>load<u8>(BLOCK_BYTES + format);
  const size = bytesOf(dtype);
  let to = out;
  for (let row: usize = 0; row < rows; row++) {
    for (let col: usize = 0; col < cols; col += block) {
      const count = min(block, cols - col);
      load32(dtype, from + (row * cols + col) * size, count, block);
      if (!encode(format, to)) {
        let worst: usize = 0;
        for (let i: usize = 1; i < count; i++) if (abs(value(i)) > abs(value(worst))) worst = i;
        refusedPlace = row * cols + col + worst;
        refusedSize = value(worst);
        return 2;
      }
      to += nbytes;
    }
  }
  return 1;
}
