import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadKernels } from '../../src/kernels/kernels.js';

const kernels = loadKernels();

/** The plain twin of kernels/assembly/group_ranges.ts. */
function plainRanges(reference: Float32Array, actual: Float32Array, cols: number, group: number): Float32Array {
  const found: number[] = [];
  for (let row = 0; row < reference.length; row += cols) {
    for (let from = row; from < row + cols; from += group) {
      const end = Math.min(from + group, row + cols);
      const values = [0, ...reference.subarray(from, end)];
      const errors = [...reference.subarray(from, end)].map((value, i) =>
        Math.abs(Math.fround(value - actual[from + i])),
      );
      found.push(Math.min(...values), Math.max(...values), Math.max(...errors));
    }
  }
  return Float32Array.from(found);
}

const weight = fc.oneof(fc.float({ min: -1, max: 1, noNaN: true }), fc.float({ noNaN: true, noDefaultInfinity: true }));
const matrices = fc.record({
  rows: fc.integer({ min: 1, max: 4 }),
  cols: fc.integer({ min: 1, max: 70 }),
  group: fc.constantFrom(1, 16, 32, 33, 128),
  values: fc.infiniteStream(weight),
  off: fc.infiniteStream(
    fc.oneof({ weight: 50, arbitrary: weight }, { weight: 1, arbitrary: fc.constant(Number.NaN) }),
  ),
});

test('ranges and greatest errors of groups equal the twin, NaN included', () => {
  let unknown = 0;
  fc.assert(
    fc.property(matrices, ({ rows, cols, group, values, off }) => {
      const width = Math.min(group, cols);
      const count = rows * cols;
      const reference = Float32Array.from({ length: count }, () => values.next().value);
      const actual = Float32Array.from({ length: count }, () => off.next().value);
      const expected = plainRanges(reference, actual, cols, width);
      if (expected.some(Number.isNaN)) unknown++;
      const [at, other, to] = [0, 4 * count, 8 * count].map((offset) => kernels.heapBase + offset);
      kernels.reserve(8 * count + 4 * expected.length);
      const { buffer } = kernels.bytes(0, 0);
      new Float32Array(buffer, at, count).set(reference);
      new Float32Array(buffer, other, count).set(actual);
      kernels.groupRanges(at, other, rows, cols, width, to);
      // 0 and -0 are one least or greatest value
      assert.equal(
        [...new Float32Array(buffer, to, expected.length)].map((x) => x + 0),
        [...expected].map((x) => x + 0),
      );
    }),
    { numRuns: 300 },
  );
  assert.ok(unknown > 20);
});

test.run();
