import { unreadKeys } from '../blocks/unknown-keys.js';
import { InvalidInputError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import { nearest } from '../core/nearest.js';
import { find, ids } from '../registry.js';

const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The family in the name of a class of transformers: `qwen3moe` for Qwen3MoeForCausalLM. */
function familyOf(config: JsonObject): string | undefined {
  const [name] = Array.isArray(config.architectures) ? config.architectures : [];
  return typeof name === 'string' ? plain(name.replace(/(For[A-Z]\w*|LMHeadModel|Model)$/, '')) : undefined;
}

/** What to say where config.json names a class of another family than its model_type, which alone counts. */
export function otherClass(config: JsonObject): string | undefined {
  const [family, type] = [familyOf(config), plain(String(config.model_type))];
  if (!family || type.startsWith(family) || family.startsWith(type)) return undefined;
  // one drawing under two names
  if (['mistral', 'ministral'].includes(family) && ['mistral', 'ministral'].includes(type)) return undefined;
  return (
    `config.json: "architectures" names ${JSON.stringify((config.architectures as string[])[0])} and "model_type" ` +
    `${JSON.stringify(config.model_type)}: "model_type" counts, as in transformers.`
  );
}

/**
 * What to say of a model_type that no file draws. Another one is named as meant only where it looks like a slip of the
 * pen (the same digits) and all the rest of the config speaks for it: the class, every key, every value.
 */
export async function unknownModelType(config: JsonObject): Promise<string> {
  const id = String(config.model_type);
  const guess = nearest(id, ids('architectures'));
  const shown = JSON.stringify(id.length > 60 ? `${id.slice(0, 60)}...` : id);
  const meant = guess !== undefined && (await isMeant(guess, id, config)) ? ` Did you mean "${guess}"?` : '';
  return `model_type ${shown} is not supported; supported are ${ids('architectures').join(', ')}.${meant}`;
}

async function isMeant(guess: string, id: string, config: JsonObject): Promise<boolean> {
  const digits = (text: string) => text.replace(/\D/g, '');
  if (digits(guess) !== digits(id) || familyOf(config) !== plain(guess)) return false;
  const architecture = (await find('architectures', guess))!;
  const renamed = { ...config, model_type: guess };
  if (unreadKeys(renamed, architecture.keys).length > 0) return false;
  try {
    architecture.parseConfig(renamed);
    return true;
  } catch (error) {
    if (error instanceof InvalidInputError) return false;
    throw error;
  }
}
