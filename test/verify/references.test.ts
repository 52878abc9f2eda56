import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HalfbyteError } from '../../src/core/errors.js';
import type { Comparison, VerifyReport } from '../../src/core/verify-report.js';
import { type VerifyOptions, verify } from '../../src/stages/verify.js';
import { openStoredReference } from '../../src/verify/referees/stored-reference.js';
import { fixture } from '../reference/fixtures.js';
import { packages } from '../stages/packages.js';
import { copyCheckpoint } from './faults/tampering.js';

const made = packages();
const INT4 = { weights: 'int4', groupSize: '32', accuracyLevel: 0 } as const;

function run(path: string, options: Partial<VerifyOptions>): Promise<VerifyReport> {
  return verify({ path, gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {}, ...options });
}

const metric = ({ metrics }: Comparison, id: string) => metrics.find((each) => each.id === id)?.value ?? Number.NaN;

async function refusal(promise: Promise<unknown>): Promise<HalfbyteError> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, HalfbyteError);
    return error as HalfbyteError;
  }
  return assert.unreachable('nothing was refused') as never;
}

/** union-1.8m without its golden, so that sets are chosen by the command line alone. */
const plain = copyCheckpoint(fixture('union-1.8m'), join(made.work, 'plain'), () => {}, { golden: false });
const text = join(made.work, 'text.txt');
writeFileSync(text, readFileSync(fixture('union-1.8m/heldout.txt'), 'utf8').slice(0, 6000));

test('a saved reference says the same as the engine that it was saved from', async () => {
  const path = await made.of('union-1.8m', INT4);
  const saved = join(made.work, 'saved.safetensors');
  const asked = { text, windows: 2, ids: '1,2,3,4;5,6' };
  const first = await run(path, { ...asked, reference: plain, saveReference: saved });
  assert.is(first.verdict, 'pass', first.summary);
  const second = await run(path, { text, windows: 2, reference: saved });
  assert.is(second.verdict, 'pass', second.summary);
  assert.equal(second.comparisons.map(({ set }) => set).sort(), ['ids', 'text']);
  for (const { set, metrics } of first.comparisons) {
    const other = second.comparisons.find((each) => each.set === set);
    assert.equal(other?.metrics, metrics, set);
  }
  assert.equal(second.perplexity, first.perplexity);
  assert.ok(first.perplexity?.reference, 'the reference has a perplexity');
  assert.equal(openStoredReference(saved).sets.find(({ name }) => name === 'ids')?.sequences, [
    [1, 2, 3, 4],
    [5, 6],
  ]);
});

test('a reduced reference is small, its perplexity exact and its KL divergence right up to the bound that it states', async () => {
  const path = await made.of('union-1.8m', INT4);
  const [whole, reduced] = ['whole', 'reduced'].map((name) => join(made.work, `${name}.safetensors`));
  const asked = { text, windows: 2 };
  const first = await run(path, { ...asked, reference: plain, saveReference: whole });
  await run(path, { ...asked, reference: plain, saveReference: reduced, saveReferenceTop: 256 });
  assert.ok(readFileSync(reduced).byteLength < 0.6 * readFileSync(whole).byteLength, 'it is small');
  const second = await run(path, { ...asked, reference: reduced });
  const [exact, found] = [first.comparisons[0], second.comparisons[0]];
  const [kl, low] = [metric(exact, 'kl_divergence'), metric(found, 'kl_divergence')];
  assert.ok(found.klBound && found.klBound > 0 && found.klBound < 1, `a bound of ${found.klBound}`);
  assert.ok(low <= kl + 1e-6 && kl <= low + found.klBound, `${low} <= ${kl} <= ${low + found.klBound}`);
  assert.ok(low > 0.9 * kl, `${low} is most of ${kl}`);
  for (const id of ['perplexity_ratio', 'top1_agreement', 'top5_agreement']) {
    assert.ok(Math.abs(metric(exact, id) - metric(found, id)) < 1e-5, id);
  }
  assert.ok(Number.isNaN(metric(found, 'cosine')), 'no cosine of logits that are not there');
  const between = (low + found.klBound / 2).toPrecision(9);
  const gated = await run(path, { ...asked, reference: reduced, gates: [`kl_divergence<${between}`] });
  assert.is(gated.checks.find(({ group }) => group === 'gate')?.verdict, 'ambiguous');
});

