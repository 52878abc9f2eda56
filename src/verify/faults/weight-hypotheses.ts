import { layerOf } from '../../core/matrix-kinds.js';
import type { Hypothesis, TensorError } from '../../core/verify-report.js';
import type { LogicalTensor } from '../../core/weights.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';
import { InputFiles } from '../../sources/input-files.js';
import { openRows } from '../../sources/read.js';

/** Weights that are tried, worst first, and values that one may have: 64 MB each of two. */
const TRIED = 8;

const MOST_VALUES = 16 << 20;

interface Matrix {
  rows: number;
  cols: number;
  values: Float32Array;
}

/** Opens a weight as the package has it, by its name in the report; undefined where it cannot. */
export type PackageMatrix = (name: string, files: InputFiles) => Promise<Matrix | undefined>;

/** Assumes known mistakes of exporters about weights that are off, and keeps those under which the error is gone. */
export async function weightHypotheses(
  tensors: TensorError[],
  logical: ReadonlyMap<string, LogicalTensor>,
  packaged: PackageMatrix,
  headDim: number,
): Promise<Hypothesis[]> {
  const off = tensors.filter(({ verdict }) => verdict === 'fail');
  const worst = [...off].sort((a, b) => (a.sqnrDb ?? 0) - (b.sqnrDb ?? 0)).slice(0, TRIED);
  const found: Hypothesis[] = [];
  const files = new InputFiles();
  try {
    for (const tensor of worst) {
      const size = tensor.shape.reduce((product, dim) => product * dim, 1);
      const source = logical.get(tensor.name);
      if (!source || size > MOST_VALUES) continue;
      const actual = await packaged(tensor.name, files);
      if (!actual) continue;
      const reference = await read(source, files);
      const otherwise = errorOf(reference, actual);
      const keep = (id: string, statement: string, assumed: Matrix) => {
        const errorIfSo = errorOf(assumed, actual);
        // A rounded weight keeps some error: half of what there is without the assumption is no coincidence.
        const likely = errorIfSo < 0.5 * otherwise && errorIfSo < 0.5;
        if (likely)
          found.push({ id, statement: `${tensor.name}: ${statement}`, errorIfSo, errorOtherwise: otherwise, likely });
        return likely;
      };
      let isOwn = false;
      for (const [id, statement, assumed] of ownMistakes(reference, headDim)) {
        isOwn = keep(id, statement, assumed);
        if (isOwn) break;
      }
      if (isOwn) continue;
      for (const other of candidates(tensor.name, source, logical)) {
        const assumed = await read(other, files);
        const id = layerOf(other.name) === layerOf(tensor.name) ? 'swapped' : 'swapped layers';
        if (keep(id, `holds ${other.name}: the two are swapped or mixed up.`, assumed)) break;
      }
    }
  } finally {
    files.close();
  }
  return found;
}

/** What may have been done to one weight by itself, likeliest first. */
function* ownMistakes(reference: Matrix, headDim: number): Iterable<[id: string, statement: string, assumed: Matrix]> {
  const { rows, cols, values } = reference;
  yield ['zeroed', 'is all zero.', { ...reference, values: new Float32Array(values.length) }];
  yield ['negated', 'has the opposite sign.', { ...reference, values: values.map((each) => -each) }];
  if (rows === cols) {
    const turned = new Float32Array(values.length);
    for (let i = 0; i < values.length; i++) turned[(i % cols) * rows + Math.floor(i / cols)] = values[i];
    yield ['transposed', 'is transposed.', { ...reference, values: turned }];
  }
  yield ['plus one', 'has 1 added to it.', { ...reference, values: values.map((each) => each + 1) }];
  yield [
    'minus one',
    'lacks the 1 that the model adds to it.',
    { ...reference, values: values.map((each) => each - 1) },
  ];
  yield ['row late', 'is one row late.', permuted(reference, (row) => (row + rows - 1) % rows)];
  yield ['row early', 'is one row early.', permuted(reference, (row) => (row + 1) % rows)];
  yield ['nibbles', 'has neighbouring columns swapped, as by nibbles in the wrong order.', columnsSwapped(reference)];
  if (rows % headDim !== 0 || headDim % 2 !== 0) return;
  const half = headDim / 2;
  const inHead = (place: (at: number) => number) => (row: number) => row - (row % headDim) + place(row % headDim);
  const rotary = 'has the rows of each head in the order of the other form of rotary embedding';
  yield [
    'rotary interleaved',
    `${rotary}: pairs interleaved instead of halves.`,
    permuted(
      reference,
      inHead((at) => (at % 2) * half + (at >> 1)),
    ),
  ];
  yield [
    'rotary halves',
    `${rotary}: halves instead of interleaved pairs.`,
    permuted(
      reference,
      inHead((at) => 2 * (at % half) + Math.floor(at / half)),
    ),
  ];
  yield [
    'rotary swapped',
    'has the halves of each head, which rotary embedding turns together, swapped.',
    permuted(
      reference,
      inHead((at) => (at + half) % headDim),
    ),
  ];
}

/** Row r is row `place(r)` of the reference. */
function permuted({ rows, cols, values }: Matrix, place: (row: number) => number): Matrix {
  const moved = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const from = place(row) * cols;
    moved.set(values.subarray(from, from + cols), row * cols);
  }
  return { rows, cols, values: moved };
}

function columnsSwapped(matrix: Matrix): Matrix {
  const { cols, values } = matrix;
  return {
    ...matrix,
    values: values.map((_, i) => values[((i % cols) ^ 1) < cols ? i - (i % cols) + ((i % cols) ^ 1) : i]),
  };
}

/** Weights of the same shape that could stand in its place: of the same layer first, then its name in other layers. */
function candidates(name: string, { shape }: LogicalTensor, logical: ReadonlyMap<string, LogicalTensor>) {
  const ending = (each: string) => each.replace(/\d+/g, '*');
  const alike = [...logical.values()].filter((each) => each.name !== name && `${each.shape}` === `${shape}`);
  const inLayer = alike.filter((each) => layerOf(each.name) === layerOf(name));
  const elsewhere = alike.filter((each) => layerOf(each.name) !== layerOf(name) && ending(each.name) === ending(name));
  return [...inLayer, ...elsewhere].slice(0, 64);
}

async function read({ source }: LogicalTensor, files: InputFiles): Promise<Matrix> {
  const opened = await openRows(source, files);
  const values = new Float32Array(opened.rows * opened.cols);
  opened.readFloat32(0, opened.rows, values);
  return { rows: opened.rows, cols: opened.cols, values };
}

function errorOf(reference: Matrix, actual: Matrix): number {
  if (reference.values.length !== actual.values.length) return Number.POSITIVE_INFINITY;
  const sums = new ErrorSums().add(reference.values, actual.values);
  return Math.sqrt(sums.noise / Math.max(sums.signal, sums.actual, Number.MIN_VALUE));
}
