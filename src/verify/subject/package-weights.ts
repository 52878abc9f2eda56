import { join } from 'node:path';
import type { FileRange } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import type { Graph } from '../../core/graph.js';
import { checkpointSource } from '../../core/weight-source.js';
import type { LogicalTensor, RowSource, WeightSource } from '../../core/weights.js';
import { MANIFEST, type Manifest, type ManifestTensor } from '../../formats/manifest.js';
import type { WeightLookup } from '../../reference/weights.js';
import type { InputFiles } from '../../sources/input-files.js';
import { type KernelRoom, openRows } from '../../sources/read.js';
import { resolveSource } from '../../sources/resolve.js';

/** A weight of the drawn graph as a package has it: where its numbers come from and in which scheme they are. */
export interface PackageWeight {
  source: RowSource;
  /** Tensors of the package that it is read from, with the scheme of the first. */
  tensors: string[];
  scheme: ManifestTensor['scheme'];
}

/**
 * Finds the drawn graph's weights among the tensors of a package, by what the manifest says that each is made of:
 * a tensor of the same source is taken as it stands; otherwise the rows of concatenated, interleaved, permuted,
 * transposed and shifted tensors are put back into the checkpoint's order.
 */
export class PackageWeights {
  readonly #tensors: [name: string, tensor: ManifestTensor][];
  readonly #leaves: Map<string, { source: RowSource; tensors: string[]; scheme: ManifestTensor['scheme'] }>;

  /** `graphFiles` are the graphs of the package that may hold the weights, as `model.onnx`; default all. */
  constructor(
    readonly dir: string,
    manifest: Pick<Manifest, 'tensors'>,
    readonly drawn: Graph,
    graphFiles: string[] = Object.keys(manifest.tensors),
  ) {
    this.#tensors = graphFiles.flatMap((file) => Object.entries(manifest.tensors[file] ?? {}));
    this.#leaves = leavesOfPackage(
      this.#tensors.map(([name, tensor]) => ({ name, tensor, rows: this.#stored(name, tensor) })),
      knownRows(drawn),
    );
  }

  /** Throws InvalidInputError where the package has no tensor for a weight, or not all of its rows. */
  find(name: string): PackageWeight {
    const weight = this.drawn.weights[name];
    const wanted = JSON.stringify(checkpointSource(weight, this.drawn.weights));
    const alike = this.#tensors.filter(([, tensor]) => JSON.stringify(tensor.source) === wanted);
    const direct = alike.find(([each]) => each === name) ?? alike[0];
    const count = weight.shape.reduce((product, dim) => product * dim, 1);
    if (direct && direct[1].shape.reduce((product, dim) => product * dim, 1) === count) {
      const [tensorName, tensor] = direct;
      return { source: this.#stored(tensorName, tensor), tensors: [tensorName], scheme: tensor.scheme };
    }
    const used: PackageWeight['tensors'] = [];
    let scheme: ManifestTensor['scheme'] | undefined;
    const source = resolveSource(checkpointSource(weight, this.drawn.weights), (leaf): LogicalTensor | undefined => {
      const found = this.#leaves.get(leaf);
      if (!found) return undefined;
      used.push(...found.tensors);
      scheme ??= found.scheme;
      return { name: leaf, shape: [found.source.rows, found.source.cols], source: found.source };
    });
    if (!scheme && source.kind !== 'rotary') {
      throw new InvalidInputError(`${join(this.dir, MANIFEST)}: no tensor holds "${name}".`, 'convert again.');
    }
    return { source, tensors: [...new Set(used)], scheme: scheme ?? FLOAT32 };
  }

  /** A tensor of the checkpoint as the package has it; undefined where it is not told apart from others. */
  leaf(name: string): PackageWeight | undefined {
    return this.#leaves.get(name);
  }

  /** A tensor of the package as it is stored, by its name in a graph; undefined where there is none. */
  stored(name: string): PackageWeight | undefined {
    const found = this.#tensors.find(([each]) => each === name);
    return found && { source: this.#stored(...found), tensors: [name], scheme: found[1].scheme };
  }

  /** The weights for the reference engine, decoded in `room`. The caller closes `files`. */
  lookup(files: InputFiles, room?: KernelRoom): WeightLookup {
    return (name) => openRows(this.find(name).source, files, room);
  }

  /** All values of a tensor of the checkpoint, or of a drawn weight, as the package has them. */
  async values(
    name: string,
    files: InputFiles,
  ): Promise<{ rows: number; cols: number; values: Float32Array } | undefined> {
    const found = this.leaf(name) ?? (name in this.drawn.weights ? this.find(name) : undefined);
    if (!found) return undefined;
    const { rows, cols, readFloat32 } = await openRows(found.source, files);
    const values = new Float32Array(rows * cols);
    readFloat32(0, rows, values);
    return { rows, cols, values };
  }

  #stored(name: string, { shape, scheme, parts }: ManifestTensor): RowSource {
    const cols = shape.at(-1) ?? 1;
    const rows = shape.reduce((product, dim) => product * dim, 1) / cols;
    const placed = Object.entries(parts).map(([part, range]): [string, FileRange] => [
      part,
      { ...range, file: join(this.dir, range.file) },
    ]);
    return { kind: 'scheme', scheme, parts: Object.fromEntries(placed), name, rows, cols };
  }
}

