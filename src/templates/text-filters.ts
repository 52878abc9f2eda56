import { bind, textArgument, wholeArgument } from './arguments.js';
import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { attribute } from './members.js';
import { contains } from './operators.js';
import { print, printJson } from './print.js';
import { LINE_BREAK, SPACE } from './spaces.js';
import { capitalize, center, lower, replaceText, strip, upper } from './string-methods.js';
import {
  type CallArguments,
  codePoints,
  isNumber,
  isTrue,
  iterate,
  lengthOf,
  SafeText,
  typeName,
  Undefined,
  type Value,
} from './values.js';

export type Filter = (value: Value, args: CallArguments, budget: Budget) => Value;

/** The text of a value, as filters for texts take it. */
const textOf = (value: Value, budget: Budget): string =>
  value instanceof SafeText ? unsupported("a filter after 'safe'") : print(value, budget);

const textFilter =
  (change: (text: string) => string): Filter =>
  (value, _args, budget) => {
    const text = textOf(value, budget);
    budget.text(text.length);
    return change(text);
  };

const LINES = new RegExp(LINE_BREAK);
const WORD_BEGIN = new RegExp(`([-${SPACE}({[<]+)`);

const tojson: Filter = (value, args, budget) => {
  const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
  const [ascii = false, indent = null, separators = null, sorted = false] = bind('tojson', args, names);
  let step: string | null = null;
  if (typeof indent === 'string') step = indent;
  else if (indent !== null) {
    const width = Math.max(0, wholeArgument('tojson', indent, 0));
    budget.text(width);
    step = ' '.repeat(width);
  }
  const marks = separators === null ? [step === null ? ', ' : ',', ': '] : [...iterate(separators)];
  if (marks.length !== 2) return raise('tojson: separators are two texts');
  const [between, after] = marks.map((mark) => textArgument('tojson', mark));
  const style = { ascii: isTrue(ascii), indent: step, separators: [between, after] as const, sorted: isTrue(sorted) };
  return printJson(value, style, budget);
};

const standard: Filter = (value, args) => {
  const [other = '', boolean = false] = bind('default', args, ['default_value', 'boolean']);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? other : value;
};

const length: Filter = (value) => {
  const count = lengthOf(value);
  if (count === undefined) return raise(`object of type '${typeName(value)}' has no len()`);
  return BigInt(count);
};

const indent: Filter = (value, args, budget) => {
  const [width = 4n, first = false, blank = false] = bind('indent', args, ['width', 'first', 'blank']);
  const text = textOf(value, budget);
  let step: string;
  if (typeof width === 'string') step = width;
  else {
    const count = Math.max(0, wholeArgument('indent', width, 4));
    budget.text(count);
    step = ' '.repeat(count);
  }
  // jinja2 adds a newline before it looks for lines: "this quirk is necessary for splitlines method"
  const lines = `${text}\n`.split(LINES);
  lines.pop();
  budget.text(text.length + step.length * lines.length);
  const [head, ...rest] = lines;
  const rows = [head, ...rest.map((line) => (isTrue(blank) || line !== '' ? step + line : line))];
  return (isTrue(first) ? step : '') + rows.join('\n');
};

const replace: Filter = (value, args, budget) => {
  const [from, to, count] = bind('replace', args, ['old', 'new', 'count'], 2);
  const times = count === undefined || count === null ? -1 : wholeArgument('replace', count, -1);
  const [old, other] = [textOf(from as Value, budget), textOf(to as Value, budget)];
  return replaceText(textOf(value, budget), old, other, times, budget);
};

const toInt: Filter = (value, args, budget) => {
  const [other = 0n, base = 10n] = bind('int', args, ['default', 'base']);
  if (base !== 10n) return unsupported('a base of the filter int');
  if (typeof value === 'number') return Number.isFinite(value) ? BigInt(Math.trunc(value)) : other;
  if (isNumber(value)) return BigInt(value);
  if (typeof value !== 'string') return other;
  const text = strip(value, undefined, 'both').replace(/(?<=\d)_(?=\d)/g, '');
  budget.text(text.length);
  if (/^[-+]?\d+$/.test(text)) {
    if (text.length > 1000) unsupported('an int of more than 1000 digits');
    return BigInt(text.replace('+', ''));
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) && Number.isFinite(Number(text))
    ? BigInt(Math.trunc(Number(text)))
    : other;
};

