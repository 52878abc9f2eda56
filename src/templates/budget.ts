import { unsupported } from './errors.js';

/** Steps of a rendering: real prompts take thousands, a thousand turns 100,000. */
const MOST_STEPS = 2_000_000;
/** Characters of a text, items of a list. */
export const MOST_CHARACTERS = 16_000_000;
const MOST_ITEMS = 1_000_000;
/** Characters that cost as much as evaluating an expression. */
const CHARACTERS_A_STEP = 64;
/** Calls inside calls; Python ends at about 250. */
const MOST_DEPTH = 200;

/** What a rendering may cost, so that every template ends within seconds and without filling the memory. */
export class Budget {
  #steps = 0;
  #depth = 0;

  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > MOST_STEPS) unsupported(`more than ${MOST_STEPS} steps: it may never end`);
  }

  /** Accounts for reading or making a text of so many characters. */
  text(characters: number): void {
    if (characters > MOST_CHARACTERS) unsupported(`a text of more than ${MOST_CHARACTERS} characters`);
    this.step(characters / CHARACTERS_A_STEP);
  }

  items(count: number): void {
    if (count > MOST_ITEMS) unsupported(`a list of more than ${MOST_ITEMS} items`);
    this.step(count);
  }

  /** Runs a call one level deeper. */
  deeper<T>(call: () => T): T {
    if (++this.#depth > MOST_DEPTH) unsupported(`more than ${MOST_DEPTH} calls inside one another`);
    try {
      return call();
    } finally {
      this.#depth--;
    }
  }
}
