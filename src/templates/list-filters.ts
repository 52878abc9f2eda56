import { bind, wholeArgument } from './arguments.js';
import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { item } from './members.js';
import { operate } from './operators.js';
import { print } from './print.js';
import { runTest } from './tests.js';
import type { Filter } from './text-filters.js';
import {
  compareValues,
  equal,
  isTrue,
  isWhole,
  iterate,
  Once,
  orElse,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

const listOf = (value: Value, budget: Budget): Value[] => {
  const items: Value[] = [];
  for (const each of iterate(value)) {
    budget.step();
    items.push(each);
  }
  budget.items(items.length);
  return items;
};

/** jinja2's make_attrgetter: `a.b.0` is followed part by part; `standard` stands for what is undefined. */
export function getter(path: Value | undefined, budget: Budget, standard?: Value): (value: Value) => Value {
  if (path === undefined || path === null) return (value) => value;
  const parts: Value[] =
    typeof path === 'string'
      ? path.split('.').map((part) => (/^\d+$/.test(part) ? BigInt(part) : part))
      : isWhole(path)
        ? [path]
        : unsupported(`the attribute ${typeName(path)}`);
  return (value) => {
    let found = value;
    for (const part of parts) {
      found = item(found, part, budget);
      if (found instanceof Undefined && standard !== undefined) found = standard;
    }
    return found;
  };
}

const lowered = (value: Value) => (typeof value === 'string' ? value.toLowerCase() : value);

function sorted(items: Value[], key: (value: Value) => Value, isReversed: boolean, budget: Budget): Value[] {
  const keyed = items.map((each): [Value, Value] => [key(each), each]);
  const order = (a: Value, b: Value) => compareValues(a, b, '<', budget);
  keyed.sort(([a], [b]) => (isReversed ? order(b, a) : order(a, b)));
  return keyed.map(([, each]) => each);
}

const sort: Filter = (value, args, budget) => {
  const names = ['reverse', 'case_sensitive', 'attribute'];
  const [reverse = false, isExact = false, path] = bind('sort', args, names);
  // keys are lists, so that equal ones are not asked which is less: None and what is undefined sort among themselves
  const gets = (typeof path === 'string' ? path.split(',') : [path]).map((each) => getter(each, budget));
  const key = (each: Value) => gets.map((get) => (isTrue(isExact) ? get(each) : lowered(get(each))));
  return sorted(listOf(value, budget), key, isTrue(reverse), budget);
};

const dictsort: Filter = (value, args, budget) => {
  const [isExact = false, by = 'key', reverse = false] = bind('dictsort', args, ['case_sensitive', 'by', 'reverse']);
  if (!(value instanceof Map)) return raise(`'${typeName(value)}' object has no attribute 'items'`);
  if (by !== 'key' && by !== 'value') return raise('You can only sort by either "key" or "value"');
  const place = by === 'key' ? 0 : 1;
  const entries = [...value].map((entry) => new Tuple(entry));
  const key = (entry: Value) => {
    const part = (entry as Tuple).items[place];
    return isTrue(isExact) ? part : lowered(part);
  };
  return sorted(entries, key, isTrue(reverse), budget);
};

const join: Filter = (value, args, budget) => {
  const [mark = '', path] = bind('join', args, ['d', 'attribute']);
  const get = getter(path, budget);
  const parts = listOf(value, budget).map((each) => print(get(each), budget));
  const between = print(mark, budget);
  budget.text(parts.reduce((sum, part) => sum + part.length + between.length, 0));
  return parts.join(between);
};

const first: Filter = (value, _args, budget) => {
  for (const each of iterate(value)) return each;
  budget.step();
  return new Undefined('No first item, sequence was empty, which');
};

const last: Filter = (value, _args, budget) => {
  if (value instanceof Once) return raise("'generator' object is not reversible");
  return orElse(listOf(value, budget).at(-1), () => new Undefined('No last item, sequence was empty, which'));
};

const reverse: Filter = (value, _args, budget) => {
  if (typeof value === 'string') return listOf(value, budget).reverse().join('');
  return new Once(listOf(value, budget).reverse().values());
};

const sum: Filter = (value, args, budget) => {
  const [path, start = 0n] = bind('sum', args, ['attribute', 'start']);
  const get = getter(path, budget);
  return listOf(value, budget).reduce((total, each) => operate('+', total, get(each), budget), start);
};

const extreme =
  (name: string, sign: 1 | -1): Filter =>
  (value, args, budget) => {
    const [isExact = false, path] = bind(name, args, ['case_sensitive', 'attribute']);
    const get = getter(path, budget);
    const key = (each: Value) => (isTrue(isExact) ? get(each) : lowered(get(each)));
    let best: Value | undefined;
    for (const each of listOf(value, budget)) {
      if (best === undefined || compareValues(key(each), key(best), '<', budget) * sign > 0) best = each;
    }
    return orElse(best, () => new Undefined('No aggregated item, sequence was empty, which'));
  };

/** select and reject, of the items themselves or of an attribute. */
const selecting =
  (name: string, wants: boolean, byAttribute: boolean): Filter =>
  (value, { positional, named }, budget) => {
    const [path, ...others]: (Value | undefined)[] = byAttribute ? positional : [undefined, ...positional];
    if (byAttribute && path === undefined) return raise('Missing parameter for attribute name');
    const get = getter(path, budget);
    const [test, ...rest] = others as Value[];
    if (test !== undefined && typeof test !== 'string') return raise(`${name}: a test is a name`);
    const holds = (each: Value) => {
      const found = get(each);
      return test === undefined ? isTrue(found) : runTest(test, found, { positional: rest, named }, budget);
    };
    return new Once(selected(iterate(value), (each) => holds(each) === wants, budget));
  };

function* selected(items: Iterable<Value>, isWanted: (value: Value) => boolean, budget: Budget): Iterator<Value> {
  for (const each of items) {
    budget.step();
    if (isWanted(each)) yield each;
  }
}

const unique: Filter = (value, args, budget) => {
  const [isExact = false, path] = bind('unique', args, ['case_sensitive', 'attribute']);
  const get = getter(path, budget);
  const seen: Value[] = [];
  const isNew = (each: Value) => {
    const key = isTrue(isExact) ? get(each) : lowered(get(each));
    if (seen.some((known) => equal(known, key, budget))) return false;
    seen.push(key);
    return true;
  };
  return new Once(selected(iterate(value), isNew, budget));
};

const batch: Filter = (value, args, budget) => {
  const [count, fill] = bind('batch', args, ['linecount', 'fill_with'], 1);
  const size = wholeArgument('batch', count, 1);
  if (size < 1) return unsupported('batches of less than 1');
  const items = listOf(value, budget);
  const rows: Value[] = [];
  for (let at = 0; at < items.length; at += size) rows.push(items.slice(at, at + size));
  const row = rows.at(-1) as Value[] | undefined;
  if (row && fill !== undefined && fill !== null) {
    budget.items(size);
    while (row.length < size) row.push(fill);
  }
  return new Once(rows.values());
};

const items: Filter = (value) => {
  if (value instanceof Undefined) return new Once([][Symbol.iterator]());
  if (!(value instanceof Map)) return raise('Can only get item pairs from a mapping.');
  return new Once([...value].map((entry) => new Tuple(entry)).values());
};

/** Filters that take lists. */
export const LIST_FILTERS: [string, Filter][] = [
  ['batch', batch],
  ['dictsort', dictsort],
  ['first', first],
  ['items', items],
  ['join', join],
  ['last', last],
  ['list', (value, _args, budget) => listOf(value, budget)],
  ['max', extreme('max', 1)],
  ['min', extreme('min', -1)],
  ['reject', selecting('reject', false, false)],
  ['rejectattr', selecting('rejectattr', false, true)],
  ['reverse', reverse],
  ['select', selecting('select', true, false)],
  ['selectattr', selecting('selectattr', true, true)],
  ['sort', sort],
  ['sum', sum],
  ['unique', unique],
];
