/** Longest value of a file that is shown. */
export const SHOWN_CHARACTERS = 80;
/** Longest message: the values in it are cut before. */
const MESSAGE_CHARACTERS = 2000;
/** Longest word, which may be a path. */
const WORD_CHARACTERS = 400;

/** Control characters, marks that turn the direction of text, and the line separators of Unicode. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

const escaped = (character: string): string => {
  const code = character.charCodeAt(0).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`;
};

/**
 * Text that may hold names from untrusted files, made safe for a terminal: control characters other than newline and
 * tab, which could move the cursor or retitle the window, and marks that reorder what is shown become \xNN or \uNNNN.
 */
export const printable = (text: string): string =>
  text.replace(UNPRINTABLE, (character) => (character === '\n' || character === '\t' ? character : escaped(character)));

/** The same for text that is one line: newlines and tabs are escaped too, so that no name can fake a line of ours. */
export const printableLine = (text: string): string =>
  text.replace(UNPRINTABLE, (character) =>
    character === '\n' ? '\\n' : character === '\t' ? '\\t' : escaped(character),
  );

/** Lines of a result, each of which may hold names. */
export const printableLines = (lines: readonly string[]): string => lines.map(printableLine).join('\n');

/** A name from a file as it stands in tables and notes: one printable line of at most 80 characters. */
export function shown(name: string): string {
  // What is cut first is not escaped in vain: a name may have megabytes.
  const line = printableLine(name.slice(0, SHOWN_CHARACTERS + 1));
  return name.length <= SHOWN_CHARACTERS && line.length <= SHOWN_CHARACTERS ? line : cut(line, SHOWN_CHARACTERS);
}

/** A value from a file as it is quoted in messages: its JSON, printable, of at most 80 characters. */
export function quoted(value: unknown): string {
  if (typeof value === 'string') {
    const text = printableLine(JSON.stringify(value.slice(0, SHOWN_CHARACTERS + 1)));
    return value.length <= SHOWN_CHARACTERS && text.length <= SHOWN_CHARACTERS + 2
      ? text
      : `"${cut(text.slice(1, -1), SHOWN_CHARACTERS)}"`;
  }
  const text = printableLine(outlineOf(value, SHOWN_CHARACTERS));
  return text.length <= SHOWN_CHARACTERS ? text : cut(text, SHOWN_CHARACTERS);
}

/** What an error or a note says: one printable line whose quoted values and words are not longer than can be read. */
export function message(text: string): string {
  const line = printableLine(text)
    .replace(/"((?:[^"\\]|\\.)*)"/g, (whole, inner: string) =>
      inner.length > SHOWN_CHARACTERS && !inner.includes('/') ? `"${cut(inner, SHOWN_CHARACTERS)}"` : whole,
    )
    .replace(/\S{401,}/g, (word) => ends(word, WORD_CHARACTERS));
  return line.length <= MESSAGE_CHARACTERS ? line : ends(line, MESSAGE_CHARACTERS);
}

/** The first characters of escaped text; no escape is cut in two. */
function cut(text: string, most: number): string {
  const short = text.slice(0, most - 3).replace(/\\(x[0-9a-f]?|u[0-9a-f]{0,3})?$/, '');
  return `${/[\ud800-\udbff]$/.test(short) ? short.slice(0, -1) : short}...`;
}

const ends = (text: string, most: number): string =>
  `${text.slice(0, Math.ceil((2 * most) / 3))} ... ${text.slice(text.length - Math.floor(most / 3))}`;

/** The beginning of a value's JSON, at least `most` characters where it has them; no deeper and wider than is shown. */
function outlineOf(value: unknown, most: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, most));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  const isList = Array.isArray(value);
  let text = '';
  for (const key in value) {
    if (text.length > most) break;
    if (!Object.hasOwn(value, key)) continue;
    const each = (value as Record<string, unknown>)[key];
    const inner = most - text.length <= 0 ? '' : outlineOf(each, most - text.length - 1);
    text += `${text === '' ? '' : ','}${isList ? '' : `${JSON.stringify(key.slice(0, most))}:`}${inner}`;
  }
  return isList ? `[${text}]` : `{${text}}`;
}
