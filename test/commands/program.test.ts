import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  assert.match(plain.stderr, /^command convrt not found\nTry this: halfbyte --help\n$/);
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
  const help = loadedBy([program, '--help']);
  assert.not.ok(help.some((url) => /\/dist\/commands\/|\/stages\/|\/zod\/|onnxruntime/.test(url)));
  const checkpoint = join(root, 'fixtures/llama-hd8');
  const plan = loadedBy([program, 'convert', checkpoint, '-o', join(tmpdir(), 'none'), '--dry-run']);
  assert.ok(plan.some((url) => url.includes('/dist/src/stages/convert.js')));
  const needless = /\/zod\/|\/onnx-proto\/|onnxruntime|\/layouts\/(?!plain\.js)|\/reference\//;
  assert.equal(
    plan.filter((url) => needless.test(url)),
    [],
  );
});

test('oclif.manifest.json is what the commands say now', () => {
  const { status, stderr, stdout } = node([join(root, 'scripts/manifest.mjs'), '--check']);
  assert.is(status, 0, `${stdout}${stderr}`);
});

/** URLs of the modules that a run of node loads. */
function loadedBy(args: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'halfbyte-coverage-'));
  try {
    const { status, stderr } = spawnSync(process.execPath, args, {
      env: { ...process.env, NODE_V8_COVERAGE: folder },
      encoding: 'utf8',
    });
    assert.is(status, 0, stderr);
    const reports = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
    return reports.flatMap(({ result }) => result.map(({ url }: { url: string }) => url));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test.run();
