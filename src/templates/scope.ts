import type { Value } from './values.js';

/** Names of a block and of those around it. */
export class Scope {
  readonly #names = new Map<string, Value>();
  constructor(private readonly outer: Scope | null = null) {}

  get(name: string): Value | undefined {
    const own = this.#names.get(name);
    return own === undefined && this.outer !== null ? this.outer.get(name) : own;
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}
