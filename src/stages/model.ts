import { InvalidInputError } from '../core/errors.js';
import type { Architecture, Checkpoint, DecoderConfig, Graph } from '../core/types.js';
import { find, ids, unknownId } from '../registry.js';

/** A checkpoint with the entry that draws it and its parsed config. */
export interface Model {
  checkpoint: Checkpoint;
  architecture: Architecture;
  config: DecoderConfig;
}

/** Finds the architecture of a checkpoint and parses its config. Throws InvalidInputError that names the key. */
export async function openModel(checkpoint: Checkpoint): Promise<Model> {
  const id = checkpoint.config.model_type;
  if (typeof id !== 'string') {
    throw new InvalidInputError(
      `config.json: "model_type" is ${JSON.stringify(id ?? null)}; needed is the name of an architecture.`,
      `set it to one of ${ids('architectures').join(', ')}.`,
    );
  }
  const architecture = await find('architectures', id);
  if (!architecture) {
    throw new InvalidInputError(
      `config.json: model_type ${JSON.stringify(id)} is not supported. ${unknownId('architectures', id)}`,
      'convert a checkpoint of a supported family.',
    );
  }
  return { checkpoint, architecture, config: architecture.parseConfig(checkpoint.config) };
}

/** Draws every graph of a model, by name: `decoder` and those that its checkpoint adds. */
export function drawGraphs(model: Model, contextLength: number): Record<string, Graph> {
  const { architecture, config } = model;
  return {
    decoder: architecture.build(config, { contextLength }),
    ...architecture.extraGraphs?.(config, { contextLength }),
  };
}
