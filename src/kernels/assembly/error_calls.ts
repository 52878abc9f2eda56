// Calls of the error sums: one function for each format of codes and dtype of weights.
import { BRAIN, E4M3, E5M2, HALF, INT4, INT8 } from './error_grids';
import { measureRow } from './errors';
import { BF16, bytesOf, F16, F32 } from './lanes';

/** What one call measures. */
let theFrom: usize = 0;
let theRows: usize = 0;
let theCols: usize = 0;
let theGroupRows: usize = 0;
let theGroupCols: usize = 0;
let theCodes: usize = 0;
let theRowBytes: usize = 0;
let theScales: usize = 0;
let theZeroPoints: usize = 0;
let theZeroStride: usize = 0;
let theFirstRow: usize = 0;
let theStride: usize = 0;
let theState: usize = 0;

// @ts-ignore: decorator
@inline
function measureAll(format: i32, dtype: i32): void {
  const cols = theCols;
  const groupCols = theGroupCols;
  const across = (cols + groupCols - 1) / groupCols;
  for (let row: usize = 0; row < theRows; row++) {
    const source = theFrom + row * cols * bytesOf(dtype);
    const index = (row / theGroupRows) * across;
    const isSampled = (theFirstRow + row) % theStride == 0;
    const codes = theCodes + row * theRowBytes;
    const zeroIndex = row * theZeroStride;
    measureRow(format, dtype, source, cols, groupCols, codes, theScales, index, theZeroPoints, zeroIndex, isSampled, theState);
  }
}

// A function each: V8 optimizes a whole function once it is hot, and needs only one of these at a time.

function int4OfBrains(): void {
  measureAll(INT4, BF16);
}

function int4OfHalves(): void {
  measureAll(INT4, F16);
}

function int4OfFloats(): void {
  measureAll(INT4, F32);
}

function int8OfBrains(): void {
  measureAll(INT8, BF16);
}

function int8OfHalves(): void {
  measureAll(INT8, F16);
}

function int8OfFloats(): void {
  measureAll(INT8, F32);
}

function e4m3OfBrains(): void {
  measureAll(E4M3, BF16);
}

function e4m3OfHalves(): void {
  measureAll(E4M3, F16);
}

function e4m3OfFloats(): void {
  measureAll(E4M3, F32);
}

function e5m2OfBrains(): void {
  measureAll(E5M2, BF16);
}

function e5m2OfHalves(): void {
  measureAll(E5M2, F16);
}

function e5m2OfFloats(): void {
  measureAll(E5M2, F32);
}

function halfOfBrains(): void {
  measureAll(HALF, BF16);
}

function halfOfHalves(): void {
  measureAll(HALF, F16);
}

function halfOfFloats(): void {
  measureAll(HALF, F32);
}

function brainOfBrains(): void {
  measureAll(BRAIN, BF16);
}

function brainOfHalves(): void {
  measureAll(BRAIN, F16);
}

function brainOfFloats(): void {
  measureAll(BRAIN, F32);
}


// @ts-ignore: decorator
@inline
function int4Rows(dtype: i32): void {
  if (dtype == BF16) int4OfBrains();
  else if (dtype == F16) int4OfHalves();
  else int4OfFloats();
}

// @ts-ignore: decorator
@inline
function int8Rows(dtype: i32): void {
  if (dtype == BF16) int8OfBrains();
  else if (dtype == F16) int8OfHalves();
  else int8OfFloats();
}

// @ts-ignore: decorator
@inline
function e4m3Rows(dtype: i32): void {
  if (dtype == BF16) e4m3OfBrains();
  else if (dtype == F16) e4m3OfHalves();
  else e4m3OfFloats();
}

// @ts-ignore: decorator
@inline
function e5m2Rows(dtype: i32): void {
  if (dtype == BF16) e5m2OfBrains();
  else if (dtype == F16) e5m2OfHalves();
  else e5m2OfFloats();
}

// @ts-ignore: decorator
@inline
function halfRows(dtype: i32): void {
  if (dtype == BF16) halfOfBrains();
  else if (dtype == F16) halfOfHalves();
  else halfOfFloats();
}

// @ts-ignore: decorator
@inline
function brainRows(dtype: i32): void {
  if (dtype == BF16) brainOfBrains();
  else if (dtype == F16) brainOfHalves();
  else brainOfFloats();
}

/**
 * Adds the errors of rows to a state. `groupRows` and `groupCols` share a scale: columns in multiples of eight, or all;
 * `rowBytes` are those of a row's codes, `zeroStride` counts a row's zero points. Rows count from `firstRow`; those that
 * are multiples of `stride` go into the histogram.
 */
export function measureRows(format: i32, dtype: i32, from: usize, rows: usize, cols: usize, groupRows: usize, groupCols: usize, codes: usize, rowBytes: usize, scales: usize, zeroPoints: usize, zeroStride: usize, firstRow: usize, stride: usize, state: usize): void {
  theFrom = from;
  theRows = rows;
  theCols = cols;
  theGroupRows = groupRows;
  theGroupCols = groupCols;
  theCodes = codes;
  theRowBytes = rowBytes;
  theScales = scales;
  theZeroPoints = zeroPoints;
  theZeroStride = zeroStride;
  theFirstRow = firstRow;
  theStride = stride;
  theState = state;
  if (format == INT4) int4Rows(dtype);
  else if (format == INT8) int8Rows(dtype);
  else if (format == E4M3) e4m3Rows(dtype);
  else if (format == E5M2) e5m2Rows(dtype);
  else if (format == HALF) halfRows(dtype);
  else brainRows(dtype);
}
