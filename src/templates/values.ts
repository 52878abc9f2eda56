import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';

/**
 * Python's values. A float is a number, an int a bigint: 1 and 1.0 print differently. A list is an array, a dict a Map
 * with keys in the order of writing.
 */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Value[]
  | Map<Value, Value>
  | Tuple
  | Undefined
  | Callable
  | Namespace
  | View
  | Once
  | Loop
  | SafeText;

export class Tuple {
  constructor(readonly items: Value[]) {}
}

/** A name or member that is not there; `what` is for messages. */
export class Undefined {
  constructor(readonly what: string) {}
}

export interface CallArguments {
  positional: Value[];
  named: Map<string, Value>;
}

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: CallArguments, budget: Budget) => Value,
  ) {}
}

export class Namespace {
  constructor(readonly members: Map<string, Value>) {}
}

/** dict.keys(), values() and items(), and range(). */
export class View {
  constructor(
    readonly kind: 'dict_keys' | 'dict_values' | 'dict_items' | 'range',
    readonly items: Value[],
  ) {}
}

/** A generator: it can be gone through once and has no length. */
export class Once {
  constructor(readonly iterator: Iterator<Value>) {}
}

/** `loop` inside a for. */
export class Loop {
  constructor(readonly members: (name: string) => Value | undefined) {}
}

/** What the filter `safe` makes: printed it is its text, in arithmetic it would escape the others. */
export class SafeText {
  constructor(readonly text: string) {}
}

export type Number_ = bigint | number | boolean;

export const isNumber = (value: Value): value is Number_ => ['bigint', 'number', 'boolean'].includes(typeof value);
export const isFloat = (value: Value): value is number => typeof value === 'number';
/** An int or a bool, which Python takes for 0 and 1. */
export const isWhole = (value: Value): value is bigint | boolean =>
  typeof value === 'bigint' || typeof value === 'boolean';

/** A value that may be missing; None is one that is there, so that `??` would be wrong. */
export const orElse = (value: Value | undefined, other: () => Value): Value => (value === undefined ? other() : value);

/** The name of a value's type in Python's messages. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Once) return 'generator';
  if (value instanceof View) return value.kind;
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Loop) return 'LoopContext';
  if (value instanceof Callable) return 'function';
  if (value instanceof SafeText) return 'Markup';
  const names: Record<string, string> = { boolean: 'bool', bigint: 'int', number: 'float', string: 'str' };
  return names[typeof value];
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof SafeText) return value.text !== '';
  if (typeof value === 'object') return true;
  return Boolean(value) || Number.isNaN(value);
}

/** len() of code points, items or keys; undefined where a value has none. */
export function lengthOf(value: Value): number | undefined {
  if (typeof value === 'string') return codePoints(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Undefined) return 0;
  if (value instanceof Loop) return Number(value.members('length'));
  return undefined;
}

export function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0xd800 && code < 0xdc00 && text.charCodeAt(at + 1) >= 0xdc00) at++;
    count++;
  }
  return count;
}

/** What a for loop goes through. Throws as Python does for a value that cannot be. */
export function iterate(value: Value): Iterable<Value> {
  if (typeof value === 'string' || Array.isArray(value)) return value;
  if (value instanceof Map) return value.keys();
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Undefined) return [];
  if (value instanceof Once) {
    const { iterator } = value;
    // not iterator.return(): what a loop leaves over is still there for the next one
    return { [Symbol.iterator]: () => ({ next: () => iterator.next() }) };
  }
  if (value instanceof SafeText || value instanceof Loop) return unsupported(`going through a ${typeName(value)}`);
  return raise(`'${typeName(value)}' object is not iterable`);
}

export function isIterable(value: Value): boolean {
  const isPlain = value === null || isNumber(value) || value instanceof Callable || value instanceof Namespace;
  return !isPlain;
}

