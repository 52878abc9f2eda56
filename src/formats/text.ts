import { InvalidInputError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import { isAbsent, LARGEST, readInput } from './input-file.js';
import { parsePythonJson } from './python-json.js';
import { checkDepth } from './strict-json.js';

/**
 * Reads a file that holds one JSON object, as Python writes it (python-json.ts); undefined where there is none. Throws InvalidInputError for other content,
 * for more than `most` bytes and for objects in each other beyond any real depth.
 */
export function readJsonObject(file: string, most: number = LARGEST.settings): JsonObject | undefined {
  const bytes = readIfThere(file, most);
  if (!bytes) return undefined;
  let value: unknown;
  try {
    const text = new TextDecoder().decode(bytes);
    checkDepth(text);
    value = parsePythonJson(text);
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

function readIfThere(file: string, most: number): Uint8Array | undefined {
  try {
    return readInput(file, most);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Reads a text file. Throws InvalidInputError where there is none, where it is not UTF-8 or too large. */
export function readText(file: string): string {
  const bytes = readInput(file, LARGEST.text);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InvalidInputError(`${file}: is not UTF-8 text.`, 'give a plain text file.');
  }
}
