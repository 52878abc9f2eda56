import { join } from 'node:path';
import type { JsonObject } from '../core/json.js';
import { isInput, LARGEST } from './input-file.js';
import { readJsonObject, readText } from './text.js';

/** The files of a tokenizer in Hugging Face layout. `chatTemplate` is Jinja source, null where there is none. */
export interface TokenizerFiles {
  tokenizer: JsonObject;
  config: JsonObject;
  chatTemplate: string | null;
}

/**
 * Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and chat_template.jinja of a package or
 * checkpoint; null without tokenizer.json. As in transformers, chat_template.jinja goes before tokenizer_config.json's
 * `chat_template`, and of a list of named templates `default` is the one; tokens that tokenizer_config.json does not
 * name come from special_tokens_map.json.
 */
export function readTokenizerFiles(dir: string): TokenizerFiles | null {
  const tokenizer = readJsonObject(join(dir, 'tokenizer.json'), LARGEST.lists);
  if (tokenizer === undefined) return null;
  const config = {
    ...readJsonObject(join(dir, 'special_tokens_map.json')),
    ...readJsonObject(join(dir, 'tokenizer_config.json')),
  };
  const file = join(dir, 'chat_template.jinja');
  const chatTemplate = isInput(file) ? readText(file) : defaultTemplate(config.chat_template);
  return { tokenizer, config, chatTemplate };
}

function defaultTemplate(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const templates = value as { name?: unknown; template?: unknown }[];
  const chosen = templates.find((t) => t?.name === 'default');
  return typeof chosen?.template === 'string' ? chosen.template : null;
}
