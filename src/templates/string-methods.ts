import { bind, positional, textArgument, wholeArgument } from './arguments.js';
import type { Budget } from './budget.js';
import { raise } from './errors.js';
import { formatBraces } from './format-text.js';
import { print } from './print.js';
import { LINE_BREAK, SPACE } from './spaces.js';
import { type CallArguments, Callable, codePoints, iterate, Tuple, typeName, type Value } from './values.js';

type Method = (text: string, args: CallArguments, budget: Budget) => Value;

const LINE = new RegExp(LINE_BREAK, 'g');
const SPACES = new RegExp(`[${SPACE}]+`);
const LEADING = new RegExp(`^[${SPACE}]+`);
const TRAILING = new RegExp(`[${SPACE}]+$`);

/** A method of str; undefined for one that has no rule here. */
export function stringMethod(text: string, name: string, budget: Budget): Callable | undefined {
  const method = METHODS.get(name);
  if (method === undefined) return undefined;
  return new Callable(`str.${name}`, (args) => {
    budget.text(text.length);
    const result = method(text, args, budget);
    if (typeof result === 'string') budget.text(result.length);
    return result;
  });
}

const plain =
  (name: string, change: (text: string) => Value): Method =>
  (text, args) => {
    positional(name, args, 0);
    return change(text);
  };

/** Whether every character is of a class, and there is one. */
const all = (name: string, expression: RegExp) => plain(name, (text) => expression.test(text));

const isCased = (text: string, isRight: (text: string) => boolean) =>
  text.toLowerCase() !== text.toUpperCase() && isRight(text);

export const upper = (text: string) => text.toUpperCase();
export const lower = (text: string) => text.toLowerCase();

/** First character large, the others small. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Each run of letters large at its first. */
const title = (text: string) => text.replace(/[\p{L}\p{M}]+/gu, capitalize);

/** strip, lstrip and rstrip: white space, or the characters of the argument in any order. */
export function strip(text: string, characters: Value | undefined, sides: 'left' | 'right' | 'both'): string {
  let result = text;
  if (characters === undefined || characters === null) {
    if (sides !== 'right') result = result.replace(LEADING, '');
    return sides === 'left' ? result : trimEnd(result);
  }
  const set = new Set(textArgument('strip', characters));
  const points = Array.from(result);
  let [from, to] = [0, points.length];
  if (sides !== 'right') while (from < to && set.has(points[from])) from++;
  if (sides !== 'left') while (to > from && set.has(points[to - 1])) to--;
  return points.slice(from, to).join('');
}

/** Without the quadratic time of an expression that ends with $. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && TRAILING.test(text[end - 1])) end--;
  return text.slice(0, end);
}

const stripping =
  (name: string, sides: 'left' | 'right' | 'both'): Method =>
  (text, args) =>
    strip(text, positional(name, args, 1)[0], sides);

function split(text: string, args: CallArguments, fromRight: boolean): Value[] {
  const [separator, most] = bind('split', args, ['sep', 'maxsplit']);
  const limit = wholeArgument('split', most, -1);
  const max = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (separator === undefined || separator === null) return splitAtSpace(text, max, fromRight);
  const mark = textArgument('split', separator);
  if (mark === '') return raise('empty separator');
  const parts = text.split(mark);
  if (parts.length - 1 <= max) return parts;
  const kept = parts.length - max;
  return fromRight
    ? [parts.slice(0, kept).join(mark), ...parts.slice(kept)]
    : [...parts.slice(0, max), parts.slice(max).join(mark)];
}

/** Without a mark: at runs of white space, none at the ends; what is left over after `max` splits stays as it is. */
function splitAtSpace(text: string, max: number, fromRight: boolean): Value[] {
  const parts: string[] = [];
  let rest = fromRight ? trimEnd(text) : text.replace(LEADING, '');
  while (rest !== '') {
    const cut = fromRight ? lastSpace(rest) : (SPACES.exec(rest)?.index ?? -1);
    if (parts.length >= max || cut < 0) {
      parts.push(rest);
      break;
    }
    parts.push(fromRight ? rest.slice(cut) : rest.slice(0, cut));
    rest = fromRight ? trimEnd(rest.slice(0, cut)) : rest.slice(cut).replace(LEADING, '');
  }
  return fromRight ? parts.reverse() : parts;
}

/** Where the last run without white space begins; -1 if it is all of the text. */
function lastSpace(text: string): number {
  for (let at = text.length; at > 0; at--) if (TRAILING.test(text[at - 1])) return at;
  return -1;
}

