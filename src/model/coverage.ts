import { InvalidInputError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import type { Graph } from '../core/graph.js';
import { leavesOf } from '../core/weight-source.js';
import type { LogicalTensor, RowSource } from '../core/weights.js';
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
export function coverageOf(model: Model, graphs: Graph[], logical: Map<string, LogicalTensor>): Coverage {
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
  const ignored = [...(model.architecture.ignored ?? [])];
  // a stored head that is tied equals the embedding
  if (model.config.tie_word_embeddings) ignored.push('lm_head.weight');
  const unused = [...model.checkpoint.tensors.keys()].filter(
    (name) => !used.has(name) && !ignored.some((glob) => matchesGlob(name, glob)),
  );
  return { used: [...used], missing, unused };
}

const listed = (names: string[]) =>
  `${names
    .slice(0, 5)
    .map((name) => `"${name}"`)
    .join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;

/** A missing weight and an unused weight are errors: both mean that the graph is not this model. */
export function checkCoverage(model: Model, graphs: Graph[], logical: Map<string, LogicalTensor>): void {
  const { missing, unused } = coverageOf(model, graphs, logical);
  const family = model.config.model_type;
  if (missing.length > 0) {
    throw new InvalidInputError(
      `${model.checkpoint.dir}: tensor ${listed(missing)} is missing; architecture ${family} needs it.`,
      'download the missing shard, or check that config.json belongs to these weights.',
    );
  }
  if (unused.length > 0) {
    throw new InvalidInputError(
      `${model.checkpoint.dir}: tensor ${listed(unused)} is stored but architecture ${family} has no use for it.`,
      'check that config.json belongs to these weights; adapters and other heads must be merged or removed first.',
    );
  }
}
