import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const probe = join(root, 'test/commands/probe.ts');

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the probe command in a process of its own, where signals, pipes and exit codes are real. */
function run(
  args: string[],
  { env = {}, onStderr = (_text: string, _kill: (signal: NodeJS.Signals) => void) => {} } = {},
) {
  const child = spawn(process.execPath, ['--import', 'tsx', probe, ...args], {
    cwd: root,
    env: { ...process.env, DEBUG: '', NO_COLOR: '1', ...env },
  });
  const ended: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    ended.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    ended.stderr += chunk;
    onStderr(String(chunk), (signal) => child.kill(signal));
  });
  return new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ ...ended, code })));
}

const failures: [what: string, args: string[], code: number, name: string, message: RegExp][] = [
  ['a gate that does not hold', ['--throw', 'verification'], 1, 'VerificationError', /^too far off/],
  ['an unknown flag', ['--nonsense'], 2, 'UsageError', /--nonsense/],
  ['a bad value', ['--throw', 'nothing-known'], 2, 'UsageError', /--throw=nothing-known/],
  ['a flag without its value', ['--throw'], 2, 'UsageError', /--throw/],
  ['an unexpected argument', ['surplus'], 2, 'UsageError', /surplus/],
  ['a damaged input', ['--throw', 'input'], 3, 'InvalidInputError', /^config\.json: no model_type/],
  ['a full disk', ['--throw', 'disk'], 4, 'EnvironmentError', /^\/out\/x: the disk is full/],
  ['a defect', ['--throw', 'defect'], 4, 'InternalError', /^internal error: x is not a function/],
  ['an error outside of the command', ['--throw', 'later'], 4, 'InternalError', /^internal error: thrown by a timer/],
];
for (const [what, args, code, name, message] of failures) {
  test(`${what}: exit code ${code}, the same with and without --json, no stack trace`, async () => {
    const [plain, json] = await Promise.all([run(args), run(['--json', ...args])]);
    assert.is(plain.code, code, plain.stderr);
    assert.is(json.code, code, json.stderr);
    assert.match(plain.stderr, message);
    assert.is(plain.stdout, '');
    const { error } = JSON.parse(json.stdout);
    assert.is(error.code, code);
    assert.is(error.name, name);
    assert.match(error.message, message);
    assert.is(json.stderr, '');
    for (const text of [plain.stderr, json.stdout]) assert.not.match(text, /^\s+at |node_modules|"stack"/m);
  });
}

test('a defect shows where it happened when debugging', async () => {
  const { stderr } = await run(['--throw', 'defect'], { env: { HALFBYTE_DEBUG: '1' } });
  assert.match(stderr, /^\s+at .*probe\.ts/m);
});

test('a result is printed, and under --json is the only output', async () => {
  const [plain, json] = await Promise.all([run([]), run(['--json'])]);
  assert.equal([plain.code, plain.stdout, plain.stderr], [0, 'answer 42\n', 'a note\n']);
  assert.equal([json.code, JSON.parse(json.stdout), json.stderr], [0, { answer: 42, notes: ['a note'] }, '']);
});

test('--quiet drops notes and keeps results', async () => {
  const quiet = await run(['--quiet']);
  assert.equal([quiet.code, quiet.stdout, quiet.stderr], [0, 'answer 42\n', '']);
});

test('a failed verdict exits with 1 and is still printed', async () => {
  const [plain, json] = await Promise.all([run(['--verdict', 'fail']), run(['--verdict', 'fail', '--json'])]);
  assert.equal([plain.code, plain.stdout], [1, 'answer 42\n']);
  assert.equal([json.code, JSON.parse(json.stdout)], [1, { answer: 42, notes: ['a note'] }]);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  for (const wait of ['listening', 'deaf']) {
    test(`${signal} ends a ${wait} command with 130 and one line`, async () => {
      const ended = await run(['--wait', wait], {
        onStderr: (text, kill) => {
          if (text.includes('waiting')) kill(signal);
        },
      });
      assert.is(ended.code, 130);
      assert.is(ended.stderr.replace('waiting\n', ''), `Interrupted by ${signal}.\n`);
    });
  }
}

test('a second signal ends a command that is slow to stop', async () => {
  const ended = await run(['--wait', 'stubborn'], {
    onStderr: (text, kill) => {
      if (text.includes('waiting') || text.includes('stopping')) kill('SIGINT');
    },
  });
  assert.is(ended.code, 130);
  assert.match(ended.stderr, /Interrupted by SIGINT\.\n$/);
});

test('a reader that goes away ends the command in silence', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', probe, '--wait', 'talking'], { cwd: root });
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal([code, stderr], [0, '']);
});

test.run();
