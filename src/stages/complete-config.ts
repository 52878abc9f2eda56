import { type RopeParameters, ropeFrequencies } from '../blocks/rope.js';
import type { Checkpoint } from '../core/checkpoint.js';
import type { Json, JsonObject } from '../core/json.js';
import { openModel } from '../model/model.js';

/** Whether a member of a parsed config is plain data; a rope holds what it was read with. */
function isData(value: unknown): value is Json {
  if (['number', 'string', 'boolean'].includes(typeof value)) return true;
  if (typeof value !== 'object' || value === null || 'reader' in value) return false;
  return Object.values(value).every(isData);
}

/**
 * config.json with the value that its architecture takes for each key that is missing, and its ropes in one form:
 * `rope_theta`, and `rope_parameters` (`local_rope` of a second one) with `rope_type`, `factor` and `attention_factor`.
 * What an architecture makes of several keys is there under its name: `windows`, `routing`. Throws InvalidInputError
 * where the config is none of a supported architecture.
 */
export async function completeConfig(checkpoint: Checkpoint): Promise<JsonObject> {
  const { config: parsed } = await openModel(checkpoint);
  const members = Object.entries(parsed);
  const ropes = members.filter((entry): entry is [string, RopeParameters] => isRope(entry[1]));
  const complete: JsonObject = {
    ...checkpoint.config,
    ...Object.fromEntries(members.filter((entry): entry is [string, Json] => isData(entry[1]))),
  };
  for (const [name, rope] of ropes) {
    const settings = completeRope(rope, parsed.head_dim);
    if (name === 'rope') Object.assign(complete, { rope_theta: rope.rope_theta, rope_parameters: settings });
    else complete[name] = { ...settings, rope_theta: rope.rope_theta };
  }
  return complete;
}

const isRope = (value: unknown) => typeof value === 'object' && value !== null && 'rope_type' in value;

function completeRope(rope: RopeParameters, headDim: number): JsonObject {
  const { rope_type, originalPositions, maxPositions, reader, truncate } = rope;
  const scaled = rope_type === 'yarn' || rope_type === 'longrope';
  const rotated = Math.floor(headDim * rope.part);
  return {
    ...reader.config,
    rope_type,
    truncate,
    original_max_position_embeddings: originalPositions,
    ...(scaled
      ? {
          factor: reader.config.factor ?? maxPositions / originalPositions,
          attention_factor: ropeFrequencies(rope, rotated, 1).attention_factor,
        }
      : {}),
  };
}
