import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import { padTokenId } from '../../src/formats/pad-token.js';
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.js';
import { openTokenizer } from '../../src/runtime/tokenizer.js';
import { fixture } from '../reference/fixtures.js';

const dir = mkdtempSync(join(tmpdir(), 'halfbyte-pad-'));
test.after(() => rmSync(dir, { recursive: true }));

const added = (id: number, content: string, special = true) => ({ id, content, special });
const ends = [added(3, '<|end|>')];

function padOf(config: JsonObject, tokenizer: JsonObject, vocabulary = 10) {
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  const ids = { bos_token_id: 1, eos_token_id: [2, 3], ...config };
  return padTokenId({ dir, config: ids, generationConfig: {} }, vocabulary);
}
const words = (added_tokens: JsonObject[]): JsonObject => ({ model: { vocab: { a: 0, b: 1, c: 2 } }, added_tokens });

test('the pad id of the model stays where it only pads', () => {
  assert.is(padOf({ pad_token_id: 0 }, words(ends)), 0);
});

test('one that begins or ends texts, or that the vocabulary lacks, gives way to the token of a byte that no text has', () => {
  const bytes: JsonObject = { model: { vocab: { a: 0, b: 1, c: 2, ÿ: 5, À: 6 } } };
  const inSequence = { type: 'Sequence', pretokenizers: [{ type: 'Split' }, { type: 'ByteLevel' }] };
  for (const pad_token_id of [1, 2, 3, -1, 10, null]) {
    assert.is(padOf({ pad_token_id }, { ...bytes, pre_tokenizer: { type: 'ByteLevel' } }), 5, String(pad_token_id));
    assert.is(padOf({ pad_token_id }, { ...bytes, pre_tokenizer: inSequence }), 5);
    assert.is(padOf({ pad_token_id }, { ...bytes, decoder: { type: 'ByteLevel' } }), 5);
  }
  assert.is(padOf({}, { ...bytes, pre_tokenizer: { type: 'ByteLevel' }, added_tokens: [added(4, '<pad>')] }), 5);
  assert.is(padOf({}, { ...bytes, pre_tokenizer: { type: 'ByteLevel' } }, 5), 2, 'not an id beyond the table');
  const fallback = { vocab: { a: 0, b: 1, c: 2, '<0xFE>': 6, '<0xC1>': 7 }, byte_fallback: true };
  assert.is(padOf({}, { model: fallback }), 6);
  const pieces = { vocab: ['a', 'b', 'c', 'd', '<0xFF>'].map((piece) => [piece, 0]), byte_fallback: true };
  assert.is(padOf({}, { model: pieces }), 4);
  assert.is(padOf({}, { model: { vocab: { a: 0, b: 1, c: 2, ÿ: 8 } } }), 9, 'a letter, where bytes are no tokens');
});

test('without such bytes: an id that the tokenizer never makes, a token for padding, a reserved one', () => {
  assert.is(padOf({ pad_token_id: 1 }, words(ends)), 9);
  assert.is(padOf({ pad_token_id: 2 }, words([...ends, added(4, '<pad>')]), 5), 4);
  assert.is(padOf({}, words([...ends, added(4, '<|vision_pad|>')]), 5), 4);
  assert.is(padOf({}, words([...ends, added(4, ' padding', false)]), 5), 2, 'not a word of texts');
  assert.is(padOf({}, words([...ends, added(4, '<|reserved_special_token_0|>')]), 5), 4);
  assert.is(padOf({}, words(ends), 4), 2, 'there is no other');
  rmSync(join(dir, 'tokenizer.json'));
  assert.is(padTokenId({ dir, config: { eos_token_id: 7 }, generationConfig: {} }, 10), 7);
});

test('union-1.8m: no text yields the id', async () => {
  const config = { bos_token_id: 0, eos_token_id: 0, pad_token_id: 0 };
  const pad = padTokenId({ dir: fixture('union-1.8m'), config, generationConfig: {} }, 1024);
  const tokenizer = await openTokenizer(readTokenizerFiles(fixture('union-1.8m'))!, 'union-1.8m');
  assert.ok(pad !== 0);
  const everyLead = Array.from({ length: 0x110000 >> 7 }, (_, i) => i << 7).filter(
    (code) => code < 0xd800 || code > 0xdfff,
  );
  const texts = ['\ud800', '<|endoftext|>', String.fromCodePoint(...everyLead), 'Zürich ÿÀÁ'];
  for (const text of texts) assert.not.ok((await tokenizer.encode(text)).includes(pad as number));
});

test.run();
