import type { FileRange, TensorRef } from '../core/checkpoint.js';
import type { Dtype } from '../core/dtype.js';
import type { RowSource } from '../core/weights.js';

/**
 * The dtype of a source that only moves rows of plain tensors of one dtype, so that its bytes can be read as they
 * are; undefined for every other source. Dtypes below a byte do not count: their rows may share one.
 */
export function storedDtype(source: RowSource): Dtype | undefined {
  switch (source.kind) {
    case 'tensor':
      return Number.isInteger(bytesPerRow(source.ref, source.rows) / source.cols) ? source.ref.dtype : undefined;
    case 'rowBlocks':
    case 'permute':
      return storedDtype(source.source);
    case 'concat':
    case 'interleave': {
      const [first, ...others] = source.sources.map(storedDtype);
      return others.every((each) => each === first) ? first : undefined;
    }
    default:
      return undefined;
  }
}

/** Calls `visit` with the byte ranges that make up rows [from, from + count) of a source that `storedDtype` knows, in order. */
export function forEachStoredRange(
  source: RowSource,
  from: number,
  count: number,
  visit: (range: FileRange, ref: TensorRef) => void,
): void {
  let pending: FileRange | undefined;
  let pendingRef: TensorRef | undefined;
  const flush = () => {
    if (pending && pendingRef) visit(pending, pendingRef);
  };
  forEachTensorRun(source, from, count, (ref, first, rows, rowBytes) => {
    const offset = ref.offset + first * rowBytes;
    if (pending && pendingRef === ref && pending.offset + pending.nbytes === offset) {
      pending.nbytes += rows * rowBytes;
      return;
    }
    flush();
    pending = { file: ref.file, offset, nbytes: rows * rowBytes };
    pendingRef = ref;
  });
  flush();
}

type RunVisitor = (ref: TensorRef, first: number, rows: number, rowBytes: number) => void;

function forEachTensorRun(source: RowSource, from: number, count: number, visit: RunVisitor): void {
  if (count === 0) return;
  switch (source.kind) {
    case 'tensor':
      visit(source.ref, from, count, bytesPerRow(source.ref, source.rows));
      return;
    case 'rowBlocks':
      forEachBlock(source, from, count, (first, rows) => forEachTensorRun(source.source, first, rows, visit));
      return;
    case 'concat':
      forEachPart(source.sources, from, count, (part, first, rows) => forEachTensorRun(part, first, rows, visit));
      return;
    case 'interleave':
      for (let row = from; row < from + count; row++) {
        const turn = row % source.sources.length;
        forEachTensorRun(source.sources[turn], (row - turn) / source.sources.length, 1, visit);
      }
      return;
    case 'permute':
      for (let row = from; row < from + count; row++) forEachTensorRun(source.source, source.order[row], 1, visit);
      return;
    default:
      throw new Error(`rows of kind ${source.kind} are not stored as they are`);
  }
}

const bytesPerRow = (ref: TensorRef, rows: number) => (rows === 0 ? 0 : ref.nbytes / rows);

/** Rows [from, from + count) of `rowBlocks` as runs of rows of the source below it. */
export function forEachBlock(
  { from: start, blockRows, stride }: Extract<RowSource, { kind: 'rowBlocks' }>,
  from: number,
  count: number,
  visit: (first: number, rows: number, done: number) => void,
): void {
  for (let done = 0; done < count; ) {
    const within = (from + done) % blockRows;
    const rows = Math.min(blockRows - within, count - done);
    visit(start + ((from + done - within) / blockRows) * stride + within, rows, done);
    done += rows;
  }
}

/** Rows [from, from + count) of a concatenation as runs of rows of its parts. */
export function forEachPart<T extends { rows: number }>(
  parts: readonly T[],
  from: number,
  count: number,
  visit: (part: T, first: number, rows: number, done: number) => void,
): void {
  let start = 0;
  for (const part of parts) {
    const first = Math.max(from, start);
    const last = Math.min(from + count, start + part.rows);
    if (first < last) visit(part, first - start, last - first, first - from);
    start += part.rows;
  }
}