const FLOAT32: ManifestTensor['scheme'] = {
  scheme: 'f32',
  strategy: 'tensor',
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'rtn',
};

/** Rows of a checkpoint's tensor that one tensor of the package holds: `rows[i]` is row i of `source`. */
interface Piece {
  rows: Int32Array;
  source: RowSource;
  tensor: string;
  scheme: ManifestTensor['scheme'];
}

type Pieces = Map<string, Piece[]>;

/** Rows of tensors that are drawn under their own name: the sizes inside concatenations of unequal parts. */
function knownRows(drawn: Graph): Map<string, number> {
  const rows = new Map<string, number>();
  for (const { name, source, shape } of Object.values(drawn.weights)) {
    if (source === name) rows.set(name, shape.length < 2 ? 1 : shape.slice(0, -1).reduce((a, b) => a * b, 1));
  }
  return rows;
}

function leavesOfPackage(
  tensors: { name: string; tensor: ManifestTensor; rows: RowSource }[],
  known: Map<string, number>,
): Map<string, { source: RowSource; tensors: string[]; scheme: ManifestTensor['scheme'] }> {
  const pieces: Pieces = new Map();
  for (const { name, tensor, rows } of tensors) {
    const all = Int32Array.from({ length: rows.rows }, (_, row) => row);
    invert(tensor.source, all, rows, known, (leaf, leafRows, source) => {
      const list = pieces.get(leaf) ?? [];
      pieces.set(leaf, list);
      list.push({ rows: leafRows, source, tensor: name, scheme: tensor.scheme });
    });
  }
  const leaves = new Map<string, { source: RowSource; tensors: string[]; scheme: ManifestTensor['scheme'] }>();
  for (const [leaf, list] of pieces) {
    const whole = assemble(list, known.get(leaf));
    if (whole) leaves.set(leaf, whole);
  }
  return leaves;
}

/**
 * Walks a source inwards with the rows of it that `target` holds: `rows[i]` is the row of `source` that is row i of
 * `target`. Tells each leaf which of its rows are where. Rows of a transposed part cannot be told apart and are left out.
 */
function invert(
  source: WeightSource,
  rows: Int32Array,
  target: RowSource,
  known: Map<string, number>,
  tell: (leaf: string, rows: Int32Array, source: RowSource) => void,
): void {
  if (typeof source === 'string') tell(source, rows, target);
  else if ('tied' in source) tell(source.tied, rows, target);
  else if ('plus' in source) {
    const { rows: count, cols } = target;
    const shifted: RowSource = { kind: 'plus', source: target, constant: -source.constant, rows: count, cols };
    invert(source.plus, rows, shifted, known, tell);
  } else if ('transpose' in source) {
    if (!rows.every((row, index) => row === index)) return;
    const turned: RowSource = { kind: 'transpose', source: target, rows: target.cols, cols: target.rows };
    const all = Int32Array.from({ length: turned.rows }, (_, row) => row);
    invert(source.transpose, all, turned, known, tell);
  } else if ('permuteRows' in source) {
    const order = rows.map((row) => source.order[row]);
    invert(source.permuteRows, order, target, known, tell);
  } else if ('rows' in source) {
    const height = source.to - source.from;
    const stride = source.stride ?? height;
    const place = (row: number) => source.from + Math.floor(row / height) * stride + (row % height);
    invert(source.rows, rows.map(place), target, known, tell);
  } else if ('interleaveRows' in source) {
    const turns = source.interleaveRows.length;
    source.interleaveRows.forEach((each, turn) => {
      const own = indices(rows, (row) => row % turns === turn);
      const inner = Int32Array.from(own, (index) => Math.floor(rows[index] / turns));
      invert(each, inner, select(target, own), known, tell);
    });
  } else if ('concat' in source) {
    const heights = partHeights(source.concat, rows.length, known);
    let start = 0;
    source.concat.forEach((each, part) => {
      const [first, end] = [start, start + heights[part]];
      const own = indices(rows, (row) => row >= first && row < end);
      start = end;
      if (own.length === 0) return;
      const inner = Int32Array.from(own, (index) => rows[index] - first);
      invert(each, inner, select(target, own), known, tell);
    });
  }
}

