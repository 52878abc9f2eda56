import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'bin/run.js');
const node = (args: string[]) => spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });

test.before(() => {
  if (!existsSync(join(root, 'dist/.build-stamp'))) throw new Error('not built. Try this: npm run build');
});

test('--help lists every command', () => {
  const commands = existsSync(join(root, 'commands')) ? readdirSync(join(root, 'commands')) : [];
  const { status, stdout } = node([program, '--help']);
  assert.is(status, 0);
  for (const file of commands) assert.match(stdout, new RegExp(`^ +${file.replace(/\.ts$/, '')} `, 'm'));
});

test('an unknown command is a usage error, the same under --json', () => {
  const [plain, json] = [node([program, 'convrt']), node([program, 'convrt', '--json'])];
  assert.equal([plain.status, json.status], [2, 2]);
  assert.match(
    plain.stderr,
    /^there is no command "convrt"\. Did you mean "convert"\?\nTry this: halfbyte convert --help\n$/,
  );
  assert.is(JSON.parse(json.stdout).error.code, 2);
});

test('bin/dev.js runs the sources', () => {
  const { status, stdout } = node([join(root, 'bin/dev.js'), '--version']);
  assert.is(status, 0);
  assert.match(stdout, /^halfbyte\/\d/);

  const loaded = loadedBy([join(root, 'bin/dev.js'), 'inspect', join(root, 'fixtures/llama-hd8'), '--json']);
  assert.ok(loaded.some((url) => url.endsWith('/src/stages/inspect.ts')));
  assert.not.ok(loaded.some((url) => url.includes('/dist/src/')));
});

test('--help and a plan load nothing that they do not need', () => {
  const help = sourcesLoadedBy(['--help']);
  assert.ok(help.includes('src/start.ts'));
  assert.equal(
    help.filter((source) => /^commands\/|^src\/(?!start\.ts)|\/zod\/|\/onnx-proto\/|onnxruntime/.test(source)),
    [],
  );
  const checkpoint = join(root, 'fixtures/llama-hd8');
  const plan = sourcesLoadedBy(['convert', checkpoint, '-o', join(tmpdir(), 'none'), '--dry-run']);
  assert.ok(plan.includes('src/stages/convert.ts'));
  const needless = /\/zod\/|\/onnx-proto\/|onnxruntime|\/layouts\/(?!plain\.ts)|\/reference\//;
  assert.equal(
    plan.filter((source) => needless.test(source)),
    [],
  );
});

test('a conversion loads few files, a worker fewer', () => {
  const out = mkdtempSync(join(tmpdir(), 'halfbyte-files-'));
  const args = ['convert', join(root, 'fixtures/llama-hd8'), '-o', join(out, 'package'), '--workers', '1'];
  try {
    const [worker, main] = loadedByThreads([program, ...args]).sort((a, b) => a.length - b.length);
    // Measured: 20 and 7. One by one it was 190 and 60.
    assert.ok(main.length <= 30, main.join(' '));
    assert.ok(worker.length <= 10, worker.join(' '));
    assert.ok(worker.some((url) => url.endsWith('/dist/engine/worker.js')));
  } finally {
    rmSync(out, { recursive: true });
  }
});

test('errors have the names of their classes in the bundle too', () => {
  const nameOf = (...args: string[]) => JSON.parse(node([program, ...args, '--json']).stdout).error.name;
  const out = join(tmpdir(), 'none');
  assert.is(nameOf('inspect', join(root, 'no-such-file')), 'InvalidInputError');
  assert.is(nameOf('convert', join(root, 'fixtures/llama-hd8'), '-o', out, '--target', 'abacus'), 'UsageError');
});

test('oclif.manifest.json is what the commands say now', () => {
  const { status, stderr, stdout } = node([join(root, 'scripts/manifest.mjs'), '--check']);
  assert.is(status, 0, `${stdout}${stderr}`);
});

/** The sources in the bundle's files that a run of the program loads, and the files beside them. */
function sourcesLoadedBy(args: string[]): string[] {
  const contents = JSON.parse(readFileSync(join(root, 'dist/.contents.json'), 'utf8'));
  return loadedBy([program, ...args]).flatMap((url) => {
    const file = relative(root, fileURLToPath(url)).split(sep).join('/');
    return contents[file] ?? [file];
  });
}

/** URLs of the modules that a run of node loads. */
function loadedBy(args: string[]): string[] {
  return loadedByThreads(args).flat();
}

function loadedByThreads(args: string[]): string[][] {
  const folder = mkdtempSync(join(tmpdir(), 'halfbyte-coverage-'));
  try {
    const { status, stderr } = spawnSync(process.execPath, args, {
      env: { ...process.env, NODE_V8_COVERAGE: folder },
      encoding: 'utf8',
    });
    assert.is(status, 0, stderr);
    const reports = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
    const urls = reports.map(({ result }) => result.map(({ url }: { url: string }) => url));
    return urls.map((loaded) => loaded.filter((url: string) => url.startsWith('file:')));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test.run();
