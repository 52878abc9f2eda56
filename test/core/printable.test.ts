import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import { message, printableLine, quoted, shown } from '../../src/core/printable.js';
import { table } from '../../src/report/table.js';

const MARKS = [
  '\u200e',
  '\u200f',
  '\u061c',
  '\u2028',
  '\u2029',
  '\u202a',
  '\u202e',
  '\u2066',
  '\u2069',
  '\u009b',
  '\x1b',
];

test('no name can move the cursor, turn what is shown or fake a line', () => {
  for (const mark of MARKS) {
    const code = mark.charCodeAt(0).toString(16);
    for (const text of [shown(`a${mark}b`), quoted(`a${mark}b`), printableLine(`a${mark}b`), message(`a${mark}b`)]) {
      assert.not.ok(text.includes(mark), code);
      assert.ok(text.toLowerCase().includes(code.padStart(code.length > 2 ? 4 : 2, '0')), `${text} names ${code}`);
    }
  }
  assert.is(shown('weights: 3\nverify: pass'), 'weights: 3\\nverify: pass');
  assert.is(
    new InvalidInputError('tensor a\nTry this: rm', 'b\r\nc').report,
    'tensor a\\nTry this: rm\nTry this: b\\x0d\\nc',
  );
  assert.equal(
    table(['name', 'size'], [['a\nb\x1b[2J', '1']]).filter((line) => line.includes('\x1b') || line.includes('\n')),
    [],
  );
  assert.is(shown('model.layers.0.模型.ä'), 'model.layers.0.模型.ä');
});

test('values of any length and depth are quoted in 80 characters, and quickly', () => {
  const long = 'x'.repeat(5_000_000);
  assert.is(quoted(long).length, 82);
  assert.is(shown(long).length, 80);
  assert.is(shown('\x1b'.repeat(79)).length <= 80, true);
  assert.match(quoted({ key: long }), /^\{"key":"x+\.\.\.$/);
  assert.is(quoted(Array.from({ length: 1e6 }, () => 1)).length, 80);
  let deep: unknown = 1;
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  assert.is(quoted(deep).length, 80);
  assert.is(quoted(undefined), 'undefined');
  assert.is(quoted([1, 'a', null]), '[1,"a",null]');
  const text = new InvalidInputError(`f: tensor ${JSON.stringify(long)} has shape ${'1,'.repeat(100_000)}`).message;
  assert.ok(text.length < 2100, `${text.length}`);
  assert.match(text, /^f: tensor "x{77}\.\.\." has shape/);
  const path = `/a/${'directory/'.repeat(12)}model.safetensors`;
  assert.is(new InvalidInputError(`${path}: ends "${path}"`).message, `${path}: ends "${path}"`);
});

test.run();
