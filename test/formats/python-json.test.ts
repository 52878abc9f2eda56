import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import { formatJson, parsePythonJson, wordOf } from '../../src/formats/python-json.js';

// json.dumps(..., indent=1) of Python 3.12
const written = `{
 "rope_theta": 10000.0,
 "rms_norm_eps": 1e-05,
 "seed": 18446744073709551615,
 "time_step_limit": [
  0.0,
  Infinity
 ],
 "floor": -Infinity,
 "nothing": NaN,
 "text": "not Infinity, nor NaN, \\"Infinity\\", 50.0",
 "empty": {},
 "none": [],
 "nested": {
  "a": [
   {
    "b": 50.0
   },
   1.50
  ]
 }
}`;

test('Infinity, -Infinity and NaN are read outside of text, as the objects that transformers 5 writes', () => {
  const value = parsePythonJson(written) as JsonObject;
  assert.equal(value.time_step_limit, [0, { __float__: 'Infinity' }]);
  assert.is(wordOf(value.floor), '-Infinity');
  assert.is(wordOf(value.nothing), 'NaN');
  assert.is(value.text, 'not Infinity, nor NaN, "Infinity", 50.0');
});

test('numbers are written back as they were, and so are the words', () => {
  const value = parsePythonJson(written) as JsonObject;
  const compact = (text: string) => text.replace(/\n\s*/g, '');
  assert.is(compact(formatJson(value, written)), compact(written));
  const tagged = '{"a": {"__float__": "Infinity"}}';
  assert.is(compact(formatJson(parsePythonJson(tagged) as JsonObject, tagged)), tagged);
});

test('a number that changed, moved or is new is written as JSON has it', () => {
  const value = parsePythonJson(written) as JsonObject;
  const text = formatJson({ ...value, rope_theta: 500000, added: 50 }, written);
  assert.match(text, /"rope_theta": 500000,/);
  assert.match(text, /"added": 50\n/);
  assert.match(text, /"rms_norm_eps": 1e-05,/);
  assert.is(
    formatJson({ a: [], b: {}, c: [1, 'x', null] }),
    `${JSON.stringify({ a: [], b: {}, c: [1, 'x', null] }, null, 2)}\n`,
  );
});

for (const text of [
  '{"a": Infinityx}',
  '{"a": infinity}',
  '{"a": xNaN}',
  '{Infinity: 1}',
  '{"a": +Infinity}',
  '{"a": 1,}',
]) {
  test(`${text} is no JSON of Python either`, () => assert.throws(() => parsePythonJson(text)));
}

test.run();
