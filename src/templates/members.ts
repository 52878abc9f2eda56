import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { dictMethod, listMethod } from './list-methods.js';
import { stringMethod } from './string-methods.js';
import {
  isWhole,
  keyOf,
  Loop,
  Namespace,
  Once,
  orElse,
  SafeText,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

/** Attributes of Python's types that a template could ask for; those without a rule here are refused, not undefined. */
const PYTHON: Record<string, string> = {
  str:
    'capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha isascii ' +
    'isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip ' +
    'maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split ' +
    'splitlines startswith strip swapcase title translate upper zfill',
  dict: 'clear copy fromkeys get items keys pop popitem setdefault update values',
  list: 'append clear copy count extend index insert pop remove reverse sort',
  tuple: 'count index',
  int: 'as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real to_bytes',
  bool: 'as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real to_bytes',
  float: 'as_integer_ratio conjugate fromhex hex imag is_integer real',
  generator: 'close gi_code gi_frame gi_running gi_yieldfrom send throw',
  range: 'count index start step stop',
  dict_keys: 'isdisjoint mapping',
  dict_items: 'isdisjoint mapping',
  dict_values: 'mapping',
};
const ATTRIBUTES = new Map(Object.entries(PYTHON).map(([type, names]) => [type, new Set(names.split(' '))]));
/** What ImmutableSandboxedEnvironment forbids. */
const MUTATES = new Set('clear pop popitem setdefault update append extend insert remove reverse sort'.split(' '));

/** `value.name`: an attribute, else an item. */
export function attribute(value: Value, name: string, budget: Budget): Value {
  const own = ownAttribute(value, name, budget);
  if (own !== undefined) return own;
  if (value instanceof Map && value.has(name)) return value.get(name) as Value;
  return missing(value, name);
}

/** `value[key]`: an item, else an attribute of this name. */
export function item(value: Value, key: Value, budget: Budget): Value {
  if (value instanceof Undefined) return raise(`${value.what} is undefined`);
  if (value instanceof Map) {
    const found = value.get(keyOf(key));
    if (found !== undefined) return found;
  } else if (isWhole(key)) {
    const found = at(value, Number(key), budget);
    if (found !== undefined) return found;
  }
  const own = typeof key === 'string' ? ownAttribute(value, key, budget) : undefined;
  if (own !== undefined) return own;
  return missing(value, typeof key === 'string' ? key : String(key));
}

function missing(value: Value, name: string): Undefined {
  return new Undefined(`'${typeName(value)} object' has no attribute '${name.slice(0, 80)}', which`);
}

function ownAttribute(value: Value, name: string, budget: Budget): Value | undefined {
  if (value instanceof Undefined) return raise(`${value.what} is undefined`);
  if (name.startsWith('_')) return unsupported(`the attribute ${name.slice(0, 80)}`);
  if (value instanceof Loop) return orElse(value.members(name), () => unsupported(`loop.${name.slice(0, 80)}`));
  if (value instanceof Namespace) return value.members.get(name);
  if (value instanceof SafeText) return unsupported(`attributes of what the filter 'safe' made`);
  const type = typeName(value);
  if (type === 'function') return unsupported(`the attribute ${name.slice(0, 80)} of a function`);
  if (!ATTRIBUTES.get(type)?.has(name)) return undefined;
  if (MUTATES.has(name) && (Array.isArray(value) || value instanceof Map)) {
    return raise(`${type}.${name} changes a ${type}, which the sandbox of templates forbids`);
  }
  const method = methodOf(value, name, budget);
  return method ?? unsupported(`${type}.${name}`);
}

function methodOf(value: Value, name: string, budget: Budget): Value | undefined {
  if (typeof value === 'string') return stringMethod(value, name, budget);
  if (value instanceof Map) return dictMethod(value, name);
  if (Array.isArray(value)) return listMethod(value, name);
  return value instanceof Tuple ? listMethod(value.items, name) : undefined;
}

function at(value: Value, index: number, budget: Budget): Value | undefined {
  if (typeof value === 'string') return characters(value, budget).at(index);
  if (Array.isArray(value)) return value.at(index);
  const isRange = value instanceof View && value.kind === 'range';
  return value instanceof Tuple || isRange ? value.items.at(index) : undefined;
}

/** Code points of a text. */
function characters(text: string, budget: Budget): string[] {
  budget.text(text.length);
  return Array.from(text);
}

/** `value[start:stop:step]`. */
export function slice(value: Value, parts: (Value | undefined)[], budget: Budget): Value {
  if (value instanceof Undefined) return raise(`${value.what} is undefined`);
  if (value instanceof Once || (value instanceof View && value.kind !== 'range'))
    return raise(`'${typeName(value)}' object is not subscriptable`);
  const items =
    typeof value === 'string'
      ? characters(value, budget)
      : value instanceof Tuple || value instanceof View
        ? value.items
        : value;
  if (!Array.isArray(items)) return unsupported(`a slice of a ${typeName(value)}`);
  const [start, stop, step = 1] = parts.map((part) => {
    if (part === undefined || part === null) return undefined;
    if (!isWhole(part)) return raise('slice indices must be integers or None');
    return Number(part);
  });
  if (step === 0) return raise('slice step cannot be zero');
  const picked: Value[] = [];
  const { length } = items;
  const bound = (given: number | undefined, standard: number) => {
    if (given === undefined) return standard;
    const index = given < 0 ? given + length : given;
    return step > 0 ? Math.min(Math.max(index, 0), length) : Math.min(Math.max(index, -1), length - 1);
  };
  const [from, to] = step > 0 ? [bound(start, 0), bound(stop, length)] : [bound(start, length - 1), bound(stop, -1)];
  for (let i = from; step > 0 ? i < to : i > to; i += step) picked.push(items[i]);
  budget.items(picked.length);
  if (typeof value === 'string') return picked.join('');
  if (value instanceof View) return new View('range', picked);
  return value instanceof Tuple ? new Tuple(picked) : picked;
}
