import { positionsServed, type RopeParameters } from '../blocks/rope.js';
import type { Architecture, DecoderConfig } from '../core/architecture.js';
import type { Checkpoint } from '../core/checkpoint.js';
import { architectureName, decoderPlace } from '../core/decoder-names.js';
import { InvalidInputError } from '../core/errors.js';
import type { Graph } from '../core/graph.js';
import type { JsonObject } from '../core/json.js';
import { quoted } from '../core/printable.js';
import { find, ids } from '../registry.js';
import { boundConfig } from './config-bounds.js';
import { otherClass, unknownModelType } from './model-type.js';
import { OWN_HEAD, storesOwnHead } from './stored-head.js';

/** A checkpoint with the entry that draws it and its parsed config. */
export interface Model {
  checkpoint: Checkpoint;
  architecture: Architecture;
  config: DecoderConfig;
}

const namesOf = ({ tensors }: Checkpoint): string[] => {
  const place = decoderPlace(tensors.keys());
  return [...tensors.keys()].map((name) => architectureName(name, place));
};

/**
 * Finds the architecture of a checkpoint and parses its config. `names` are those of its weights, none
 * where they are not known; `note` hears which part of the model is not among them. Throws InvalidInputError that names the key.
 */
export async function openModel(
  checkpoint: Checkpoint,
  note?: (text: string) => void,
  names: readonly string[] = namesOf(checkpoint),
): Promise<Model> {
  const id = checkpoint.config.model_type;
  if (typeof id !== 'string') {
    throw new InvalidInputError(
      `config.json: "model_type" is ${quoted(id ?? null)}; needed is the name of an architecture.`,
      `set it to one of ${ids('architectures').join(', ')}.`,
    );
  }
  const architecture = await find('architectures', id);
  if (checkpoint.config.text_config instanceof Object) refuseNested(checkpoint.config, architecture !== undefined);
  if (!architecture) {
    throw new InvalidInputError(
      `config.json: ${await unknownModelType(checkpoint.config)}`,
      'convert a checkpoint of a supported family.',
    );
  }
  boundConfig(checkpoint.config, checkpoint.tensors, names);
  for (const text of checkpoint.notes ?? []) note?.(text);
  const other = otherClass(checkpoint.config);
  if (other) note?.(other);
  const config = architecture.parseConfig(checkpoint.config, note);
  const stores = (prefix: string) => names.length === 0 || names.some((name) => name.startsWith(prefix));
  const fewer = architecture.withoutMissingPart?.(config, stores);
  if (fewer) note?.(fewer.note);
  const model = { checkpoint, architecture, config: fewer?.config ?? config };
  if (!model.config.tie_word_embeddings || !storesOwnHead(checkpoint)) return model;
  note?.(OWN_HEAD);
  const tie_word_embeddings = false;
  return {
    checkpoint: { ...checkpoint, config: { ...checkpoint.config, tie_word_embeddings } },
    architecture,
    config: { ...model.config, tie_word_embeddings },
  };
}

/** A nested text model is taken out where the checkpoint is opened, if the model around it is known to leave it as it is. */
function refuseNested({ model_type, text_config }: JsonObject, isDrawn: boolean): never {
  const nested = JSON.stringify((text_config as JsonObject).model_type ?? null);
  throw new InvalidInputError(
    isDrawn
      ? `config.json: model_type ${JSON.stringify(model_type)} is a text model, and there is a text_config of ${nested} besides: one of them is not this model.`
      : `config.json: model_type ${JSON.stringify(model_type)} has a text model of ${nested} in its text_config; whether it computes as that does by itself is not known.`,
    isDrawn ? 'remove the one that the weights do not belong to.' : 'convert a checkpoint of the text model alone.',
  );
}

/** The positions that one graph of a model can serve: those that it was made for, unless its rope changes before. */
export function servedPositions(config: DecoderConfig): number {
  const { rope } = config as DecoderConfig & { rope?: RopeParameters };
  return Math.min(config.max_position_embeddings, rope ? positionsServed(rope) : Number.POSITIVE_INFINITY);
}

/** Draws every graph of a model, by name: `decoder` and those that its checkpoint adds. */
export function drawGraphs(model: Model, contextLength: number): Record<string, Graph> {
  const { architecture, config } = model;
  return {
    decoder: architecture.build(config, { contextLength }),
    ...architecture.extraGraphs?.(config, { contextLength }),
  };
}

/** The model that a config draws, without its weights; `names` are those of its weights, where they are known. */
export function modelOfConfig(
  dir: string,
  config: JsonObject,
  generationConfig: JsonObject = {},
  names: string[] = [],
): Promise<Model> {
  const checkpoint: Checkpoint = {
    dir,
    config,
    generationConfig,
    tensors: new Map(),
    files: [],
    companions: [],
  };
  return openModel(checkpoint, undefined, names);
}
