import type { JsonObject } from '../core/json.js';

/**
 * Parses a JSON object and refuses a key that stands twice in one object, of which JSON.parse silently keeps the last.
 * Throws Error with a short reason.
 */
export function parseStrictJson(text: string): JsonObject {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is no object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw new Error(`the name ${repeated} stands twice`);
  return value as JsonObject;
}

/** The first key, as written, that an object of this valid JSON text holds twice. */
function repeatedKey(text: string): string | undefined {
  const objects: (Set<string> | null)[] = [];
  // strings, and the signs that open, close and separate
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    const [token, colon] = match;
    if (token === '{') objects.push(new Set());
    else if (token === '[') objects.push(null);
    else if (token === '}' || token === ']') objects.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - colon.length)) as string;
      const keys = objects.at(-1);
      if (keys?.has(key)) return JSON.stringify(key);
      keys?.add(key);
    }
  }
  return undefined;
}
