import { bind, positional } from './arguments.js';
import { raise } from './errors.js';
import { Callable, equal, keyOf, orElse, Tuple, type Value, View } from './values.js';

/** Methods of dict that leave it as it is; undefined for others. */
export function dictMethod(dict: Map<Value, Value>, name: string): Callable | undefined {
  const make = (call: Callable['call']) => new Callable(`dict.${name}`, call);
  const view = (items: () => Value[], kind: 'keys' | 'values' | 'items') =>
    make((args) => {
      positional(kind, args, 0);
      return new View(`dict_${kind}`, items());
    });
  if (name === 'keys') return view(() => [...dict.keys()], 'keys');
  if (name === 'values') return view(() => [...dict.values()], 'values');
  if (name === 'items') return view(() => [...dict].map((entry) => new Tuple(entry)), 'items');
  if (name === 'copy') return make(() => new Map(dict));
  if (name === 'get') {
    return make((args) => {
      const [key, standard] = positional('get', args, 2, 1);
      return orElse(dict.get(keyOf(key as Value)), () => orElse(standard, () => null));
    });
  }
  return undefined;
}

/** Methods of list and tuple that leave it as it is; undefined for others. */
export function listMethod(items: Value[], name: string): Callable | undefined {
  const make = (call: Callable['call']) => new Callable(`list.${name}`, call);
  if (name === 'copy') return make(() => [...items]);
  if (name === 'count') {
    return make((args, budget) => {
      const [value] = positional('count', args, 1, 1);
      return BigInt(items.filter((each) => equal(each, value as Value, budget)).length);
    });
  }
  if (name === 'index') {
    return make((args, budget) => {
      const [value] = bind('index', args, ['value'], 1);
      const index = items.findIndex((each) => equal(each, value as Value, budget));
      return index < 0 ? raise('the value is not in the list') : BigInt(index);
    });
  }
  return undefined;
}
