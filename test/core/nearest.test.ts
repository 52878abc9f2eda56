import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nearest } from '../../src/core/nearest.js';

test('finds a misspelling', () => {
  const known = ['int4', 'int8', 'fp8_e4m3', 'nf4'];
  assert.is(nearest('fp8_e4m33', known), 'fp8_e4m3');
  assert.is(nearest('INT8', known), 'int8');
  assert.is(nearest('it4', known), 'int4');
  assert.is(nearest('openvino', known), undefined);
  assert.is(nearest('x', []), undefined);
});

test('a candidate itself is the nearest', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.string({ maxLength: 12 }).map((word) => word.toLowerCase()),
        { minLength: 1 },
      ),
      (words) => {
        assert.is(nearest(words[0], words), words[0]);
        assert.is(nearest(words.at(-1)!, words), words.at(-1));
      },
    ),
  );
});

test.run();
