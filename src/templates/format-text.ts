import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { print, represent } from './print.js';
import { isNumber, Tuple, typeName, type Value } from './values.js';

/** `'...' % values` of Python: %s %d %i %f %r %%, with width and precision. */
export function formatPercent(format: string, values: Value, budget: Budget): string {
  const items = values instanceof Tuple ? [...values.items] : [values];
  const text = format.replace(/%(.?)(\d*)(?:\.(\d+))?([\s\S]?)/g, (whole) => {
    const found = /^%(-?)(\d{0,3})(?:\.(\d{1,2}))?([sdirf%])$/.exec(shortest(whole));
    if (found === null) return unsupported(`the format ${JSON.stringify(whole)} of %`);
    const rest = whole.slice(found[0].length);
    const [, minus, width, precision, kind] = found;
    if (kind === '%') return `%${rest}`;
    if (items.length === 0) return raise('not enough arguments for format string');
    const one = formatOne(kind, items.shift() as Value, precision, budget);
    return (minus ? one.padEnd(Number(width)) : one.padStart(Number(width))) + rest;
  });
  if (items.length > 0 && !(values instanceof Map))
    return raise('not all arguments converted during string formatting');
  budget.text(text.length);
  return text;
}

/** The conversion at the begin of what was matched, which may reach one character too far. */
function shortest(text: string): string {
  return /^%-?\d*(?:\.\d+)?[a-zA-Z%]/.exec(text)?.[0] ?? text;
}

function formatOne(kind: string, value: Value, precision: string | undefined, budget: Budget): string {
  if (kind === 's' || kind === 'r') {
    const text = kind === 's' ? print(value, budget) : represent(value, budget);
    return precision === undefined ? text : [...text].slice(0, Number(precision)).join('');
  }
  if (!isNumber(value)) return raise(`%${kind} format: a number is required, not ${typeName(value)}`);
  const isWhole = typeof value !== 'number';
  if (kind === 'f') return fixed(Number(value), precision === undefined ? 6 : Number(precision));
  if (precision !== undefined) return unsupported('a precision of %d');
  return isWhole ? String(BigInt(value)) : String(BigInt(Math.trunc(value as number)));
}

/** A number with so many digits after the point; both languages round the exact binary value, half to even here. */
function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value) || Math.abs(value) >= 1e21) return unsupported(`formatting ${value}`);
  const text = value.toFixed(digits);
  return Object.is(value, -0) ? `-${text}` : text;
}

/** str.format() with {}, {0} and {name}; no format specifications. */
export function formatBraces(format: string, positional: Value[], named: Map<string, Value>, budget: Budget): string {
  let next = 0;
  const text = format.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (whole, field: string | undefined) => {
    if (whole === '{{') return '{';
    if (whole === '}}') return '}';
    if (field === undefined || !/^\w*$/.test(field))
      return unsupported(`the field ${JSON.stringify(whole)} of str.format`);
    const isIndex = /^\d*$/.test(field);
    const value = isIndex ? positional[field === '' ? next++ : Number(field)] : named.get(field);
    if (value === undefined) return raise(`str.format has no value for ${whole}`);
    return print(value, budget);
  });
  budget.text(text.length);
  return text;
}
