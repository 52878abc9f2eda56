import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostileCases, materialize } from '../hostile.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const convert = (...args: string[]) => convertIn(ROOT, ...args);

function convertIn(cwd: string, ...args: string[]) {
  const options = { encoding: 'utf8', cwd } as const;
  const run = spawnSync(process.execPath, [join(ROOT, 'bin', 'run.js'), 'convert', ...args], options);
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
}

for (const hostile of hostileCases().filter((each) => each.level === 'convert')) {
  test(`convert refuses: ${hostile.name}`, () => {
    const { root, checkpoint } = materialize(hostile);
    try {
      const output = join(root, 'package');
      const args = [checkpoint, '-o', output, '--quiet', ...(hostile.args ?? [])];
      const plain = convert(...args);
      assert.is(plain.code, hostile.code, plain.stderr);
      for (const part of hostile.message) assert.ok(plain.stderr.includes(part), `${part} in: ${plain.stderr}`);
      assert.not.match(plain.stderr, /\n\s+at .*\.[jt]s:\d+/, 'no stack trace');
      assert.not.ok(existsSync(output), 'no package appears');

      const json = convert(...args, '--json');
      assert.is(json.code, hostile.code, 'the same code under --json');
      const { error } = JSON.parse(json.stdout);
      assert.is(error.code, hostile.code);
      for (const part of hostile.message) assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
}

test('an output that exists is refused without --force, and stays as it was when a conversion with it fails', () => {
  const broken = hostileCases().find((each) => each.name === 'NaN weight');
  if (!broken) throw new Error('the case is gone');
  const { root, checkpoint } = materialize(broken);
  try {
    const output = join(root, 'package');
    assert.is(convert(join(ROOT, 'fixtures', 'llama-hd8'), '-o', output, '--quiet').code, 0);
    const before = readdirSync(output);
    const refused = convert(checkpoint, '-o', output, '--quiet');
    assert.is(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, /--force/);
    assert.is(convert(checkpoint, '-o', output, '--quiet', '--force').code, 3);
    assert.equal(readdirSync(output), before);

    writeFileSync(join(output, 'precious.txt'), 'mine');
    const kept = convert(join(ROOT, 'fixtures', 'llama-hd8'), '-o', output, '--quiet', '--force');
    assert.is(kept.code, 2, kept.stderr);
    assert.match(kept.stderr, /"precious\.txt"/);
    assert.is(readFileSync(join(output, 'precious.txt'), 'utf8'), 'mine');
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('an empty -o, as an unset variable gives it, is a usage error and erases nothing', () => {
  const work = mkdtempSync(join(tmpdir(), 'halfbyte-empty-'));
  try {
    writeFileSync(join(work, 'thesis.txt'), 'mine');
    const checkpoint = join(ROOT, 'fixtures', 'llama-hd8');
    for (const output of ['', '.', '..']) {
      const refused = convertIn(work, checkpoint, '-o', output, '--force', '--quiet');
      assert.is(refused.code, 2, refused.stderr);
    }
    assert.equal(readdirSync(work), ['thesis.txt']);
  } finally {
    rmSync(work, { recursive: true });
  }
});

test('the output cannot be the checkpoint itself', () => {
  const { root, checkpoint } = materialize({
    name: '',
    base: 'llama-hd8',
    steps: [],
    level: 'convert',
    code: 2,
    message: [],
  });
  try {
    const refused = convert(checkpoint, '-o', checkpoint, '--force', '--quiet');
    assert.is(refused.code, 2, refused.stderr);
    assert.ok(existsSync(join(checkpoint, 'model.safetensors')));
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
