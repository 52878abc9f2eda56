import type { Json, JsonObject } from '../core/json.js';

/** Numbers that JSON has no word for: Python writes them bare, transformers 5 as `{ "__float__": <word> }`. */
const WORDS = ['Infinity', '-Infinity', 'NaN'];

const TAG = '__float__';

/**
 * Parses JSON as Python's json module writes it. Infinity, -Infinity and NaN become `{ "__float__": <word> }`, the form
 * of transformers 5. Throws SyntaxError for other text.
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const tagged = text.replace(/"(?:[^"\\]|\\.)*"|(?<![\w.+-])(?:-?Infinity|NaN)(?![\w.])/g, (token) =>
      WORDS.includes(token) ? `{"${TAG}":"${token}"}` : token,
    );
    if (tagged === text) throw error;
    return JSON.parse(tagged);
  }
}

/**
 * JSON text of `value`, indented by two spaces. A number that stands at the same place in `source`, a JSON text, is
 * written as it is there: 50.0 stays 50.0 and 1e-05 stays 1e-05, an integer of any length keeps its digits, and a bare
 * Infinity stays bare.
 */
export function formatJson(value: JsonObject, source = ''): string {
  const lexemes = source === '' ? new Map<string, string>() : numberLexemes(source);
  const write = (each: Json, path: (string | number)[], indent: string): string => {
    if (typeof each === 'number') {
      const lexeme = lexemes.get(JSON.stringify(path));
      return lexeme !== undefined && Number(lexeme) === each ? lexeme : JSON.stringify(each);
    }
    if (typeof each !== 'object' || each === null) return JSON.stringify(each);
    const word = wordOf(each);
    if (word !== undefined && lexemes.get(JSON.stringify(path)) === word) return word;
    const inner = `${indent}  `;
    const items = Array.isArray(each)
      ? each.map((item, index) => write(item, [...path, index], inner))
      : Object.entries(each)
          .filter(([, item]) => item !== undefined)
          .map(([key, item]) => `${JSON.stringify(key)}: ${write(item, [...path, key], inner)}`);
    const [open, close] = Array.isArray(each) ? '[]' : '{}';
    return items.length === 0 ? open + close : `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}`;
  };
  return `${write(value, [], '')}\n`;
}

/** The word of a number that is not finite, where a value stands for one. */
export function wordOf(value: Json | undefined): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const word = value[TAG];
  return typeof word === 'string' && WORDS.includes(word) && Object.keys(value).length === 1 ? word : undefined;
}

/** The numbers of a JSON text as they are written, by their paths as JSON. */
function numberLexemes(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const path: (string | number)[] = [];
  const lists: boolean[] = [];
  let beforeKey = false;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const last = path.length - 1;
    if (token === '{' || token === '[') {
      lists.push(token === '[');
      path.push(token === '[' ? 0 : '');
      beforeKey = token === '{';
    } else if (token === '}' || token === ']') {
      lists.pop();
      path.pop();
      beforeKey = false;
    } else if (token === ',') {
      if (lists.at(-1)) path[last] = (path[last] as number) + 1;
      else beforeKey = true;
    } else if (token.startsWith('"')) {
      if (beforeKey) path[last] = JSON.parse(token);
      beforeKey = false;
    } else if (/^-?\d/.test(token) || WORDS.includes(token)) {
      found.set(JSON.stringify(path), token);
    }
  }
  return found;
}
