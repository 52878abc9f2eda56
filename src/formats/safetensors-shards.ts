import { own } from '../core/own.js';
import type { Inlay, PlannedFile } from '../core/plan.js';
import { layoutSafetensors, type TensorEntry, tensorBytes } from './safetensors-writer.js';

/** Safetensors files before their data: where each tensor goes, and the headers and the index that go with them. */
export interface ShardedLayout {
  files: PlannedFile[];
  places: Map<string, { file: string; offset: number; nbytes: number }>;
  headers: Inlay[];
  /** The index, where there is more than one file. */
  index?: { name: string; content: string };
}

/**
 * Deals tensors out to safetensors files as huggingface_hub does (serialization/_base.py): in their order, a new file
 * where the next tensor would not fit any more, one larger than `maxBytes` in a file of its own. Tensors with the same
 * `together` stay in one file. One file is model.safetensors, without an index.
 */
export function layoutShards(
  tensors: (TensorEntry & { together: string })[],
  maxBytes: number,
  metadata: Record<string, string> = {},
): ShardedLayout {
  const shards: TensorEntry[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const group of groups(tensors)) {
    const nbytes = group.reduce((sum, each) => sum + tensorBytes(each), 0);
    if (filled + nbytes > maxBytes) {
      shards.push([]);
      filled = 0;
    }
    shards[shards.length - 1].push(...group);
    filled += nbytes;
  }

  const layout: ShardedLayout = { files: [], places: new Map(), headers: [] };
  const weightMap = own<string>();
  let total = 0;
  for (const [number, shard] of shards.entries()) {
    const file = shards.length === 1 ? 'model.safetensors' : shardName(number + 1, shards.length);
    const { header, places, nbytes } = layoutSafetensors(shard, metadata);
    layout.files.push({ name: file, nbytes });
    layout.headers.push({ file, offset: 0, base64: Buffer.from(header).toString('base64') });
    for (const [name, place] of places) {
      layout.places.set(name, { file, ...place });
      weightMap[name] = file;
      total += place.nbytes;
    }
  }
  if (shards.length > 1) {
    const sorted = Object.fromEntries(Object.entries(weightMap).sort(([a], [b]) => (a < b ? -1 : 1)));
    const content = `${JSON.stringify({ metadata: { total_size: total }, weight_map: sorted }, null, 2)}\n`;
    layout.index = { name: 'model.safetensors.index.json', content };
  }
  return layout;
}

function groups<T extends { together: string }>(tensors: T[]): T[][] {
  const byKey = new Map<string, T[]>();
  for (const tensor of tensors) {
    const group = byKey.get(tensor.together);
    if (group) group.push(tensor);
    else byKey.set(tensor.together, [tensor]);
  }
  return [...byKey.values()];
}

const shardName = (number: number, count: number) =>
  `model-${String(number).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.safetensors`;
