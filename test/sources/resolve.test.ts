import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { LogicalTensor, RowSource, WeightSource } from '../../src/core/weights.js';
import { locate } from '../../src/sources/locate.js';
import { resolveSource } from '../../src/sources/resolve.js';

const tensor = (name: string, rows: number, cols: number, dtype: 'BF16' | 'I64' = 'BF16'): LogicalTensor => {
  const nbytes = rows * cols * (dtype === 'BF16' ? 2 : 8);
  const ref = { name, dtype, shape: [rows, cols], file: '/c/model.safetensors', offset: 100, nbytes };
  return { name, shape: [rows, cols], source: { kind: 'tensor', ref, rows, cols } };
};
const tensors = new Map(
  [tensor('a', 6, 4), tensor('b', 6, 4), tensor('wide', 6, 5), tensor('short', 3, 4), tensor('ids', 2, 2, 'I64')].map(
    (each) => [each.name, each],
  ),
);
const resolve = (source: WeightSource) => resolveSource(source, (name) => tensors.get(name));

function complaint(source: WeightSource): string {
  try {
    resolve(source);
  } catch (error) {
    assert.instance(error, InvalidInputError);
    return (error as Error).message;
  }
  throw new Error('resolved');
}

test('rows of a tensor are a tensor that starts later', () => {
  const { ref } = resolve({ rows: 'a', from: 2, to: 5 }) as Extract<RowSource, { kind: 'tensor' }>;
  assert.equal([ref.offset, ref.nbytes, ref.shape], [100 + 2 * 8, 3 * 8, [3, 4]]);
  assert.equal(
    resolve({ rows: { rows: 'a', from: 1, to: 6 }, from: 1, to: 4 }),
    resolve({ rows: 'a', from: 2, to: 5 }),
  );
});

test('blocks that touch are one run of rows', () => {
  assert.equal(resolve({ rows: 'a', from: 0, to: 2, stride: 2, count: 3 }), resolve('a'));
});

test('concatenations become flat and rows go into them', () => {
  const flat = resolve({ concat: [{ concat: ['a', 'b'] }, 'short'] });
  assert.is(flat.rows, 15);
  assert.is((flat as Extract<RowSource, { kind: 'concat' }>).sources.length, 3);
  assert.equal(resolve({ rows: { concat: ['a', 'b'] }, from: 6, to: 12 }), resolve('b'));
  const across = resolve({ rows: { concat: ['a', 'b'] }, from: 4, to: 8 });
  assert.equal(
    across,
    resolve({
      concat: [
        { rows: 'a', from: 4, to: 6 },
        { rows: 'b', from: 0, to: 2 },
      ],
    }),
  );
});

test('what changes nothing disappears', () => {
  assert.equal(resolve({ transpose: { transpose: 'a' } }), resolve('a'));
  assert.equal(resolve({ permuteRows: 'short', order: [0, 1, 2] }), resolve('short'));
  assert.equal(resolve({ tied: 'a' }), resolve('a'));
});

const refused: [string, WeightSource, RegExp][] = [
  ['a missing tensor', { concat: ['a', 'nowhere'] }, /tensor "nowhere" is missing/],
  ['a missing tied tensor', { tied: 'nowhere' }, /tensor "nowhere" is missing/],
  ['integers', 'ids', /tensor "ids" has dtype I64/],
  ['rows out of bounds', { rows: 'a', from: 2, to: 7 }, /tensor "a" has 6 rows; rows 2 to 7 do not lie within/],
  ['rows that end before they start', { rows: 'a', from: 3, to: 2 }, /do not lie within/],
  ['blocks out of bounds', { rows: 'a', from: 0, to: 2, stride: 3, count: 3 }, /3 times, 3 rows apart do not lie/],
  ['half rows', { rows: 'a', from: 0.5, to: 2.5 }, /do not lie within/],
  ['concat of unequal widths', { concat: ['a', 'wide'] }, /"a" \[6, 4\] and tensor "wide" \[6, 5\].*columns differ/],
  ['interleaving of unequal heights', { interleaveRows: ['a', 'short'] }, /rows differ/],
  ['interleaving of unequal widths', { interleaveRows: ['a', 'wide'] }, /columns differ/],
  ['nothing to join', { concat: [] }, /no tensors/],
  ['an order with a row twice', { permuteRows: 'short', order: [0, 1, 1] }, /no permutation/],
  ['an order that is too short', { permuteRows: 'short', order: [0, 1] }, /no permutation/],
  ['an order with a row too many', { permuteRows: 'short', order: [0, 1, 3] }, /no permutation/],
];
for (const [what, source, message] of refused) {
  test(`refused: ${what}`, () => assert.match(complaint(source), message));
}

test('a value is found behind every form', () => {
  const source = resolve({
    transpose: {
      plus: { concat: [{ permuteRows: 'short', order: [2, 0, 1] }, { interleaveRows: ['a', 'b'] }] },
      constant: 1,
    },
  });
  assert.equal(locate(source, 3, 0), {
    tensor: 'short',
    row: 2,
    column: 3,
    file: '/c/model.safetensors',
    offset: 100 + 2 * 11,
  });
  assert.equal(locate(source, 1, 3 + 5), {
    tensor: 'b',
    row: 2,
    column: 1,
    file: '/c/model.safetensors',
    offset: 100 + 2 * 9,
  });
  const blocks = resolve({ rows: 'a', from: 1, to: 2, stride: 3, count: 2 });
  assert.is(locate(blocks, 1, 0)?.row, 4);
  const table = { inverse_frequencies: [1], attention_factor: 1, positions: 1, part: 'cos' as const };
  assert.is(locate(resolve({ rotary: table }), 0, 0), undefined);
});

test.run();
