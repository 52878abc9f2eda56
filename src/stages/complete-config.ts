import type { Checkpoint } from '../core/checkpoint.js';
import type { Json, JsonObject } from '../core/json.js';
import { openModel } from '../model/model.js';

/** The members of a parsed rope that say what config.json says (blocks/rope.ts). */
interface ParsedRope {
  rope_type: string;
  rope_theta: number;
  originalPositions: number;
  reader: { config: JsonObject };
}

const isPlain = (value: unknown): value is Json => ['number', 'string', 'boolean'].includes(typeof value);

/**
 * config.json with the value that its architecture takes for each key that is missing, and its rope in one form:
 * `rope_theta`, and `rope_parameters` with `rope_type`. Throws InvalidInputError where the config is none of a
 * supported architecture.
 */
export async function completeConfig(checkpoint: Checkpoint): Promise<JsonObject> {
  const { config: parsed } = await openModel(checkpoint);
  const members = parsed as unknown as Record<string, unknown>;
  const rope = members.rope as ParsedRope | undefined;
  const plain = Object.entries(members).filter((entry): entry is [string, Json] => isPlain(entry[1]));
  return {
    ...checkpoint.config,
    ...Object.fromEntries(plain),
    ...(rope
      ? {
          rope_theta: rope.rope_theta,
          rope_parameters: {
            ...rope.reader.config,
            rope_type: rope.rope_type,
            original_max_position_embeddings: rope.originalPositions,
          },
        }
      : {}),
  };
}
