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

  const folder = mkdtempSync(join(tmpdir(), 'halfbyte-coverage-'));
  try {
    const env = { ...process.env, NODE_V8_COVERAGE: folder };
    const args = [join(root, 'bin/dev.js'), 'inspect', join(root, 'fixtures/llama-hd8'), '--json'];
    assert.is(spawnSync(process.execPath, args, { env }).status, 0);
    const loaded = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
    assert.ok(loaded.some((text) => text.includes('/src/stages/inspect.ts')));
    assert.not.ok(loaded.some((text) => text.includes('/dist/src/')));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('starting takes less than three times what node itself takes', () => {
  // Processor time, the least of several: the clock on the wall depends on what else runs.
  let [bare, help] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < 7; round++) {
    bare = Math.min(bare, cpuMilliseconds(['-e', '0']));
    help = Math.min(help, cpuMilliseconds([program, '--help']));
  }
  assert.ok(help < 3 * bare, `node -e 0 takes ${bare.toFixed(0)} ms, halfbyte --help ${help.toFixed(0)} ms`);
});

test('oclif.manifest.json is what the commands say now', () => {
  const { status, stderr, stdout } = node([join(root, 'scripts/manifest.mjs'), '--check']);
  assert.is(status, 0, `${stdout}${stderr}`);
});

function cpuMilliseconds(args: string[]): number {
  const { stderr } = node(['--require', join(root, 'test/commands/cpu-time.cjs'), ...args]);
  const measured = /cpu ([\d.]+)/.exec(stderr);
  assert.ok(measured, stderr);
  return Number(measured[1]);
}

test.run();
