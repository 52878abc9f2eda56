import type { Budget } from './budget.js';
import { raise } from './errors.js';
import { Callable, equal, Loop, orElse, Undefined, type Value } from './values.js';

/** `loop` at a place in the items; `state` holds what loop.changed() saw last. */
export function loopAt(items: Value[], index: number, state: { seen?: Value[] }, budget: Budget): Loop {
  const { length } = items;
  const neighbour = (at: number, what: string) =>
    orElse(items[at], () => new Undefined(`there is no ${what} item, which`));
  return new Loop((name) => {
    budget.step();
    if (name === 'index') return BigInt(index + 1);
    if (name === 'index0') return BigInt(index);
    if (name === 'revindex') return BigInt(length - index);
    if (name === 'revindex0') return BigInt(length - index - 1);
    if (name === 'first') return index === 0;
    if (name === 'last') return index === length - 1;
    if (name === 'length') return BigInt(length);
    // of recursion, not of loops inside loops
    if (name === 'depth') return 1n;
    if (name === 'depth0') return 0n;
    if (name === 'previtem') return neighbour(index - 1, 'previous');
    if (name === 'nextitem') return neighbour(index + 1, 'next');
    if (name === 'cycle') {
      return new Callable('loop.cycle', ({ positional }) => {
        if (positional.length === 0) raise('no items for cycling given');
        return positional[index % positional.length];
      });
    }
    if (name === 'changed') {
      return new Callable('loop.changed', ({ positional }) => {
        const isSame =
          state.seen?.length === positional.length &&
          positional.every((each, place) => equal(each, state.seen?.[place] as Value, budget));
        state.seen = positional;
        return !isSame;
      });
    }
    return undefined;
  });
}
