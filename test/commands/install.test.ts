import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The script of onnxruntime-node beside ours, as npm lays them out; the network throws, as where no host is reached. */
function installed(settings: NodeJS.ProcessEnv) {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-install-'));
  const runtime = join(dir, 'node_modules/onnxruntime-node');
  mkdirSync(join(dir, 'scripts'));
  cpSync(join(root, 'scripts/without-cuda.mjs'), join(dir, 'scripts/without-cuda.mjs'));
  for (const part of ['package.json', 'script']) {
    cpSync(join(root, 'node_modules/onnxruntime-node', part), join(runtime, part), { recursive: true });
  }
  const offline = join(dir, 'offline.cjs');
  writeFileSync(
    offline,
    `Object.defineProperty(process, 'platform', { value: 'linux' });
Object.defineProperty(process, 'arch', { value: 'x64' });
require('os').platform = () => 'linux';
require('os').arch = () => 'x64';
require('https').get = () => { throw new Error('fetches'); };\n`,
  );
  const clean = Object.entries(process.env).filter(([name]) => !/onnxruntime|^npm_/i.test(name));
  const env = { ...Object.fromEntries(clean), NODE_PATH: join(root, 'node_modules'), ...settings };
  const run = (cwd: string, file: string) =>
    spawnSync(process.execPath, ['--require', offline, file], { cwd, env, encoding: 'utf8' });
  const ours = run(dir, 'scripts/without-cuda.mjs');
  const theirs = run(runtime, 'script/install.js');
  const files = readdirSync(runtime, { recursive: true, encoding: 'utf8' }).filter((name) => /providers_/.test(name));
  rmSync(dir, { recursive: true });
  return { ours, theirs, files };
}

test('an installation fetches no CUDA libraries: the script of onnxruntime-node finds nothing to do', () => {
  const { ours, theirs, files } = installed({});
  assert.is(ours.status, 0, ours.stderr);
  assert.is(theirs.status, 0, theirs.stderr);
  assert.ok(files.length > 0);
});

test('who asks for CUDA is not kept from it', () => {
  const { ours, theirs, files } = installed({ ONNXRUNTIME_NODE_INSTALL: 'cuda12' });
  assert.is(ours.status, 0, ours.stderr);
  assert.match(theirs.stderr, /fetches/);
  assert.equal(files, []);
});

test('the package carries its docs, the reference script and the script that npm runs first', () => {
  const { files, scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of ['docs', 'scripts/reference_hf.py', 'scripts/without-cuda.mjs']) {
    assert.ok(files.includes(name), name);
  }
  assert.is(scripts.preinstall, 'node scripts/without-cuda.mjs');
});

test.run();
