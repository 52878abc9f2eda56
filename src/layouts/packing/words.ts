/** Little-endian bytes of 64-bit integers. */
export function int64Bytes(values: number[]): number[] {
  return [...new Uint8Array(BigInt64Array.from(values, BigInt).buffer)];
}

/** A view of bytes as 32-bit words, of a copy where they are not aligned. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

/** A view of bytes as 16-bit halves, of a copy where they are not aligned. */
export function halvesOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
}

/** Square of a transposition that stays in the first cache. */
const TILE = 32;

/** `from` [rows, cols] as `to` [cols, rows]. */
export function transpose(
  from: Uint32Array | Uint16Array,
  rows: number,
  cols: number,
  to: Uint32Array | Uint16Array,
): void {
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(rows, top + TILE);
    for (let left = 0; left < cols; left += TILE) {
      const right = Math.min(cols, left + TILE);
      for (let col = left; col < right; col++) {
        for (let row = top; row < bottom; row++) to[col * rows + row] = from[row * cols + col];
      }
    }
  }
}

/** Float scales stored as `bytesEach` [rows, cols], as [cols, rows]. */
export function transposeScales(from: Uint8Array, rows: number, cols: number, bytesEach: number, to: Uint8Array): void {
  const view = bytesEach === 2 ? halvesOf : wordsOf;
  const out = view(to);
  transpose(view(from), rows, cols, out);
  // unaligned views are copies
  if (out.buffer !== to.buffer) to.set(new Uint8Array(out.buffer, out.byteOffset, out.byteLength));
}

/** Codes of `bits` for every place of a word, as 0x88888888. */
export const repeated = (code: number, bits: number): number =>
  (bits === 4 ? code * 0x11111111 : code * 0x01010101) >>> 0;

/** Float32 bytes that rows read together of a part in segments should have, for pieces long enough to be read one by one. */
const SEGMENTED_BYTES = 1 << 20;

/** Rows to read together where each segment of a part holds a piece of them: 64 to 512, whole words of any part. */
export function segmentedQuantum(cols: number): number {
  const fitting = 2 ** Math.floor(Math.log2(SEGMENTED_BYTES / (4 * cols)));
  return Math.min(512, Math.max(64, fitting));
}