/** `==` of Python: 1 == 1.0 == True, lists and dicts by what they hold. */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  budget.step();
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b) === 0;
  if (typeof a === 'string' && typeof b === 'string') {
    if (a.length === b.length) budget.text(a.length);
    return a === b;
  }
  if (a instanceof SafeText || b instanceof SafeText) return unsupported("comparing what the filter 'safe' made");
  if (a instanceof Undefined) return b instanceof Undefined;
  return budget.deeper(() => {
    if (Array.isArray(a) && Array.isArray(b)) return equalItems(a, b, budget);
    if (a instanceof Tuple && b instanceof Tuple) return equalItems(a.items, b.items, budget);
    if (a instanceof Map && b instanceof Map) {
      return a.size === b.size && [...a].every(([key, each]) => b.has(key) && equal(each, b.get(key) as Value, budget));
    }
    if (a instanceof View || b instanceof View) return unsupported('comparing dict views');
    return a === b;
  });
}

const equalItems = (a: Value[], b: Value[], budget: Budget) =>
  a.length === b.length && a.every((each, index) => equal(each, b[index], budget));

/** -1, 0 or 1; NaN where either is not a number. Ints are compared exactly with floats, as JavaScript does too. */
export function compareNumbers(a: Number_, b: Number_): number {
  const [x, y] = [typeof a === 'boolean' ? BigInt(a) : a, typeof b === 'boolean' ? BigInt(b) : b];
  if (x < y) return -1;
  if (x > y) return 1;
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a number
  return x == y ? 0 : Number.NaN;
}

/** Order of Python's `<`: numbers, strings by code points, lists and tuples item by item. */
export function compareValues(a: Value, b: Value, operator: string, budget: Budget): number {
  budget.step();
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b);
  if (typeof a === 'string' && typeof b === 'string') {
    budget.text(Math.min(a.length, b.length));
    return compareStrings(a, b);
  }
  const [x, y] = [itemsOf(a), itemsOf(b)];
  if (x && y && Array.isArray(a) === Array.isArray(b)) {
    return budget.deeper(() => {
      for (let i = 0; i < Math.min(x.length, y.length); i++) {
        if (!equal(x[i], y[i], budget)) return compareValues(x[i], y[i], operator, budget);
      }
      return Math.sign(x.length - y.length);
    });
  }
  if (a instanceof SafeText || b instanceof SafeText) return unsupported("comparing what the filter 'safe' made");
  if (a instanceof View || b instanceof View) return unsupported('comparing dict views');
  return raise(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

function itemsOf(value: Value): Value[] | null {
  if (Array.isArray(value)) return value;
  return value instanceof Tuple ? value.items : null;
}

/** By code points, where JavaScript compares UTF-16 units. */
function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  if (at === a.length || at === b.length) return a.length < b.length ? -1 : 1;
  const isSurrogate = (code: number) => code >= 0xd800 && code < 0xe000;
  const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
  // A surrogate stands for a code point above all others.
  if (isSurrogate(x) !== isSurrogate(y)) return isSurrogate(x) ? 1 : -1;
  return x < y ? -1 : 1;
}

/** A value as the key of a dict; ints and bools would be one key in Python where they are equal. */
export function keyOf(value: Value): Value {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value;
  if (Array.isArray(value) || value instanceof Map) return raise(`unhashable type: '${typeName(value)}'`);
  return unsupported(`a ${typeName(value)} as the key of a dict`);
}

/** JSON or plain values of JavaScript as Python values; whole numbers become ints. */
export function fromPlain(value: unknown): Value {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint')
    return value;
  if (typeof value === 'number') return Number.isInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(fromPlain);
  if (value instanceof Map) return new Map([...value].map(([key, each]) => [key, fromPlain(each)]));
  if (typeof value === 'object') return new Map(Object.entries(value).map(([key, each]) => [key, fromPlain(each)]));
  return unsupported(`a value of type ${typeof value}`);
}
