import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InterruptedError, InvalidInputError, UsageError } from '../../src/core/errors.js';
import { bench, spread } from '../../src/stages/bench.js';
import { type GenerateOptions, generate } from '../../src/stages/generate.js';
import { rejects } from './expectations.js';
import { tinyGenaiConfig, writeTinyPackage } from './tiny-package.js';

const CHECKPOINT = fileURLToPath(new URL('../../fixtures/union-1.8m', import.meta.url));
const dir = writeTinyPackage('cached', true);
const run = (options: Partial<GenerateOptions> = {}) =>
  generate({ package: dir, ids: [5, 6, 7], greedy: true, ...options });

test('without a tokenizer ids go in and ids come out', async () => {
  const pieces: string[] = [];
  const result = await run({ maxNewTokens: 9, onText: (piece) => pieces.push(piece) });
  assert.is(result.newTokens, 9);
  assert.is(result.ids.length, 9);
  assert.is(result.promptTokens, 3);
  assert.is(result.text, null);
  assert.is(result.stopReason, 'length');
  assert.is(pieces.join(''), result.ids.join(','));
  assert.ok((result.tokensPerSecond as number) > 0);
});

test('the ids are those that appending to the prompt one by one gives', async () => {
  const { ids } = await run({ maxNewTokens: 12 });
  const prompt = [5, 6, 7];
  for (const id of ids) {
    const next = await run({ ids: prompt, maxNewTokens: 1 });
    assert.equal(next.ids, [id]);
    assert.is(next.tokensPerSecond, null);
    prompt.push(id);
  }
});

test('a shared buffer and a cache that is fed back write the same', async () => {
  const other = writeTinyPackage('cached', false);
  assert.equal((await run({ package: other })).ids, (await run()).ids);
  rmSync(other, { recursive: true });
});

test('any id of the eos list ends the text and is not part of it', async () => {
  const { ids } = await run({ maxNewTokens: 60 });
  const stop = ids.findIndex((id) => id !== ids[0]);
  assert.ok(stop > 0, 'the model must say something else some time');
  const other = writeTinyPackage('cached', true);
  const config = tinyGenaiConfig('cached', true);
  config.model.eos_token_id = [28, ids[stop] as number];
  writeFileSync(join(other, 'genai_config.json'), JSON.stringify(config));
  const pieces: string[] = [];
  const result = await run({ package: other, onText: (piece) => pieces.push(piece) });
  assert.is(result.stopReason, 'eos');
  assert.equal(result.ids, ids.slice(0, stop + 1));
  assert.is(pieces.join(''), ids.slice(0, stop).join(','));
  rmSync(other, { recursive: true });
});

test('the context ends the text', async () => {
  const result = await run({ maxNewTokens: 1000 });
  assert.is(result.stopReason, 'context');
  assert.is(result.promptTokens + result.newTokens, 96);
  assert.is((await run({ maxNewTokens: 93 })).stopReason, 'length');
});

test('sampling repeats with its seed', async () => {
  const sampled = { greedy: false, temperature: 1.5, seed: 11, maxNewTokens: 30 };
  const first = await run(sampled);
  assert.equal((await run(sampled)).ids, first.ids);
  assert.not.equal((await run({ ...sampled, seed: 12 })).ids, first.ids);
  assert.is(first.sampling.seed, 11);
});

test('requests that cannot be are usage errors', async () => {
  const cases: [Partial<GenerateOptions>, RegExp][] = [
    [{ ids: [5, 29] }, /token id 29 .* 0 to 28/],
    [{ ids: [] }, /prompt is empty/],
    [{ ids: undefined, prompt: '' }, /prompt is empty/],
    [{ ids: undefined }, /either --prompt or --ids/],
    [{ prompt: 'both' }, /either --prompt or --ids/],
    [{ ids: new Array(96).fill(1) }, /prompt has 96 tokens.*context of 96/],
    [{ ids: undefined, prompt: 'text' }, /no tokenizer.json/],
    [{ chat: true }, /takes a text/],
    [{ system: 'x' }, /needs --chat/],
    [{ maxNewTokens: 0 }, /--max-new-tokens is 0/],
  ];
  for (const [options, message] of cases) await rejects(run(options), UsageError, message);
  const error = await rejects(run({ ids: undefined, prompt: 'text' }), UsageError, /tokenizer/);
  assert.match(error.advice as string, /--ids 1,2,3/);
});