const toFloat: Filter = (value, args) => {
  const [other = 0] = bind('float', args, ['default']);
  if (isNumber(value)) return Number(value);
  if (typeof value !== 'string') return other;
  const text = strip(value, undefined, 'both').replace(/(?<=\d)_(?=\d)/g, '');
  if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text)) return Number(text);
  return /^[-+]?(inf|infinity|nan)$/i.test(text) ? unsupported(`the float ${text}`) : other;
};

const round: Filter = (value, args) => {
  const [precision = 0n, method = 'common'] = bind('round', args, ['precision', 'method']);
  if (!isNumber(value)) return raise(`type ${typeName(value)} doesn't define __round__ method`);
  if (precision !== 0n) return unsupported('a precision of the filter round');
  if (method === 'ceil') return Math.ceil(Number(value));
  if (method === 'floor') return Math.floor(Number(value));
  if (method !== 'common') return raise('method must be common, ceil or floor');
  if (typeof value !== 'number') return BigInt(value);
  // Python rounds halves to even
  const below = Math.floor(value);
  const half = value - below;
  if (half !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
};

const absolute: Filter = (value) => {
  if (!isNumber(value)) return raise(`bad operand type for abs(): '${typeName(value)}'`);
  if (typeof value === 'number') return Math.abs(value);
  const whole = BigInt(value);
  return whole < 0n ? -whole : whole;
};

const title = (text: string) =>
  text
    .split(WORD_BEGIN)
    .map((part) => {
      const [first = ''] = part;
      return first.toUpperCase() + part.slice(first.length).toLowerCase();
    })
    .join('');

const truncate: Filter = (value, args, budget) => {
  const names = ['length', 'killwords', 'end', 'leeway'];
  const [size, kills = false, end = '...', leeway] = bind('truncate', args, names);
  const most = wholeArgument('truncate', size, 255);
  const points = Array.from(textOf(value, budget));
  const tail = textArgument('truncate', end);
  budget.text(points.length);
  if (points.length <= most + wholeArgument('truncate', leeway, 5)) return points.join('');
  const kept = points.slice(0, most - codePoints(tail)).join('');
  if (isTrue(kills)) return kept + tail;
  const space = kept.lastIndexOf(' ');
  return (space < 0 ? kept : kept.slice(0, space)) + tail;
};

/** Filters that take texts and numbers, and tojson as transformers replaces it. */
export const TEXT_FILTERS: [string, Filter][] = [
  ['abs', absolute],
  ['capitalize', textFilter(capitalize)],
  [
    'center',
    (value, args, budget) => {
      const text = textOf(value, budget);
      const missing = wholeArgument('center', bind('center', args, ['width'])[0], 80) - codePoints(text);
      budget.text(Math.max(missing, 0));
      return missing <= 0 ? text : center(text, missing);
    },
  ],
  ['count', length],
  ['d', standard],
  ['default', standard],
  ['float', toFloat],
  ['indent', indent],
  ['int', toInt],
  ['length', length],
  ['lower', textFilter(lower)],
  ['replace', replace],
  ['round', round],
  ['safe', (value, _args, budget) => (value instanceof SafeText ? value : new SafeText(print(value, budget)))],
  ['string', (value, _args, budget) => (value instanceof SafeText ? value : print(value, budget))],
  ['title', textFilter(title)],
  ['tojson', tojson],
  [
    'trim',
    (value, args, budget) => {
      const text = textOf(value, budget);
      budget.text(text.length);
      return strip(text, bind('trim', args, ['chars'])[0], 'both');
    },
  ],
  ['truncate', truncate],
  ['upper', textFilter(upper)],
  [
    'wordcount',
    (value, _args, budget) => BigInt(textOf(value, budget).match(/[\p{L}\p{N}\p{Mn}\p{Pc}]+/gu)?.length ?? 0),
  ],
  [
    'attr',
    (value, args, budget) => {
      const name = textArgument('attr', bind('attr', args, ['name'], 1)[0]);
      // attributes alone, where a dot would look for items too
      if (value instanceof Map)
        return contains([...value.keys()], name, budget) ? unsupported('attr of a dict') : new Undefined(name);
      return attribute(value, name, budget);
    },
  ],
];
