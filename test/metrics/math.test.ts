import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bootstrapInterval, seededRandom } from '../../src/metrics/math/bootstrap.js';
import { ErrorSums } from '../../src/metrics/math/error-sums.js';
import { logSumExp } from '../../src/metrics/math/log-softmax.js';
import { greatest } from '../../src/metrics/math/ranking.js';
import { maximum, mean, percentile } from '../../src/metrics/math/summary.js';
import { nextIds, textWindows } from '../../src/metrics/math/windows.js';
import sqnrDb from '../../src/metrics/sqnr_db.js';

const near = (actual: number, expected: number, bound = 1e-12) =>
  assert.ok(Math.abs(actual - expected) <= bound, `${actual} is not ${expected}`);

test('log sum exp is exact where exp would overflow', () => {
  near(logSumExp(Float32Array.of(1000, 1000)), 1000 + Math.log(2));
  near(logSumExp(Float32Array.of(-1000, -1001)), -1000 + Math.log1p(Math.exp(-1)));
  assert.ok(Number.isNaN(logSumExp(Float32Array.of(1, Number.NaN, 3))));
});

test('percentile interpolates as numpy does', () => {
  const values = Float64Array.of(4, 1, 3, 2);
  // numpy.percentile([1, 2, 3, 4], [0, 25, 50, 99, 100])
  for (const [share, expected] of [
    [0, 1],
    [0.25, 1.75],
    [0.5, 2.5],
    [0.99, 3.97],
    [1, 4],
  ]) {
    near(percentile(values, share), expected);
  }
  assert.equal([...values], [4, 1, 3, 2], 'the values keep their order');
  assert.is(percentile(Float64Array.of(Infinity, 1), 1), Infinity);
});

test('summaries let NaN through wherever it stands', () => {
  for (const at of [0, 1, 2]) {
    const values = Float64Array.of(1, 2, 3);
    values[at] = Number.NaN;
    for (const summary of [mean, maximum, (each: Float64Array) => percentile(each, 0.5)]) {
      assert.ok(Number.isNaN(summary(values)));
    }
    const sums = new ErrorSums().add(Float32Array.of(1, 2, 3), Float32Array.from(values));
    for (const value of [sums.greatest, sums.cosine, sums.sqnrDb]) assert.ok(Number.isNaN(value));
  }
});

test('greatest ranks as a stable sort does', () => {
  const row = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(row, fc.integer({ min: 1, max: 8 }), (values, count) => {
      const expected = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
      assert.equal(greatest(Float32Array.from(values), count), expected.slice(0, count));
    }),
  );
});

test('SQNR of a known noise; sums in pieces are the sums of the whole', () => {
  const [r, a] = [Float32Array.of(10, 0, -10, 0), Float32Array.of(9, 1, -10, 0)];
  near(sqnrDb.measure(r, a), 20);
  assert.is(sqnrDb.measure(r, r), Infinity);
  const pieces = new ErrorSums().add(r.subarray(0, 1), a.subarray(0, 1)).add(r.subarray(1), a.subarray(1));
  assert.equal({ ...pieces }, { ...new ErrorSums().add(r, a) });
  near(pieces.cosine, 190 / Math.sqrt(200 * 182));
  near(pieces.rootMeanSquareError, Math.sqrt(0.5));
  assert.is(new ErrorSums().add(r, new Float32Array(4)).cosine, 0);
});

test('bootstrap: same seed, same interval; it holds the mean and narrows with more values', () => {
  const random = seededRandom(5);
  const values = Float64Array.from({ length: 2000 }, random);
  const wide = bootstrapInterval(values.subarray(0, 50), mean, { seed: 3 });
  assert.equal(bootstrapInterval(values.subarray(0, 50), mean, { seed: 3 }), wide);
  assert.not.equal(bootstrapInterval(values.subarray(0, 50), mean, { seed: 4 }), wide);
  const narrow = bootstrapInterval(values, mean, { resamples: 400 });
  assert.ok(narrow.low < mean(values) && mean(values) < narrow.high);
  // 1.96 standard deviations of a mean of uniform numbers, on both sides.
  const expected = (2 * 1.96) / Math.sqrt(12 * 2000);
  assert.ok(Math.abs((narrow.high - narrow.low) / expected - 1) < 0.2, `${narrow.high - narrow.low}`);
  assert.ok(wide.high - wide.low > 3 * (narrow.high - narrow.low));
});

test('bootstrap in blocks widens where neighbours are alike', () => {
  const random = seededRandom(9);
  const values = Float64Array.from({ length: 40 }, random).reduce<number[]>(
    (all, x) => all.concat(Array(20).fill(x)),
    [],
  );
  const width = (block: number) => {
    const { low, high } = bootstrapInterval(Float64Array.from(values), mean, { block, resamples: 300 });
    return high - low;
  };
  assert.ok(width(20) > 2 * width(1), `${width(20)} against ${width(1)}`);
  assert.ok(Number.isNaN(bootstrapInterval(new Float64Array(0), mean).low));
  assert.equal(bootstrapInterval(Float64Array.of(7), mean, { block: 50 }), { low: 7, high: 7 });
});

test('windows follow each other, each behind the leading token; the tail is dropped', () => {
  const ids = [1, 2, 3, 4, 5, 6, 7, 8];
  const { sequences, targets } = textWindows(ids, { length: 4, leading: 0 });
  assert.equal(sequences, [
    [0, 1, 2, 3],
    [0, 4, 5, 6],
  ]);
  assert.equal([...targets], [1, 2, 3, -1, 4, 5, 6, -1]);
  assert.equal(textWindows(ids, { length: 4 }).sequences, [
    [1, 2, 3, 4],
    [5, 6, 7, 8],
  ]);
  assert.is(textWindows(ids, { length: 4, count: 1 }).sequences.length, 1);
  assert.equal([...nextIds([[3, 4], [9]])], [4, -1, -1]);
});

test.run();
