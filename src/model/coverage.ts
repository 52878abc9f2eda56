import { ENDS } from '../blocks/decoder.js';
import { isCacheScale } from '../core/cache-scales.js';
import { architectureName, decoderPlace } from '../core/decoder-names.js';
import { widen } from '../core/dtype.js';
import { InvalidInputError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import type { Graph, Weight } from '../core/graph.js';
import { isRotaryBuffer } from '../core/matrix-kinds.js';
import { quoted } from '../core/printable.js';
import { leavesOf } from '../core/weight-source.js';
import type { LogicalTensor, RowSource } from '../core/weights.js';
import { InputFiles } from '../sources/input-files.js';
import type { Model } from './model.js';

function storedNames(source: RowSource): string[] {
  switch (source.kind) {
    case 'tensor':
      return [source.ref.name];
    case 'packed':
      return Object.values(source.parts).map((part) => part.name);
    case 'concat':
    case 'interleave':
      return source.sources.flatMap(storedNames);
    case 'rotary':
    case 'scheme':
      return [];
    default:
      return storedNames(source.source);
  }
}

/** Which tensors a model's graphs use, which they miss and which stored ones nothing uses. */
export interface Coverage {
  used: string[];
  missing: string[];
  unused: string[];
}

/** Compares the weights that graphs draw with what a checkpoint stores. */
export function coverageOf(model: Model, graphs: Graph[], logical: ReadonlyMap<string, LogicalTensor>): Coverage {
  const drawn = new Set(
    graphs.flatMap((graph) => Object.values(graph.weights).flatMap((each) => leavesOf(each.source))),
  );
  const used = new Set<string>();
  const missing: string[] = [];
  for (const name of drawn) {
    const tensor = logical.get(name);
    if (tensor) for (const each of storedNames(tensor.source)) used.add(each);
    else missing.push(name);
  }
  const place = decoderPlace(model.checkpoint.tensors.keys());
  const ignored = [...(model.architecture.ignored ?? [])];
  // a stored head that is tied equals the embedding
  if (model.config.tie_word_embeddings) ignored.push('lm_head.weight');
  const unused = [...model.checkpoint.tensors.keys()].filter(
    (name) =>
      !used.has(name) &&
      !isCacheScale(name) &&
      !isRotaryBuffer(name) &&
      !ignored.some((glob) => matchesGlob(architectureName(name, place), glob)),
  );
  return { used: [...used], missing, unused };
}

export const listed = (names: string[]) =>
  `${names.slice(0, 5).map(quoted).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;

/**
 * A missing weight and an unused weight are errors: both mean that the graph is not this model. Biases that a packer
 * adds to layers without one are no weights where they are all zero, which `note` hears.
 */
export function checkCoverage(
  model: Model,
  graphs: Graph[],
  logical: ReadonlyMap<string, LogicalTensor>,
  note: (text: string) => void = () => {},
): void {
  const { missing, unused: stored } = coverageOf(model, graphs, logical);
  const zeros = stored.filter((name) => isZeroBias(name, logical));
  if (zeros.length > 0 && missing.length === 0) note(`passed over, since they are biases of zeros: ${listed(zeros)}`);
  const unused = stored.filter((name) => !zeros.includes(name));
  const family = model.config.model_type;
  if (missing.length > 0) {
    const other = unused.length > 0 ? `; stored under other names are ${listed(unused)}` : '';
    throw new InvalidInputError(
      `${model.checkpoint.dir}: tensor ${listed(missing)} is missing; architecture ${family} needs it${other}.`,
      missing.includes(ENDS.head) && missing.length === 1
        ? 'give a checkpoint with its head: a base or an embedding model has none, and config.json does not tie it to the embeddings.'
        : 'check that config.json belongs to these weights, and that they were saved whole.',
    );
  }
  if (unused.length > 0) {
    throw new InvalidInputError(
      `${model.checkpoint.dir}: tensor ${listed(unused)} is stored but architecture ${family} has no use for it.`,
      'check that config.json belongs to these weights; adapters and other heads must be merged or removed first.',
    );
  }
}

/** Whether a tensor is the bias of a packed matrix and all of it is zero, as GPTQ's packers add them to any layer. */
export function isZeroBias(name: string, logical: ReadonlyMap<string, LogicalTensor>): boolean {
  const bias = logical.get(name)?.source;
  const matrix = logical.get(name.replace(/\.bias$/, '.weight'))?.source;
  if (!name.endsWith('.bias') || bias?.kind !== 'tensor' || matrix?.kind !== 'packed') return false;
  const values = new Float32Array(bias.rows * bias.cols);
  const stored = new Uint8Array(bias.ref.nbytes);
  const files = new InputFiles();
  try {
    files.read(bias.ref.file, bias.ref.offset, stored);
  } finally {
    files.close();
  }
  widen(bias.ref.dtype, stored, values);
  return values.every((value) => value === 0);
}

/** The size a weight has in the checkpoint must be the one that the architecture draws. Throws InvalidInputError. */
export function checkShape(weight: Weight, source: RowSource, logical: ReadonlyMap<string, LogicalTensor>): void {
  const named = typeof weight.source === 'string' ? logical.get(weight.source) : undefined;
  const fits = named
    ? named.shape.join() === weight.shape.join()
    : source.rows * source.cols === weight.shape.reduce((product, each) => product * each, 1);
  if (fits) return;
  const found = named ? named.shape.join(', ') : `${source.rows}, ${source.cols}`;
  throw new InvalidInputError(
    `tensor "${weight.name}" has shape [${found}]; config.json asks for [${weight.shape.join(', ')}].`,
    'check that config.json and the weights belong to the same model.',
  );
}
