import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { namedTokens } from '../../src/runtime/special-tokens.js';
import { openTokenizer } from '../../src/runtime/tokenizer.js';
import { LibraryTokenizer } from '../../src/runtime/tokenizer-client.js';
import { rejects } from './expectations.js';

interface Case {
  tokenizer: JsonObject;
  config?: JsonObject;
  names?: Record<string, string>;
  runs: { text: string; ids: number[]; plain: number[]; back: string }[];
}

const cases = (name: string): Case[] =>
  JSON.parse(readFileSync(fileURLToPath(new URL(`../../fixtures/tokenizers/${name}`, import.meta.url)), 'utf8'));

async function check({ tokenizer, config = {}, runs }: Case): Promise<void> {
  const opened = await openTokenizer({ tokenizer, config, chatTemplate: null }, 'here');
  for (const { text, ids, plain, back } of runs) {
    assert.equal(await opened.encode(text), ids, JSON.stringify(text));
    assert.equal(await opened.encodePlain(text), plain);
    assert.is(await opened.decode(plain), back);
  }
}

test('tokenizers of every component give the ids and texts of tokenizers 0.23.2 in Python', async () => {
  const all = cases('rust.json');
  assert.ok(all.length > 50);
  for (const each of all) await check(each);
});

test('what tokenizer_config.json adds is added as transformers 5.18.0 does', async () => {
  for (const each of cases('special-tokens.json')) {
    await check(each);
    assert.equal(namedTokens(each.config as JsonObject), each.names);
  }
});

const splitting = (pattern: string, more: JsonObject = {}): JsonObject => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
  post_processor: null,
  decoder: null,
  model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] },
  ...more,
});
const open = (tokenizer: JsonObject, config: JsonObject = {}) =>
  openTokenizer({ tokenizer, config, chatTemplate: null }, 'here');

test('a pattern that backtracks until the library aborts is an error that names the file, and the next one works', async () => {
  const bad = await open(splitting('(a+)+b$'));
  const good = await open(splitting(' '));
  await rejects(
    bad.encode('a'.repeat(40)),
    InvalidInputError,
    /^here\/tokenizer.json: the tokenizer library gave up: .*retry-limit/,
  );
  assert.equal(await good.encode('ab'), [0, 1]);
});

test('a call that takes longer than the limit is ended, and names the file', async () => {
  const source = { json: JSON.stringify(splitting('a*a*(?=[b-z])')), special: [] };
  await new LibraryTokenizer('some/tokenizer.json', source).encode('a', false);
  const slow = new LibraryTokenizer('some/tokenizer.json', source, 0.5);
  assert.equal(await slow.encode('ab', false), [0, 1]);
  const late = slow.encode('ab '.repeat(5_000_000), false);
  await rejects(late, InvalidInputError, /^some\/tokenizer.json: the tokenizer was not done with a text within 0.5 s/);
  assert.equal(await new LibraryTokenizer('other', source).encode('ab', false), [0, 1], 'a new process follows');
});

test('truncation and padding that a training left in the file are not for us', async () => {
  const truncation = { direction: 'Right', max_length: 2, strategy: 'LongestFirst', stride: 0 };
  const padding = {
    strategy: { Fixed: 9 },
    direction: 'Right',
    pad_to_multiple_of: null,
    pad_id: 1,
    pad_type_id: 0,
    pad_token: 'b',
  };
  assert.equal(await (await open(splitting(' ', { truncation, padding }))).encode('aaaa'), [0, 0, 0, 0]);
});

test('what the library would decide by chance, or we cannot ask it for, is refused', async () => {
  const token = (id: number, content: string) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false },
  });
  const chance = { normalizer: { type: 'Lowercase' }, added_tokens: [token(2, 'tok'), token(3, 'Tok')] };
  await rejects(open(splitting(' ', chance)), InvalidInputError, /"tok" and "Tok" are one text after normalization/);
  await rejects(open(splitting(' '), { split_special_tokens: true }), InvalidInputError, /split_special_tokens/);
});

test.run();