function indices(rows: Int32Array, isOwn: (row: number) => boolean): number[] {
  const own: number[] = [];
  rows.forEach((row, index) => {
    if (isOwn(row)) own.push(index);
  });
  return own;
}

/** Rows of each part of a concatenation: known ones, and what is left in equal shares (the experts of a stack). */
function partHeights(parts: WeightSource[], total: number, known: Map<string, number>): number[] {
  const heights = parts.map((each) => heightOf(each, known));
  const open = heights.filter((each) => each === undefined).length;
  const rest = total - heights.reduce<number>((sum, each) => sum + (each ?? 0), 0);
  return heights.map((each) => each ?? rest / open);
}

function heightOf(source: WeightSource, known: Map<string, number>): number | undefined {
  if (typeof source === 'string') return known.get(source);
  if ('tied' in source) return known.get(source.tied);
  if ('rotary' in source) return source.rotary.positions;
  if ('plus' in source) return heightOf(source.plus, known);
  if ('permuteRows' in source) return source.order.length;
  if ('rows' in source) return (source.to - source.from) * (source.count ?? 1);
  if ('transpose' in source) return undefined;
  const inner = 'concat' in source ? source.concat : source.interleaveRows;
  const heights = inner.map((each) => heightOf(each, known));
  return heights.some((each) => each === undefined) ? undefined : heights.reduce<number>((a, b) => a + (b ?? 0), 0);
}

/** Some rows of a source, in this order: a block or evenly spaced blocks where they are such, else one by one. */
function select(source: RowSource, own: number[]): RowSource {
  if (own.length === source.rows && own.every((row, index) => row === index)) return source;
  const from = own[0];
  let blockRows = 1;
  while (blockRows < own.length && own[blockRows] === from + blockRows) blockRows++;
  const stride = blockRows < own.length ? own[blockRows] - from : blockRows;
  const size = { rows: own.length, cols: source.cols };
  const isRegular =
    stride >= blockRows &&
    own.length % blockRows === 0 &&
    own.every((row, index) => row === from + Math.floor(index / blockRows) * stride + (index % blockRows));
  if (isRegular) return { kind: 'rowBlocks', source, from, blockRows, stride, ...size };
  return { kind: 'permute', source, order: own, ...size };
}

/** One tensor of the checkpoint from its pieces; undefined where rows are missing. */
function assemble(pieces: Piece[], height: number | undefined) {
  const isInOrder = ({ rows }: Piece) => rows.every((row, index) => row === index);
  const whole = pieces.find((piece) => isInOrder(piece) && (height === undefined || piece.rows.length === height));
  const { scheme } = pieces[0];
  if (whole && (height !== undefined || pieces.every((each) => each.rows.length <= whole.rows.length))) {
    return { source: whole.source, tensors: [whole.tensor], scheme: whole.scheme };
  }
  const places = new Map<number, number>();
  let at = 0;
  for (const { rows } of pieces) {
    for (const row of rows) {
      if (!places.has(row)) places.set(row, at);
      at++;
    }
  }
  const order = Array.from({ length: places.size }, (_, row) => places.get(row) ?? -1);
  if (order.includes(-1) || (height !== undefined && order.length !== height)) return undefined;
  const { cols } = pieces[0].source;
  const joined: RowSource =
    pieces.length === 1
      ? pieces[0].source
      : { kind: 'concat', sources: pieces.map(({ source }) => source), rows: at, cols };
  const source: RowSource = order.every((place, row) => place === row && order.length === at)
    ? joined
    : { kind: 'permute', source: joined, order, rows: order.length, cols };
  return { source, tensors: pieces.map(({ tensor }) => tensor), scheme };
}
