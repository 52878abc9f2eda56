import { ENDS } from '../blocks/decoder.js';
import { isCacheScale } from '../core/cache-scales.js';
import type { Checkpoint, TensorRef } from '../core/checkpoint.js';
import { architectureName, decoderPlace } from '../core/decoder-names.js';
import { InvalidInputError } from '../core/errors.js';
import type { Layout } from '../core/layout.js';
import { leftOutText } from '../core/left-out.js';
import type { LogicalTensor } from '../core/weights.js';
import { find, ids } from '../registry.js';
import { InputFiles } from '../sources/input-files.js';
import { listed } from './coverage.js';
import type { Model } from './model.js';

/** The layout that a checkpoint wears, by its quantization_config. */
export async function layoutOf(checkpoint: Checkpoint): Promise<{ id: string; layout: Layout }> {
  // Most checkpoints are plain, which their config says: the modules of the others need not load.
  for (const id of new Set(['plain', ...ids('layouts')])) {
    const layout = await find('layouts', id);
    if (layout?.matches(checkpoint.config)) return { id, layout };
  }
  const found = JSON.stringify((checkpoint.config.quantization_config as object) ?? null).slice(0, 200);
  throw new InvalidInputError(
    `config.json: quantization_config ${found} is of no known layout; known are ${ids('layouts').join(', ')}.`,
    'convert the original checkpoint instead.',
  );
}

/**
 * The logical float tensors of a checkpoint, whatever it wears, for a drawn family by the names that architectures use.
 * `note` hears what its values show and its config does not say, and what of it is no part of the text model.
 */
export async function logicalTensors(
  checkpoint: Checkpoint,
  note: (text: string) => void = () => {},
): Promise<Map<string, LogicalTensor>> {
  const { layout } = await layoutOf(checkpoint);
  const files = new InputFiles();
  const read = ({ file, offset, nbytes }: TensorRef) => {
    const bytes = new Uint8Array(nbytes);
    files.read(file, offset, bytes);
    return bytes;
  };
  if (checkpoint.settingsIn) {
    note(`config.json has no quantization_config; its settings are taken from ${checkpoint.settingsIn}.`);
  }
  const scales = [...checkpoint.tensors.keys()].filter(isCacheScale);
  if (scales.length > 0) {
    note(`passed over, since they scale another engine's key-value cache and no weight: ${listed(scales)}`);
  }
  try {
    const logical = layout.undress(checkpoint.tensors, checkpoint.config, { read, note });
    for (const name of scales) logical.delete(name);
    if (checkpoint.leftOut) note(leftOutText(checkpoint.leftOut));
    return byArchitectureNames(logical, checkpoint);
  } finally {
    files.close();
  }
}

/** Says that activations which engines of the input quantize are not quantized by those of the output. */
export const activationsLost = (found: string[], output: string): string =>
  `config.json has activations quantized too (${found.join(', ')}), which ${output} does not: its weights are the same, its activations are not rounded so.`;

function byArchitectureNames(logical: Map<string, LogicalTensor>, checkpoint: Checkpoint): Map<string, LogicalTensor> {
  if (!ids('architectures').includes(String(checkpoint.config.model_type))) return logical;
  const place = decoderPlace(logical.keys());
  return new Map(
    [...logical.values()].map((tensor) => {
      const name = architectureName(tensor.name, place);
      return [name, { ...tensor, name }];
    }),
  );
}

/** A tied table that is stored as the head alone, under the name of the table. */
export function withTiedTable(
  logical: ReadonlyMap<string, LogicalTensor>,
  isTied: boolean,
): ReadonlyMap<string, LogicalTensor> {
  const head = logical.get(ENDS.head);
  if (!isTied || !head || logical.has(ENDS.embedding)) return logical;
  const entries = [...logical].filter(([name]) => name !== ENDS.head);
  return new Map([[ENDS.embedding, { ...head, name: ENDS.embedding }], ...entries]);
}

/** The logical tensors of a model, its table among them where the head alone is stored for both. */
export async function logicalTensorsOf(
  model: Model,
  note?: (text: string) => void,
): Promise<ReadonlyMap<string, LogicalTensor>> {
  return withTiedTable(await logicalTensors(model.checkpoint, note), model.config.tie_word_embeddings);
}
