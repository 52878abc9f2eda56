/** A word of a row that a transposition starts at, and the words between rows and between neighbours. */
export interface WordGrid {
  words: Uint32Array;
  /** Words from one row to the next. */
  stride: number;
}

/** Eights done before the next column: 16 words are a line of most caches, so that lines are written whole. */
const TILE = 16;

/**
 * Transposes matrices of 8 x 8 nibbles: word [8 * r + order[i], c] of `from` [8 * eights, cols] has as nibble j what
 * nibble i of word [8 * c + j, r] of `to` [8 * cols, eights] has, the first in the lowest bits.
 */
export function rowsToColumns(
  from: WordGrid,
  eights: number,
  cols: number,
  to: WordGrid,
  order: readonly number[],
): void {
  const offsets = order.map((each) => each * from.stride);
  for (let top = 0; top < eights; top += TILE) {
    const bottom = Math.min(eights, top + TILE);
    for (let col = 0; col < cols; col++) {
      for (let r = top; r < bottom; r++) {
        gather(from.words, 8 * r * from.stride + col, offsets);
        transposeBlock();
        for (let j = 0; j < 8; j++) to.words[(8 * col + j) * to.stride + r] = block[j];
      }
    }
  }
}

/** The way back: `from` [8 * cols, eights] as `to` [8 * eights, cols]. */
export function columnsToRows(
  from: WordGrid,
  eights: number,
  cols: number,
  to: WordGrid,
  order: readonly number[],
): void {
  const offsets = order.map((_, j) => j * from.stride);
  for (let top = 0; top < eights; top += TILE) {
    const bottom = Math.min(eights, top + TILE);
    for (let col = 0; col < cols; col++) {
      for (let r = top; r < bottom; r++) {
        gather(from.words, 8 * col * from.stride + r, offsets);
        transposeBlock();
        for (let i = 0; i < 8; i++) to.words[(8 * r + order[i]) * to.stride + col] = block[i];
      }
    }
  }
}

const block = new Uint32Array(8);

function gather(words: Uint32Array, at: number, offsets: readonly number[]): void {
  for (let i = 0; i < 8; i++) block[i] = words[at + offsets[i]];
}

/** Nibble j of word i becomes nibble i of word j: halves of quarters are swapped, then of eighths, then of each pair. */
function transposeBlock(): void {
  for (let i = 0; i < 4; i++) swap(i, i + 4, 16, 0x0000ffff);
  for (const i of [0, 1, 4, 5]) swap(i, i + 2, 8, 0x00ff00ff);
  for (let i = 0; i < 8; i += 2) swap(i, i + 1, 4, 0x0f0f0f0f);
}

function swap(i: number, j: number, shift: number, mask: number): void {
  const difference = ((block[i] >>> shift) ^ block[j]) & mask;
  block[j] ^= difference;
  block[i] ^= difference << shift;
}
