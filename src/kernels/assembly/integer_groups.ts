// Integer codes with a scale for each group of a row: twin of schemes/arithmetic/integer_scheme.ts, strategy `group`.
import {
  bits,
  bytesOfScale,
  CODES,
  chooseBatch,
  copyValues,
  encode,
  flip,
  INPUT,
  noteRange,
  SCALES,
  setCode,
  zeroPointCode,
} from './integer_grids';
import { isSearched, noteCounts, searchBatch, startGroups } from './integer_search';
import { BF16, bytesOf, F16, F32 } from './lanes';

/** Collects `count` groups from group `first` on into INPUT: halves as float32, padding and missing groups as 0. */
function gather(dtype: i32, from: usize, cols: usize, group: usize, first: usize, count: usize): void {
  const size = bytesOf(dtype);
  const blocks = (cols + group - 1) / group;
  const stored: usize = dtype == F16 ? 4 : size;
  memory.fill(INPUT, 0, 8 * group * stored);
  let row = first / blocks;
  let block = first % blocks;
  for (let done: usize = 0; done < count; ) {
    const run = min(count - done, blocks - block);
    const values = min(run * group, cols - block * group);
    const source = from + (row * cols + block * group) * size;
    const target = INPUT + done * group * stored;
    copyValues(dtype, source, values, target);
    done += run;
    block = 0;
    row++;
  }
}

/** Quantizes `batches` times eight groups that lie side by side; false where a value is not finite. */
// @ts-ignore: decorator
@inline
function encodeBatches(
  dtype: i32,
  width: i32,
  source: usize,
  batches: usize,
  group: usize,
  codes: usize,
  scales: usize,
): bool {
  const nbytes = group * bytesOf(dtype);
  const codeBytes = width == 4 ? group >> 1 : group;
  const scaleBytes = 8 * bytesOfScale();
  let from = source;
  let to = codes;
  let scaleTo = scales;
  for (let batch: usize = 0; batch < batches; batch++) {
    let at = from;
    for (let slot: usize = 0; slot < 8; slot++) {
      noteRange(dtype, at, nbytes, slot);
      at += nbytes;
    }
    if (!chooseBatch(dtype, scaleTo)) return false;
    if (isSearched()) searchBatch(dtype, from, group, scaleTo);
    for (let slot: usize = 0; slot < 8; slot++) {
      encode(dtype, width, from, group, slot, to);
      from += nbytes;
      to += codeBytes;
    }
    scaleTo += scaleBytes;
  }
  return true;
}

// One function a dtype and width: in one, the compiler would ask for the width in every turn of the inner loop.

function encodeBf16As4(source: usize, batches: usize, group: usize, codes: usize, scales: usize): bool {
  return encodeBatches(BF16, 4, source, batches, group, codes, scales);
}

function encodeBf16As8(source: usize, batches: usize, group: usize, codes: usize, scales: usize): bool {
  return encodeBatches(BF16, 8, source, batches, group, codes, scales);
}

function encodeF32As4(source: usize, batches: usize, group: usize, codes: usize, scales: usize): bool {
  return encodeBatches(F32, 4, source, batches, group, codes, scales);
}

function encodeF32As8(source: usize, batches: usize, group: usize, codes: usize, scales: usize): bool {
  return encodeBatches(F32, 8, source, batches, group, codes, scales);
}

function encodeSome(dtype: i32, source: usize, batches: usize, group: usize, codes: usize, scales: usize): bool {
  if (dtype == BF16) {
    return bits == 4
      ? encodeBf16As4(source, batches, group, codes, scales)
      : encodeBf16As8(source, batches, group, codes, scales);
  }
  return bits == 4
    ? encodeF32As4(source, batches, group, codes, scales)
    : encodeF32As8(source, batches, group, codes, scales);
}

/** Quantizes rows by groups of columns; false where a value is not finite. `zeroPoints` is 0 for symmetric codes. */
export function integerGroups(
  dtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  group: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
): bool {
  const blocks = (cols + group - 1) / group;
  const total = rows * blocks;
  const size = bytesOf(dtype);
  const width = <usize>bits;
  const codeBytes = (group * width) >> 3;
  const scaleBytes = bytesOfScale();
  const zeroPointBytes = (blocks * width + 7) >> 3;
  const padding = blocks * group - cols;
  const noteRows = zeroPoints != 0 || padding != 0;
  let row: usize = 0;
  let block: usize = 0;
  // the nibble left over at the end of a row's zero points is 8
  if (zeroPoints != 0) memory.fill(zeroPoints, <u8>(0x88 ^ flip), rows * zeroPointBytes);

  startGroups();
  let first: usize = 0;
  if (!noteRows && dtype != F16) {
    first = total & ~7;
    noteCounts(0, blocks, group, 0);
    if (!encodeSome(dtype, from, first >> 3, group, codes, scales)) return false;
  }
  for (; first < total; first += 8) {
    const count = min<usize>(8, total - first);
    const inPlace = padding == 0 && count == 8 && dtype != F16;
    if (!inPlace) gather(dtype, from, cols, group, first, count);
    const source = inPlace ? from + first * group * size : INPUT;
    const codesTo = count == 8 ? codes + first * codeBytes : CODES;
    if (isSearched()) noteCounts(first, blocks, group, padding);
    const scalesTo = count == 8 ? scales + first * scaleBytes : SCALES;
    if (!encodeSome(dtype, source, 1, group, codesTo, scalesTo)) return false;
    if (count < 8) {
      memory.copy(codes + first * codeBytes, CODES, count * codeBytes);
      memory.copy(scales + first * scaleBytes, SCALES, count * scaleBytes);
    }
    for (let slot: usize = 0; noteRows && slot < count; slot++) {
      const code = zeroPointCode(slot);
      if (zeroPoints != 0) setCode(zeroPoints + row * zeroPointBytes, block, code);
      if (++block < blocks) continue;
      // 0 * infinity is not the zero point: padding is, whatever the scale
      const end = (first + slot + 1) * group;
      for (let i = end - padding; i < end; i++) setCode(codes, i, code);
      block = 0;
      row++;
    }
  }
  return true;
}
