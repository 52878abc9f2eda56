// Integer codes with a scale for each row: twin of schemes/arithmetic/integer_scheme.ts, strategy `channel`.
import {
  bits,
  bytesOfScale,
  CODES,
  chooseBatch,
  copyValues,
  encode,
  HIGHS,
  INPUT,
  LOWS,
  noteRange,
  SCALES,
  setCode,
  zeroPointCode,
} from './integer_grids';
import { finishRow, isSearched, searchPiece, startRow, weighPiece } from './integer_search';
import { BF16, bytesOf, F16, F32 } from './lanes';

/** Collects up to 2048 values into INPUT, with zeros up to a multiple of 16; the number of values with them. */
function gatherPiece(dtype: i32, source: usize, count: usize): usize {
  const padded = (count + 15) & ~15;
  const size = bytesOf(dtype == F16 ? F32 : dtype);
  memory.fill(INPUT, 0, padded * size);
  copyValues(dtype, source, count, INPUT);
  return padded;
}

/** Takes `count` values (a multiple of 16) into the range of slot 0. */
function widenRange(dtype: i32, from: usize, count: usize): void {
  if (dtype == BF16) {
    noteRange(BF16, from, count * 2, 1);
    v128.store(HIGHS, i16x8.max_s(v128.load(HIGHS), v128.load(HIGHS, 16)));
    v128.store(LOWS, i16x8.max_u(v128.load(LOWS), v128.load(LOWS, 16)));
  } else {
    noteRange(F32, from, count * 4, 1);
    v128.store(HIGHS, i32x4.max_s(v128.load(HIGHS), v128.load(HIGHS, 16)));
    v128.store(LOWS, i32x4.max_u(v128.load(LOWS), v128.load(LOWS, 16)));
  }
}

function encodePiece(dtype: i32, from: usize, count: usize, codes: usize): void {
  if (dtype == BF16) {
    if (bits == 4) encode(BF16, 4, from, count, 0, codes);
    else encode(BF16, 8, from, count, 0, codes);
  } else if (bits == 4) encode(F32, 4, from, count, 0, codes);
  else encode(F32, 8, from, count, 0, codes);
}

/** How many of `count` values from a place on are worked on where they stand; 0 where they must be gathered first. */
// @ts-ignore: decorator
@inline
function inPlaceCount(dtype: i32, count: usize): usize {
  return dtype == F16 ? 0 : count & ~15;
}

/** Scale and zero point of a row of `cols` values, in slot 0; false where one is not finite. */
function chooseRow(dtype: i32, from: usize, cols: usize): bool {
  memory.fill(HIGHS, 0, 128);
  memory.fill(LOWS, 0, 128);
  const kind = dtype == BF16 ? BF16 : F32;
  for (let done: usize = 0; done < cols; ) {
    const source = from + done * bytesOf(dtype);
    const inPlace = inPlaceCount(dtype, cols - done);
    const count = inPlace != 0 ? inPlace : min<usize>(2048, cols - done);
    if (inPlace != 0) widenRange(kind, source, count);
    else widenRange(kind, INPUT, gatherPiece(dtype, source, count));
    done += count;
  }
  return dtype == BF16 ? chooseBatch(BF16, SCALES) : chooseBatch(F32, SCALES);
}

/** Searches the grid of a row, whose plain one is in slot 0. */
function searchRow(dtype: i32, from: usize, cols: usize): void {
  startRow();
  for (let pass = 0; pass < 2; pass++) {
    for (let done: usize = 0; done < cols; ) {
      const inPlace = inPlaceCount(dtype, cols - done);
      const count = inPlace != 0 ? inPlace : min<usize>(2048, cols - done);
      const source = from + done * bytesOf(dtype);
      const padded = inPlace != 0 ? inPlace : gatherPiece(dtype, source, count);
      const at = inPlace != 0 ? source : INPUT;
      const kind = dtype == BF16 ? BF16 : F32;
      if (pass == 0) weighPiece(kind, at, padded);
      else searchPiece(kind, at, padded, cols);
      done += count;
    }
  }
  finishRow(SCALES);
}

/** Codes of a row on the grid of slot 0, from code `index` of a part packed over all rows on. */
function encodeRow(dtype: i32, from: usize, cols: usize, codes: usize, index: usize): void {
  const kind = dtype == BF16 ? BF16 : F32;
  for (let done: usize = 0; done < cols; ) {
    const source = from + done * bytesOf(dtype);
    const to = codes + (bits == 4 ? (index + done) >> 1 : index + done);
    if (bits == 4 && ((index + done) & 1) != 0) {
      // the row before ended in the middle of this byte
      encodePiece(kind, INPUT, gatherPiece(dtype, source, 1), CODES);
      store<u8>(to, (load<u8>(to) & 15) | (load<u8>(CODES) << 4));
      done++;
      continue;
    }
    const inPlace = inPlaceCount(dtype, cols - done);
    const count = inPlace != 0 ? inPlace : min<usize>(2048, cols - done);
    if (inPlace != 0) {
      encodePiece(kind, source, count, to);
    } else {
      encodePiece(kind, INPUT, gatherPiece(dtype, source, count), CODES);
      memory.copy(to, CODES, (count * bits) >> 3);
      if (bits == 4 && (count & 1) != 0) store<u8>(to + (count >> 1), load<u8>(CODES + (count >> 1)) & 15);
    }
    done += count;
  }
}

/** Quantizes rows that have one scale each, codes packed over all rows; false where a value is not finite. */
export function integerRows(
  dtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
): bool {
  const scaleBytes = bytesOfScale();
  if (zeroPoints != 0) memory.fill(zeroPoints, 0, (rows * <usize>bits + 7) >> 3);
  for (let row: usize = 0; row < rows; row++) {
    const source = from + row * cols * bytesOf(dtype);
    if (!chooseRow(dtype, source, cols)) return false;
    if (isSearched()) searchRow(dtype, source, cols);
    memory.copy(scales + row * scaleBytes, SCALES, scaleBytes);
    if (zeroPoints != 0) setCode(zeroPoints, row, zeroPointCode(0));
    encodeRow(dtype, source, cols, codes, row * cols);
  }
  return true;
}
