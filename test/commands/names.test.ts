import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ids } from '../../src/registry.js';
import { list } from '../../src/stages/list.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const union = join(root, 'fixtures/union-1.8m');
const out = join(tmpdir(), 'halfbyte-none');

function halfbyte(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('help and version by every name', () => {
  const help = halfbyte('--help');
  assert.match(help.stdout, /^USAGE$/m);
  for (const words of [['-h'], ['help']]) assert.equal(halfbyte(...words), help);
  const convert = halfbyte('convert', '--help');
  for (const words of [
    ['convert', '-h'],
    ['help', 'convert'],
  ])
    assert.equal(halfbyte(...words), convert);
  const version = halfbyte('--version');
  assert.match(version.stdout, /^halfbyte\/\d/);
  for (const words of [['-v'], ['version']]) assert.equal(halfbyte(...words), version);
});

test('help names every target and every written layout', async () => {
  const { commands } = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8'));
  for (const id of ids('targets')) assert.match(commands.convert.flags.target.description, new RegExp(`\\b${id}\\b`));
  for (const { id, about } of (await list('layouts')).entries) {
    if (about.includes('written')) assert.match(commands.quantize.flags.layout.description, new RegExp(`\\b${id}\\b`));
  }
});

test('lists name all that there is', async () => {
  for (const what of ['targets', 'layouts', 'schemes', 'architectures', 'metrics'] as const) {
    const { entries } = await list(what);
    assert.equal(
      entries.map(({ id }) => id),
      [...ids(what)],
    );
    assert.ok(entries.every(({ about }) => about !== '' || what === 'metrics'));
  }
  const targets = (await list('targets')).entries.map(({ id, about }) => `${id}: ${about}`);
  assert.ok(targets.includes('web: one graph for transformers.js and browsers'));
  assert.ok(targets.includes('qnn: a pipeline of static graphs for an NPU'));
  const { status, stderr } = halfbyte('list', 'devices');
  assert.is(status, 2);
  assert.match(stderr, /there is no list of "devices"/);
});

test('a misspelt flag is answered with the right one', () => {
  const { status, stderr } = halfbyte('convert', union, '-o', out, '--taget', 'qnn');
  assert.is(status, 2);
  assert.match(stderr, /--taget\. Did you mean "--target"\?/);
});

test('names as llama.cpp and others spell them, and globs before the checkpoint', () => {
  for (const words of [
    ['quantize', union, '--layout', 'gguf', '--weights', 'Q4_K_M'],
    ['quantize', '--only', 'model.layers.0.*', union, '--layout', 'compressed-tensors', '--weights', 'FP8_E4M3'],
    ['convert', '--skip', '*.mlp.*', union, '--target', 'CPU', '--weights', 'INT8'],
  ]) {
    const { status, stderr } = halfbyte(...words, '-o', out, '--dry-run');
    assert.is(status, 0, stderr);
  }
  const { status, stderr } = halfbyte('convert', union, '-o', out, '--weights', 'Q8_0');
  assert.is(status, 2);
  assert.match(stderr, /Q8_0: is a format of llama\.cpp.*\nTry this: halfbyte quantize .* --weights q8_0/);
});

test('an empty value is a usage error that names the flag', () => {
  for (const [words, name] of [
    [['convert', union, '-o', ''], '--output is empty'],
    [['convert', '', '-o', out], 'the checkpoint is empty'],
    [['verify', out, '--reference', union, '--report', ''], '--report is empty'],
  ] as const) {
    const { status, stderr } = halfbyte(...words);
    assert.is(status, 2, stderr);
    assert.ok(stderr.startsWith(name), stderr);
  }
});

test('doctor says what runs', () => {
  const { status, stdout } = halfbyte('doctor', '--json');
  assert.is(status, 0);
  const { checks, cores } = JSON.parse(stdout);
  assert.ok(cores > 0);
  assert.equal(
    checks.map(({ ok }: { ok: boolean }) => ok),
    [true, true, true, true],
  );
});

if (process.platform === 'linux') {
  test('a full disk behind stdout is exit code 4', () => {
    for (const words of [['inspect', union, '--json'], ['inspect', union], ['list', 'schemes', '--json'], ['--help']]) {
      const command = `"${process.execPath}" "${join(root, 'bin/run.js')}" ${words.map((word) => `'${word}'`).join(' ')} > /dev/full`;
      const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
      assert.is(status, 4, stderr);
      assert.match(stderr, /stdout: cannot be written \(ENOSPC\)/);
    }
  });
}

test.run();
