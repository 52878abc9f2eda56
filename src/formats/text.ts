import { readFileSync, statSync } from 'node:fs';
import { EnvironmentError, InvalidInputError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import { parsePythonJson } from './python-json.js';

/** Larger than any real config, index or tokenizer (DeepSeek-V3's index has 9 MB). */
const MAX_JSON_BYTES = 200_000_000;

/** Reads a file that holds one JSON object, as Python writes it (python-json.ts); undefined where there is none. Throws InvalidInputError for other content. */
export function readJsonObject(file: string): JsonObject | undefined {
  let text: string;
  try {
    const { size } = statSync(file);
    if (size > MAX_JSON_BYTES) {
      throw new InvalidInputError(
        `${file}: has ${size} bytes; at most ${MAX_JSON_BYTES} are read.`,
        'check this file.',
      );
    }
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new EnvironmentError(`${file}: cannot be read (${code}).`, 'check the permissions of this file.');
  }
  let value: unknown;
  try {
    value = parsePythonJson(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new InvalidInputError(
      `${file}: is not valid JSON: ${(error as Error).message}.`,
      'download this file again.',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInputError(
      `${file}: holds ${Array.isArray(value) ? 'a list' : typeof value}; needed is an object.`,
      'download this file again.',
    );
  }
  return value as JsonObject;
}

/** Reads a text file. Throws InvalidInputError where there is none or it is not UTF-8. */
export function readText(file: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new InvalidInputError(`${file}: there is no such file.`, 'check the path.');
    throw new EnvironmentError(`${file}: cannot be read (${code}).`, 'check the permissions of this file.');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InvalidInputError(`${file}: is not UTF-8 text.`, 'give a plain text file.');
  }
}