test('a saved reference keeps the config, to which a package is held without the checkpoint', async () => {
  const saved = join(made.work, 'config.safetensors');
  await run(await made.of('llama-gqa', INT4), {
    reference: copyCheckpoint(fixture('llama-gqa'), join(made.work, 'llama'), () => {}, { golden: false }),
    saveReference: saved,
    saveReferenceTop: 16,
  });
  const wrong = copyCheckpoint(fixture('llama-gqa'), join(made.work, 'wrong'), (_, config) => {
    config.rope_theta = 10000;
  });
  const report = await run(await made.make(wrong, INT4), { reference: saved });
  assert.is(report.verdict, 'fail');
  assert.match(report.checks.map(({ message }) => message).join('\n'), /rope/);
});

const script = fileURLToPath(new URL('./reference-command.mjs', import.meta.url));
const command = (...words: string[]) => ['node', script, ...words].map((word) => word.replace(/ /g, '\\ ')).join(' ');

test('a command answers with logits and is the referee', async () => {
  const path = await made.of('union-1.8m', INT4);
  const saved = join(made.work, 'answer.safetensors');
  const engine = await run(path, { reference: plain, ids: '1,2,3,4;5,6', saveReference: saved });
  const report = await run(path, { referenceCommand: command('answer', saved), ids: '1,2,3,4;5,6' });
  assert.is(report.verdict, 'pass', report.summary);
  assert.is(report.reference.kind, 'command');
  const [found] = report.comparisons;
  assert.is(found.referee, 'command');
  assert.equal(found.metrics, engine.comparisons[0].metrics);
  const both = await run(path, { reference: plain, referenceCommand: command('answer', saved), ids: '1,2,3,4;5,6' });
  assert.equal(both.comparisons.map(({ referee }) => referee).sort(), ['command', 'engine']);
  assert.is(both.checks.find(({ id }) => id === 'reference ids')?.verdict, 'pass');
});

const wrong: [what: string, words: string[], code: number, says: RegExp, seconds?: number][] = [
  ['a program that does not exist', [], 4, /no program "no-such-program"/],
  ['a program that fails', ['fail'], 4, /exit code 7.*the model does not load/s],
  ['a program that takes too long', ['sleep'], 4, /no answer after 1 seconds/, 1],
  ['a program that writes nothing', ['nothing'], 3, /wrote no/],
  ['a file that is none', ['garbage'], 3, /header/],
  ['an answer without logits', ['empty'], 3, /no "input_ids" with "logits"/],
  ['logits of another vocabulary', ['narrow'], 3, /values/],
];
for (const [what, words, code, says, referenceTimeout] of wrong) {
  test(`a command: ${what}`, async () => {
    const path = await made.of('llama-gqa', INT4);
    const referenceCommand = words.length === 0 ? 'no-such-program' : command(...words);
    const error = await refusal(run(path, { referenceCommand, referenceTimeout, ids: '1,2,3' }));
    assert.is(error.exitCode, code, error.message);
    assert.match(error.message, says);
  });
}

test('no reference at all, and a file to save without logits to be saved, are wrong usage', async () => {
  const path = await made.of('llama-gqa', INT4);
  assert.is((await refusal(run(path, {}))).exitCode, 2);
  assert.is((await refusal(run(path, { reference: plain, saveReferenceTop: 5 }))).exitCode, 2);
  const golden = fixture('llama-gqa/golden.safetensors');
  const saveReference = join(made.work, 'none.safetensors');
  assert.is((await refusal(run(path, { reference: golden, saveReference }))).exitCode, 2);
});

test.after(() => made.remove());
test.run();