test('directories that are no packages are told apart', async () => {
  await rejects(run({ package: join(dir, 'nowhere') }), InvalidInputError, /no such directory/);
  const error = await rejects(run({ package: CHECKPOINT }), InvalidInputError, /has no genai_config.json/);
  assert.match(error.advice as string, /looks like a checkpoint/);
});

test('an abort stops at the next token', async () => {
  const controller = new AbortController();
  const pieces: string[] = [];
  const stopped = run({
    signal: controller.signal,
    onText(piece) {
      pieces.push(piece);
      if (pieces.length === 4) controller.abort();
    },
  });
  await rejects(stopped, InterruptedError, /[Ii]nterrupted/);
  assert.is(pieces.length, 4);
});

test('with a tokenizer text goes in and comes out, and a terminal is protected', async () => {
  const other = writeTinyPackage('cached', true);
  cpSync(join(CHECKPOINT, 'tokenizer_config.json'), join(other, 'tokenizer_config.json'));
  // Every token of the tiny vocabulary is a letter but one, the escape character that moves cursors.
  const letters = Array.from({ length: 29 }, (_, id) => (id === 25 ? '\u001b' : String.fromCharCode(97 + id)));
  const vocab = Object.fromEntries(letters.map((letter, id) => [letter, id]));
  const tokenizer = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab, merges: [] },
  };
  writeFileSync(join(other, 'tokenizer.json'), JSON.stringify(tokenizer));
  const pieces: string[] = [];
  const text = { package: other, ids: undefined, prompt: 'fgh', maxNewTokens: 20 };
  const result = await run({ ...text, forTerminal: true, onText: (piece) => pieces.push(piece) });
  assert.equal(result.ids, (await run({ maxNewTokens: 20 })).ids, 'f, g and h are 5, 6 and 7');
  assert.is(result.text, result.ids.map((id) => letters[id]).join(''));
  assert.ok(result.text?.includes('\u001b'), 'the model says 25, or this test shows nothing');
  assert.is(pieces.join(''), result.text?.replaceAll('\u001b', '\\x1b'));
  await rejects(run({ ...text, chat: true }), InvalidInputError, /no chat template/);
  rmSync(other, { recursive: true });
});

test('bench counts its runs and their spread', async () => {
  const seen: number[] = [];
  const result = await bench({ package: dir, promptTokens: 20, newTokens: 4, runs: 3, onRun: (r) => seen.push(r) });
  assert.equal(seen, [0, 1, 2, 3]);
  for (const key of [
    'loadSeconds',
    'timeToFirstTokenSeconds',
    'prefillTokensPerSecond',
    'decodeTokensPerSecond',
  ] as const) {
    const { median, minimum, maximum } = result[key];
    assert.ok(minimum > 0 && minimum <= median && median <= maximum && Number.isFinite(maximum), key);
  }
  assert.ok(result.peakMemoryBytes > 20e6);
  await rejects(bench({ package: dir }), UsageError, /128 \+ 64 tokens do not fit/);
  await rejects(bench({ package: dir, newTokens: 1 }), UsageError, /--new-tokens is 1/);
  await rejects(bench({ package: dir, runs: 0 }), UsageError, /--runs is 0/);
  assert.equal(spread([5, 1, 9]), { median: 5, minimum: 1, maximum: 9 });
  assert.equal(spread([4, 1]), { median: 2.5, minimum: 1, maximum: 4 });
});

test.after(() => rmSync(dir, { recursive: true }));
test.run();
