import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { getter, LIST_FILTERS } from './list-filters.js';
import { type Filter, TEXT_FILTERS } from './text-filters.js';
import { type CallArguments, iterate, Once, type Value } from './values.js';

/** map: a filter for each item, or an attribute of each. */
const map: Filter = (value, args, budget) => {
  const { positional, named } = args;
  let change: (value: Value) => Value;
  if (positional.length === 0 && named.has('attribute')) {
    const others = [...named.keys()].filter((name) => name !== 'attribute' && name !== 'default');
    if (others.length > 0) return raise(`Unexpected keyword argument '${others[0]}'`);
    const standard = named.get('default');
    const get = getter(named.get('attribute'), budget, standard);
    change = get;
  } else {
    const [name, ...rest] = positional;
    if (typeof name !== 'string') return raise('map requires a filter argument');
    change = (each) => runFilter(name, each, { positional: rest, named }, budget);
  }
  return new Once(mapped(iterate(value), change, budget));
};

function* mapped(items: Iterable<Value>, change: (value: Value) => Value, budget: Budget): Iterator<Value> {
  for (const each of items) {
    budget.step();
    yield change(each);
  }
}

const FILTERS: ReadonlyMap<string, Filter> = new Map([...TEXT_FILTERS, ...LIST_FILTERS, ['map', map]]);

/** Filters of jinja2 that chat templates have no use for: HTML, chance, wrapping, groups with names. */
const OTHERS = new Set(
  'e escape filesizeformat forceescape format groupby pprint random slice striptags urlencode urlize wordwrap xmlattr'.split(
    ' ',
  ),
);

/** Runs a filter by its name. */
export function runFilter(name: string, value: Value, args: CallArguments, budget: Budget): Value {
  const filter = FILTERS.get(name);
  if (filter !== undefined) return filter(value, args, budget);
  if (OTHERS.has(name)) return unsupported(`the filter ${name}`);
  return raise(`No filter named '${name.slice(0, 80)}'`);
}
