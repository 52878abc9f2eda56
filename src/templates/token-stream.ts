import { raise } from './errors.js';
import type { Token } from './lexer.js';

/** Tokens with one place of reading. */
export class TokenStream {
  #at = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  get current(): Token {
    return this.tokens[this.#at];
  }

  get following(): Token {
    return this.tokens[Math.min(this.#at + 1, this.tokens.length - 1)];
  }

  next(): Token {
    const token = this.current;
    if (this.#at < this.tokens.length - 1) this.#at++;
    return token;
  }

  is(type: Token['type'], ...values: string[]): boolean {
    return this.current.type === type && (values.length === 0 || values.includes(this.current.value));
  }

  /** Passes over a token if it is there. */
  skip(type: Token['type'], value: string): boolean {
    const isThere = this.is(type, value);
    if (isThere) this.next();
    return isThere;
  }

  expect(type: Token['type'], value?: string): Token {
    const isRight = value === undefined ? this.is(type) : this.is(type, value);
    if (!isRight) this.fail(`needed is ${value ?? type}`);
    return this.next();
  }

  fail(needed: string): never {
    const { type, value, line } = this.current;
    return raise(`line ${line}: ${value || type} is not expected here; ${needed}`);
  }
}