function splitLines(text: string, args: CallArguments): Value[] {
  const [keep] = bind('splitlines', args, ['keepends']);
  const lines: string[] = [];
  let from = 0;
  for (const found of text.matchAll(LINE)) {
    const end = found.index + found[0].length;
    lines.push(text.slice(from, keep ? end : found.index));
    from = end;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

/** replace() of str, all or the first `count`. */
export function replaceText(text: string, from: string, to: string, count: number, budget: Budget): string {
  const parts = from === '' ? ['', ...Array.from(text), ''] : text.split(from);
  const times = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  budget.text(text.length + times * to.length);
  if (times === parts.length - 1) return parts.join(to);
  return [parts.slice(0, times + 1).join(to), ...parts.slice(times + 1)].join(from);
}

const edge =
  (name: string, holds: (text: string, part: string) => boolean): Method =>
  (text, args) => {
    const [part] = positional(name, args, 1, 1);
    const parts = part instanceof Tuple ? part.items : [part as Value];
    return parts.some((each) => holds(text, textArgument(name, each)));
  };

const place =
  (name: string, last: boolean, mustBe: boolean): Method =>
  (text, args) => {
    const part = textArgument(name, positional(name, args, 1, 1)[0]);
    const index = last ? text.lastIndexOf(part) : text.indexOf(part);
    if (index < 0 && mustBe) return raise('substring not found');
    return BigInt(index < 0 ? -1 : codePoints(text.slice(0, index)));
  };

const padding =
  (name: string, pad: (text: string, missing: number, fill: string) => string): Method =>
  (text, args, budget) => {
    const [width, fill = ' '] = positional(name, args, 2, 1);
    const missing = wholeArgument(name, width, 0) - codePoints(text);
    if (missing <= 0) return text;
    budget.text(missing);
    return pad(text, missing, textArgument(name, fill));
  };

const parting =
  (name: string, last: boolean): Method =>
  (text, args) => {
    const mark = textArgument(name, positional(name, args, 1, 1)[0]);
    if (mark === '') return raise('empty separator');
    const index = last ? text.lastIndexOf(mark) : text.indexOf(mark);
    if (index < 0) return new Tuple(last ? ['', '', text] : [text, '', '']);
    return new Tuple([text.slice(0, index), mark, text.slice(index + mark.length)]);
  };

/** Python puts the odd space of center() to the left where the width is odd too. */
export function center(text: string, missing: number, fill = ' '): string {
  const left = Math.floor(missing / 2) + (missing & (missing + codePoints(text)) & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

const METHODS = new Map<string, Method>([
  ['upper', plain('upper', upper)],
  ['lower', plain('lower', lower)],
  ['capitalize', plain('capitalize', capitalize)],
  ['title', plain('title', title)],
  ['strip', stripping('strip', 'both')],
  ['lstrip', stripping('lstrip', 'left')],
  ['rstrip', stripping('rstrip', 'right')],
  ['split', (text, args) => split(text, args, false)],
  ['rsplit', (text, args) => split(text, args, true)],
  ['splitlines', (text, args) => splitLines(text, args)],
  ['startswith', edge('startswith', (text, part) => text.startsWith(part))],
  ['endswith', edge('endswith', (text, part) => text.endsWith(part))],
  ['find', place('find', false, false)],
  ['rfind', place('rfind', true, false)],
  ['index', place('index', false, true)],
  ['rindex', place('rindex', true, true)],
  ['partition', parting('partition', false)],
  ['rpartition', parting('rpartition', true)],
  [
    'count',
    (text, args) => {
      const part = textArgument('count', positional('count', args, 1, 1)[0]);
      return BigInt(part === '' ? codePoints(text) + 1 : text.split(part).length - 1);
    },
  ],
  [
    'replace',
    (text, args, budget) => {
      const [from, to, count] = positional('replace', args, 3, 2);
      const times = wholeArgument('replace', count, -1);
      return replaceText(text, textArgument('replace', from), textArgument('replace', to), times, budget);
    },
  ],
  [
    'removeprefix',
    (text, args) => {
      const part = textArgument('removeprefix', positional('removeprefix', args, 1, 1)[0]);
      return text.startsWith(part) ? text.slice(part.length) : text;
    },
  ],
  [
    'removesuffix',
    (text, args) => {
      const part = textArgument('removesuffix', positional('removesuffix', args, 1, 1)[0]);
      return part !== '' && text.endsWith(part) ? text.slice(0, -part.length) : text;
    },
  ],
  ['join', (text, args, budget) => join(text, positional('join', args, 1, 1)[0] as Value, budget)],
  ['format', (text, { positional: values, named }, budget) => formatBraces(text, values, named, budget)],
  ['ljust', padding('ljust', (text, missing, fill) => text + fill.repeat(missing))],
  ['rjust', padding('rjust', (text, missing, fill) => fill.repeat(missing) + text)],
  ['center', padding('center', center)],
  ['isdigit', all('isdigit', /^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u)],
  ['isdecimal', all('isdecimal', /^\p{Nd}+$/u)],
  ['isalpha', all('isalpha', /^\p{L}+$/u)],
  ['isalnum', all('isalnum', /^[\p{L}\p{N}]+$/u)],
  ['isspace', all('isspace', new RegExp(`^[${SPACE}]+$`))],
  ['isupper', plain('isupper', (text) => isCased(text, (each) => each === each.toUpperCase()))],
  ['islower', plain('islower', (text) => isCased(text, (each) => each === each.toLowerCase()))],
]);

function join(mark: string, values: Value, budget: Budget): string {
  const parts = Array.from(iterate(values), (each) => {
    if (typeof each !== 'string') return raise(`sequence item: expected str instance, ${typeName(each)} found`);
    return print(each, budget);
  });
  budget.text(parts.reduce((sum, each) => sum + each.length + mark.length, 0));
  return parts.join(mark);
}
