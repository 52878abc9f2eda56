import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EnvironmentError } from '../core/errors.js';

/** What src/kernels/assembly/index.ts exports: addresses and counts are u32, truth values 0 or 1. */
export interface KernelExports {
  memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  heapBase: { readonly value: number };
  byteTable: { readonly value: number };
  widenBrains(from: number, count: number, to: number): void;
  widenHalves(from: number, count: number, to: number): void;
  widenDoubles(from: number, count: number, to: number): void;
  widenBytes(from: number, count: number, to: number): void;
  convertFloats(dtype: number, target: number, from: number, count: number, to: number): number;
  integerSettings(bits: number, symmetric: number, scaleDtype: number, flip: number): void;
  searchSettings(algorithm: number, group: number): void;
  integerGroups(
    dtype: number,
    from: number,
    rows: number,
    cols: number,
    group: number,
    codes: number,
    scales: number,
    zeroPoints: number,
  ): number;
  integerRows(
    dtype: number,
    from: number,
    rows: number,
    cols: number,
    codes: number,
    scales: number,
    zeroPoints: number,
  ): number;
  halfQuadraticGroups(
    dtype: number,
    scaleDtype: number,
    from: number,
    rows: number,
    cols: number,
    group: number,
    codes: number,
    scales: number,
    zeroPoints: number,
  ): number;
  halfQuadraticRows(
    dtype: number,
    scaleDtype: number,
    from: number,
    rows: number,
    cols: number,
    codes: number,
    scales: number,
    zeroPoints: number,
  ): number;
  rotaryRows(
    frequencies: number,
    count: number,
    first: number,
    rows: number,
    factor: number,
    cosine: boolean,
    out: number,
  ): void;
  fp8Settings(scaleKind: number, amax: number): void;
  fp8Blocks(
    dtype: number,
    target: number,
    from: number,
    rows: number,
    cols: number,
    blockRows: number,
    blockCols: number,
    codes: number,
    scales: number,
  ): number;
  e2m1Groups(
    format: number,
    isSearched: number,
    dtype: number,
    from: number,
    rows: number,
    cols: number,
    amax: number,
    codes: number,
    scales: number,
    globalScale: number,
  ): number;
  nf4Blocks(dtype: number, from: number, count: number, block: number, codes: number, scales: number): number;
  scaleSettings(kind: number, global: number): void;
  decodeIntegers(
    bits: number,
    flip: number,
    codes: number,
    scales: number,
    zeroPoints: number,
    cols: number,
    groupCols: number,
    rowCodes: number,
    zeroStride: number,
    first: number,
    rows: number,
    to: number,
  ): void;
  decodeFp8(
    format: number,
    codes: number,
    scales: number,
    cols: number,
    blockRows: number,
    blockCols: number,
    first: number,
    rows: number,
    to: number,
  ): void;
  decodeE2m1(codes: number, scales: number, cols: number, group: number, first: number, rows: number, to: number): void;
  decodeNf4(codes: number, scales: number, block: number, first: number, count: number, to: number): void;
  decodeGgml(format: number, codes: number, cols: number, rows: number, to: number): void;
  addErrors(
    dtype: number,
    from: number,
    decoded: number,
    rows: number,
    cols: number,
    firstRow: number,
    stride: number,
    state: number,
  ): void;
  groupRanges(reference: number, actual: number, rows: number, cols: number, group: number, to: number): void;
  gridSettings(first: number, last: number, halfStep: number, zeroBits: number, flip: number): void;
  countSaturated(
    dtype: number,
    from: number,
    rows: number,
    cols: number,
    blockRows: number,
    blockCols: number,
    scales: number,
    zeroPoints: number,
    zeroStride: number,
  ): number;
  ggmlBlocks(format: number, dtype: number, from: number, rows: number, cols: number, out: number): number;
  refusedIndex(): number;
  refusedValue(): number;
  startDigest(state: number): void;
  updateDigest(state: number, from: number, nbytes: number): void;
  finishDigest(state: number): bigint;
}

// The part of the WebAssembly interface in use: its declarations come only with those of a browser's DOM.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
};

/** A fresh instance of kernels/kernels.wasm. Throws EnvironmentError where it was not built. */
export function instantiateKernels(): KernelExports {
  const file = fileURLToPath(new URL('../kernels/kernels.wasm', import.meta.url));
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new EnvironmentError(`the compiled kernels cannot be read: ${(error as Error).message}.`, 'npm run build.');
  }
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), {}).exports as KernelExports;
}
