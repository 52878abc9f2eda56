import type { JsonObject } from '../core/json.js';

/** Deeper than any real file: beyond some thousand, code that walks through values runs out of stack. */
const DEEPEST = 200;

/** Parses JSON. Throws Error with a short reason, also for lists and objects in each other more than 200 deep. */
export function parseJson(text: string): unknown {
  const clean = text.startsWith('\uFEFF') ? text.slice(1) : text;
  // Before it is parsed: values as deep as this cannot even be released without harm by those who walk through them.
  checkDepth(clean);
  return JSON.parse(clean);
}

/**
 * Throws Error for lists and objects in each other more than 200 deep, by counting open brackets outside of strings; what
 * is no JSON is for the parser to say.
 */
export function checkDepth(text: string): void {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22:
        at = endOfString(text, at);
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > DEEPEST) throw new Error(`its values are nested deeper than ${DEEPEST}`);
        break;
      case 0x5d:
      case 0x7d:
        depth--;
    }
  }
}

/** Position of the quote that ends the string which starts at `start`. */
function endOfString(text: string, start: number): number {
  for (let from = start + 1; ; ) {
    const end = text.indexOf('"', from);
    if (end === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
    from = end + 1;
  }
}

/**
 * Parses a JSON object and refuses a key that stands twice in one object, of which JSON.parse silently keeps the last.
 * Throws Error with a short reason.
 */
export function parseStrictJson(text: string): JsonObject {
  const value = parseJson(text);
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
