import { FLOAT_DTYPES } from '../core/dtype.js';
import { InvalidInputError } from '../core/errors.js';
import type { LogicalTensor, RowSource, WeightSource } from '../core/weights.js';

/**
 * Replaces the names of a WeightSource by where their bytes are and works out the size of every form: [rows, cols].
 * Simplifies only where the bytes stay the same: rows of a tensor become a tensor that starts later, nested
 * concatenations become one.
 *
 * Throws InvalidInputError for a tensor that `lookup` does not know and for shapes that do not fit together.
 */
export function resolveSource(source: WeightSource, lookup: (name: string) => LogicalTensor | undefined): RowSource {
  const resolve = (each: WeightSource) => resolveSource(each, lookup);
  if (typeof source === 'string') return named(source, lookup);
  if ('tied' in source) return named(source.tied, lookup);
  if ('rotary' in source) {
    const { positions, inverse_frequencies } = source.rotary;
    return { kind: 'rotary', table: source.rotary, rows: positions, cols: inverse_frequencies.length };
  }
  if ('rows' in source) return rowsOf(resolve(source.rows), source);
  if ('concat' in source) return concat(source.concat.map(resolve));
  if ('interleaveRows' in source) return interleave(source.interleaveRows.map(resolve));
  if ('permuteRows' in source) return permute(resolve(source.permuteRows), source.order);
  if ('transpose' in source) return transpose(resolve(source.transpose));
  const inner = resolve(source.plus);
  return { kind: 'plus', source: inner, constant: source.constant, rows: inner.rows, cols: inner.cols };
}

function named(name: string, lookup: (name: string) => LogicalTensor | undefined): RowSource {
  const tensor = lookup(name);
  if (!tensor) {
    throw new InvalidInputError(
      `tensor "${name}" is missing from the checkpoint.`,
      'check that config.json belongs to these weights, and that they were saved whole.',
    );
  }
  const { source } = tensor;
  if (source.kind === 'tensor' && !FLOAT_DTYPES.includes(source.ref.dtype)) {
    throw new InvalidInputError(
      `${source.ref.file}: tensor "${name}" has dtype ${source.ref.dtype}; a weight needs one of ${FLOAT_DTYPES.join(', ')}.`,
      'check that the checkpoint is not quantized in a layout that config.json does not name.',
    );
  }
  return source;
}

function rowsOf(
  source: RowSource,
  { from, to, stride, count }: { from: number; to: number; stride?: number; count?: number },
): RowSource {
  const blockRows = to - from;
  const blocks = count ?? 1;
  const step = stride ?? blockRows;
  const end = blocks === 0 ? from : from + step * (blocks - 1) + blockRows;
  const numbers = [from, to, step, blocks];
  if (numbers.some((each) => !Number.isSafeInteger(each) || each < 0) || blockRows < 0 || end > source.rows) {
    const repeated = count === undefined ? '' : ` ${count} times, ${step} rows apart`;
    throw new InvalidInputError(
      `${describe(source)} has ${source.rows} rows; rows ${from} to ${to}${repeated} do not lie within.`,
      'check that config.json and the weights belong to the same model.',
    );
  }
  if (blocks === 1 || step === blockRows) return slice(source, from, from + blockRows * blocks);
  return { kind: 'rowBlocks', source, from, blockRows, stride: step, rows: blockRows * blocks, cols: source.cols };
}

/** Rows [from, to) of a source, pushed inwards as far as it goes. */
function slice(source: RowSource, from: number, to: number): RowSource {
  const rows = to - from;
  const { cols } = source;
  if (rows === source.rows) return source;
  if (source.kind === 'tensor') {
    const rowBytes = source.ref.nbytes / source.rows;
    const ref = { ...source.ref, shape: [rows, cols], offset: source.ref.offset + from * rowBytes };
    return { kind: 'tensor', ref: { ...ref, nbytes: rows * rowBytes }, rows, cols };
  }
  if (source.kind === 'concat') {
    const slices: RowSource[] = [];
    let start = 0;
    for (const each of source.sources) {
      const [first, last] = [Math.max(from, start) - start, Math.min(to, start + each.rows) - start];
      if (first < last) slices.push(slice(each, first, last));
      start += each.rows;
    }
    if (slices.length > 0) return slices.length === 1 ? slices[0] : { kind: 'concat', sources: slices, rows, cols };
  }
  return { kind: 'rowBlocks', source, from, blockRows: rows, stride: rows, rows, cols };
}

function concat(sources: RowSource[]): RowSource {
  checkEqual(sources, 'cols', 'one below the other');
  if (sources.length === 1) return sources[0];
  const flat = sources.flatMap((each) => (each.kind === 'concat' ? each.sources : [each]));
  const rows = flat.reduce((sum, each) => sum + each.rows, 0);
  return { kind: 'concat', sources: flat, rows, cols: flat[0].cols };
}

function interleave(sources: RowSource[]): RowSource {
  checkEqual(sources, 'cols', 'in turns');
  checkEqual(sources, 'rows', 'in turns');
  if (sources.length === 1) return sources[0];
  return { kind: 'interleave', sources, rows: sources[0].rows * sources.length, cols: sources[0].cols };
}

function checkEqual(sources: RowSource[], what: 'rows' | 'cols', how: string): void {
  if (sources.length === 0) throw new InvalidInputError(`no tensors to put ${how}.`);
  const other = sources.find((each) => each[what] !== sources[0][what]);
  if (!other) return;
  const sizes = [sources[0], other].map((each) => `${describe(each)} [${each.rows}, ${each.cols}]`);
  throw new InvalidInputError(
    `${sizes.join(' and ')} cannot stand ${how}: their ${what === 'cols' ? 'columns' : 'rows'} differ.`,
    'check that config.json and the weights belong to the same model.',
  );
}

function permute(source: RowSource, order: number[]): RowSource {
  const seen = new Uint8Array(source.rows);
  const isPermutation =
    order.length === source.rows &&
    order.every((row) => Number.isInteger(row) && row >= 0 && row < source.rows && seen[row]++ === 0);
  if (!isPermutation) {
    throw new InvalidInputError(
      `${describe(source)} has ${source.rows} rows; the order of ${order.length} rows is no permutation of them.`,
      'check that config.json and the weights belong to the same model.',
    );
  }
  if (order.every((row, position) => row === position)) return source;
  return { kind: 'permute', source, order, rows: source.rows, cols: source.cols };
}

function transpose(source: RowSource): RowSource {
  if (source.kind === 'transpose') return source.source;
  return { kind: 'transpose', source, rows: source.cols, cols: source.rows };
}

/** A source for an error message: the first stored tensor in it. */
function describe(source: RowSource): string {
  switch (source.kind) {
    case 'tensor':
      return `tensor "${source.ref.name}"`;
    case 'packed':
    case 'scheme':
      return `tensor "${source.name}"`;
    case 'rotary':
      return 'a rotary table';
    case 'concat':
    case 'interleave':
      return describe(source.sources[0]);
    default:
      return describe(source.source);
  }
}
