import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { installPacked, link, packed } from './packed.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const prefix = mkdtempSync(join(tmpdir(), 'halfbyte-library-'));
let files: string[] = [];

test.before(() => {
  const made = packed(prefix);
  files = made.files;
  installPacked(made.tarball, prefix);
  rmSync(made.tarball);
  const checkpoint = ['config.json', 'generation_config.json', 'model.safetensors'];
  for (const name of [...checkpoint, 'tokenizer.json', 'tokenizer_config.json']) {
    cpSync(join(root, 'fixtures/union-1.8m', name), join(prefix, 'model', name));
  }
});
test.after(() => rmSync(prefix, { recursive: true, force: true }));

/** Runs a text as a file of someone who has installed the package. */
function runs(text: string, ending: 'mjs' | 'cjs') {
  const file = join(prefix, `example.${ending}`);
  writeFileSync(file, text);
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], { cwd: prefix, encoding: 'utf8' });
  rmSync(file);
  return { status, stdout, stderr };
}

/** What is there besides the checkpoint and the installed packages. */
const written = () => readdirSync(prefix).filter((name) => name !== 'model' && name !== 'node_modules');
const sweep = () => {
  for (const name of written()) rmSync(join(prefix, name), { recursive: true });
};

const examples = new Map(
  [...readFileSync(join(root, 'docs/library.md'), 'utf8').matchAll(/^## ([^\n]+)\n[^#]*?```js\n(.*?)```/gms)].map(
    ([, title, text]) => [title, text],
  ),
);

/** The same example in CommonJS: imports as `await import`, all in an async function. */
function inCommonJs(text: string): string {
  const body = text.replace(/^import (\{.*\}) from 'halfbyte';$/gm, "const $1 = await import('halfbyte');");
  return `(async () => {\n${body}\n})();`;
}

const expected: [title: string, stdout: RegExp, leaves: string[]][] = [
  ['convert', /^\d+ bytes, \d\.\d\d bits per weight\n$/, ['model-int4']],
  ['verify', /^pass /, ['model-int4', 'report.html']],
  ['generate', /\n\d+ characters, ended by (length|stop|eos)/, ['model-int4', 'report.html']],
  ['quantize', /^\.\/model-w4\n$/, ['model-int4', 'model-w4', 'report.html']],
  ['inspect', /^qwen2 plain \d+\n$/, ['model-int4', 'model-w4', 'report.html']],
  ['calibrate', /^$/, ['calibration.safetensors', 'model-int4', 'model-npu', 'model-w4', 'report.html']],
];

for (const [kind, ending, form] of [
  ['ESM', 'mjs', (text: string) => text],
  ['CommonJS', 'cjs', inCommonJs],
] as const) {
  test(`${kind}: the examples of docs/library.md do what they say and write nothing else`, () => {
    sweep();
    for (const [title, stdout, leaves] of expected) {
      const result = runs(form(examples.get(title)!), ending);
      assert.is(result.status, 0, `${title}: ${result.stderr}`);
      assert.match(result.stdout, stdout, title);
      if (title !== 'convert') assert.is(result.stderr, '', title);
      assert.equal(written(), leaves, title);
    }
    const errors = runs(form(examples.get('Errors')!), ending);
    assert.match(errors.stdout, /^\.\/nothing-here.* \(.+\)\n$/);
  });
}

test('progress and notes go to the callbacks', () => {
  sweep();
  const { stderr } = runs(examples.get('convert')!, 'mjs');
  assert.match(stderr, /^\S.* \d+ of \d+$/m);
});

test('a signal stops it, and the same call continues', () => {
  sweep();
  assert.match(runs(examples.get('To stop')!, 'mjs').stdout, /^Interrupted/);
  assert.not.ok(written().includes('model-int8'));
  const again = `import { convert } from 'halfbyte';
    const { package: made } = await convert('./model', { output: './model-int8', weights: 'int8' });
    console.log(made);`;
  assert.is(runs(again, 'mjs').stdout, './model-int8\n');
  assert.equal(written(), ['model-int8']);
});

test('a signal that has fired begins nothing', () => {
  sweep();
  const { stdout, stderr } = runs(
    `import * as halfbyte from 'halfbyte';
    const signal = AbortSignal.abort();
    const output = './out';
    const calls = {
      convert: { output }, quantize: { output, layout: 'gptq' }, verify: { reference: './model' }, inspect: {},
      calibrate: { output }, generate: { prompt: 'a' },
    };
    for (const [name, options] of Object.entries(calls)) {
      const error = await halfbyte[name]('./model', { ...options, signal }).catch((error) => error);
      console.log(name, error instanceof halfbyte.InterruptedError, error.exitCode);
    }`,
    'mjs',
  );
  const names = ['convert', 'quantize', 'verify', 'inspect', 'calibrate', 'generate'];
  assert.is(stdout, names.map((name) => `${name} true 130\n`).join(''), stderr);
  assert.equal(written(), []);
});

test('an option that does not exist, and one that is missing, are usage errors', () => {
  const { stdout } = runs(
    `import { quantize, verify, UsageError } from 'halfbyte';
    const told = (error) => console.log(error instanceof UsageError, error.message);
    await quantize('./model', { output: './out', layout: 'gptq', gate: ['sqnr_db>99'] }).catch(told);
    await quantize('./model', { layout: 'gptq' }).catch(told);
    await verify(undefined, {}).catch(told);`,
    'mjs',
  );
  const lines = stdout.trimEnd().split('\n');
  assert.is(lines[0], 'true quantize has no option "gate".');
  assert.is(lines[1], 'true quantize needs the option output.');
  assert.match(lines[2], /^true verify: the first argument is undefined/);
  assert.equal(written(), []);
});

test('a report that a call made says the call', () => {
  sweep();
  runs(examples.get('convert')!, 'mjs');
  const { stdout } = runs(
    `import { verify } from 'halfbyte';
    const report = await verify('./model-int4', { reference: './model', ids: [[1, 2, 3], [4, 5]], onProgress() {} });
    console.log(report.reproduce);`,
    'mjs',
  );
  assert.is(stdout, `await verify("./model-int4", {"reference":"./model","ids":[[1,2,3],[4,5]]})\n`);
});

test('require gives the same where Node has it', () => {
  const { stdout, status } = runs(
    `if (!process.features.require_module) { console.log('6 classes'); return; }
    const errors = Object.values(require('halfbyte')).filter((each) => each.prototype instanceof Error);
    console.log(errors.length, 'classes');`,
    'cjs',
  );
  assert.is(status, 0);
  assert.is(stdout, '6 classes\n');
});

test('importing loads three small files and no dependency', () => {
  const folder = mkdtempSync(join(tmpdir(), 'halfbyte-coverage-'));
  try {
    const file = join(prefix, 'import.mjs');
    writeFileSync(file, `import 'halfbyte';`);
    spawnSync(process.execPath, [file], { cwd: prefix, env: { ...process.env, NODE_V8_COVERAGE: folder } });
    rmSync(file);
    const [report] = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
    const loaded: string[] = report.result.map(({ url }: { url: string }) => url);
    const own = loaded.filter((url) => url.startsWith('file:') && !url.endsWith('/import.mjs'));
    assert.ok(own.length > 0 && own.length <= 3, own.join(' '));
    const bytes = own.map((url) => readFileSync(fileURLToPath(url)).length).reduce((sum, each) => sum + each, 0);
    assert.ok(bytes < 16_000, `${bytes} bytes`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the declarations hold for a strict compiler, with and without what Node brings', () => {
  link('typescript', prefix);
  link('@types/node', prefix);
  const uses = `import { convert, quantize, verify, inspect, calibrate, generate, HalfbyteError } from 'halfbyte';
    import type { ConvertOptions, VerifyReport } from 'halfbyte';
    const options: ConvertOptions = { output: 'a', groupSize: 32, signal: new AbortController().signal, onNote: (text) => text.length };
    export const bits: number = (await convert('m', options)).plan.totals.bitsPerWeight;
    export const report: VerifyReport = await verify('a', { reference: 'm', gates: ['kl_divergence<1'] });
    export const made: string | null = (await quantize('m', { output: 'q', layout: 'gptq', groupSize: 'channel' })).checkpoint;
    const found = await inspect('m');
    export const kind: string = found.kind === 'checkpoint' ? found.layout : found.dir;
    export const file: string = (await calibrate('m', { output: 'c' })).file;
    export const ids: number[] = (await generate('a', { prompt: 'b', onText: (piece) => void piece.trim() })).ids;
    export const code = (error: HalfbyteError): 1 | 2 | 3 | 4 | 130 => error.exitCode;
    // @ts-expect-error: output is missing
    await convert('m', {});
    // @ts-expect-error: no such option
    await verify('a', { reference: 'm', gate: [] });
    // @ts-expect-error: no such algorithm
    await convert('m', { output: 'a', algorithm: 'best' });
    // @ts-expect-error: what the bundle alone hands over
    await convert('m', { output: 'a', threads: undefined });
  `;
  writeFileSync(join(prefix, 'uses.mts'), uses);
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--module', 'nodenext'];
  const { stdout } = spawnSync(process.execPath, [compiler, ...flags, '--types', 'node', 'uses.mts'], {
    cwd: prefix,
    encoding: 'utf8',
  });
  rmSync(join(prefix, 'uses.mts'));
  assert.is(stdout, '');
});

test('the tarball has what is needed and no sources, tests or machine paths', () => {
  for (const needed of ['bin/run.js', 'dist/library/index.js', 'dist/engine/worker.js', 'dist/kernels/kernels.wasm']) {
    assert.ok(files.includes(needed), needed);
  }
  const foreign = files.filter(
    (file) =>
      !/^(bin|dist|docs)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md|oclif\.manifest\.json)$/.test(file) &&
      !['scripts/reference_hf.py', 'scripts/without-cuda.mjs'].includes(file),
  );
  assert.equal(foreign, []);
});

test.run();
