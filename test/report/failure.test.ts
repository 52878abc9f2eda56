import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError, VerificationError } from '../../src/core/errors.js';
import { printable } from '../../src/core/printable.js';
import { describeFailure } from '../../src/report/failure.js';

test('an error of halfbyte keeps its exit code, message and advice', () => {
  const failure = describeFailure(new InvalidInputError('config.json: no model_type.', 'add it'));
  assert.equal(failure, {
    code: 3,
    name: 'InvalidInputError',
    message: 'config.json: no model_type.',
    advice: 'add it',
  });
  assert.is(describeFailure(new VerificationError('no')).code, 1);
});

const systemErrors: [code: string, exitCode: number, says: RegExp][] = [
  ['ENOSPC', 4, /^\/out\/model\.data: the disk is full \(ENOSPC on write\)\.$/],
  ['EACCES', 4, /permission denied/],
  ['EROFS', 4, /read-only/],
  ['EPERM', 4, /not permitted/],
  ['EMFILE', 4, /too many open files/],
  ['EIO', 4, /input\/output error/],
  ['ENOENT', 3, /no such file/],
  ['EXDEV', 4, /EXDEV on write/],
];
for (const [code, exitCode, says] of systemErrors) {
  test(`${code} ends with ${exitCode} and a sentence`, () => {
    const error = Object.assign(new Error(`${code}: said by the system`), {
      code,
      syscall: 'write',
      path: '/out/model.data',
    });
    const failure = describeFailure(error);
    assert.is(failure.code, exitCode);
    assert.match(failure.message, says);
    assert.is(failure.stack, undefined);
  });
}

test('a real system error is told by path', () => {
  try {
    readFileSync('/no/such/file');
    assert.unreachable();
  } catch (error) {
    assert.is(describeFailure(error).message, '/no/such/file: there is no such file or folder (ENOENT on open).');
  }
});

test('anything else is an internal error with a request to report it', () => {
  for (const thrown of [new TypeError('x is undefined'), 'x is undefined']) {
    const failure = describeFailure(thrown);
    assert.is(failure.code, 4);
    assert.is(failure.message, 'internal error: x is undefined');
    assert.match(failure.advice ?? '', /report/);
  }
});

test('control characters of untrusted names do not reach the terminal', () => {
  assert.is(printable('a\u001b[2Jb\r\u202e\nc\td\u009b'), 'a\\x1b[2Jb\\x0d\\u202e\nc\td\\x9b');
  assert.is(printable('plain text, ä, 模型'), 'plain text, ä, 模型');
});

test.run();
