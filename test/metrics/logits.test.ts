import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import cosine from '../../src/metrics/cosine.js';
import klDivergence from '../../src/metrics/kl_divergence.js';
import klDivergenceMax from '../../src/metrics/kl_divergence_max.js';
import klDivergenceP99 from '../../src/metrics/kl_divergence_p99.js';
import { perPosition } from '../../src/metrics/math/positions.js';
import maxAbsDifference from '../../src/metrics/max_abs_difference.js';
import perplexity from '../../src/metrics/perplexity.js';
import perplexityRatio from '../../src/metrics/perplexity_ratio.js';
import top1Agreement from '../../src/metrics/top1_agreement.js';
import top5Agreement from '../../src/metrics/top5_agreement.js';

const near = (actual: number, expected: number, bound = 1e-9) =>
  assert.ok(Math.abs(actual - expected) <= bound, `${actual} is not ${expected}`);
const logs = (...shares: number[]) => Float32Array.from(shares, Math.log);

// Two positions of three ids, given as probabilities; a constant on a row changes nothing.
const reference = Float32Array.from([...logs(0.5, 0.25, 0.25), ...logs(0.2, 0.5, 0.3)]);
const actual = Float32Array.from([...logs(0.25, 0.5, 0.25).map((x) => x + 3), ...logs(0.2, 0.5, 0.3)]);
const first = 0.5 * Math.log(2) + 0.25 * Math.log(0.5);

test('KL divergence: mean, 99th percentile and maximum of the positions', () => {
  near(klDivergence.measure(reference, actual, 3), first / 2, 1e-7);
  near(klDivergenceMax.measure(reference, actual, 3), first, 1e-7);
  near(klDivergenceP99.measure(reference, actual, 3), 0.99 * first, 1e-7);
  near(perPosition(klDivergence, reference, actual, 3)[0], first, 1e-7);
});

test('KL divergence is taken from the reference, not towards it', () => {
  const [p, q] = [logs(0.9, 0.1), logs(0.5, 0.5)];
  near(klDivergence.measure(p, q, 2), 0.9 * Math.log(1.8) + 0.1 * Math.log(0.2), 1e-7);
  near(klDivergence.measure(q, p, 2), 0.5 * Math.log(0.5 / 0.9) + 0.5 * Math.log(5), 1e-7);
});

test('KL divergence of logits far apart stays finite, of a broken run never looks good', () => {
  near(klDivergence.measure(Float32Array.of(1e4, 0), Float32Array.of(0, 1e4), 2), 1e4);
  assert.is(klDivergence.measure(Float32Array.of(-Infinity, 0), Float32Array.of(-Infinity, 0), 2), 0);
  assert.is(klDivergence.measure(Float32Array.of(0, 0), Float32Array.of(-Infinity, 0), 2), Infinity);
  for (const metric of [klDivergence, klDivergenceMax, klDivergenceP99, maxAbsDifference, cosine]) {
    const [good, bad] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(1, 2, Number.NaN, 4)];
    assert.ok(Number.isNaN(metric.measure(good, bad, 2)));
  }
  assert.is(top1Agreement.measure(Float32Array.of(1, 2), Float32Array.of(Number.NaN, Number.NaN), 2), 0);
});

const rows = fc
  .integer({ min: 1, max: 20 })
  .chain((size) =>
    fc.tuple(
      ...[0, 1].map(() => fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: size, maxLength: size })),
    ),
  )
  .map(([a, b]) => [Float32Array.from(a), Float32Array.from(b)]);

test('KL divergence is never below 0, 0 for itself, and ignores a shift', () => {
  fc.assert(
    fc.property(rows, ([p, q]) => {
      const value = klDivergence.measure(p, q, p.length);
      assert.ok(value >= 0);
      assert.is(klDivergence.measure(p, p, p.length), 0);
      near(
        klDivergence.measure(
          p,
          q.map((x) => x + 8),
          p.length,
        ),
        value,
        1e-4,
      );
    }),
  );
});

test('agreement of the best and of the five best', () => {
  const [a, b] = [Float32Array.of(9, 8, 7, 6, 5, 4, 3), Float32Array.of(9, 1, 7, 6, 2, 8, 5)];
  assert.is(top1Agreement.measure(a, b, 7), 1);
  assert.is(top5Agreement.measure(a, b, 7), 3 / 5);
  assert.is(top1Agreement.measure(reference, actual, 3), 0.5);
  assert.is(top5Agreement.measure(reference, actual, 3), 1, 'fewer ids than five: all of them');
  assert.is(top1Agreement.measure(Float32Array.of(1, 1, 0), Float32Array.of(1, 0, 0), 3), 1, 'ties go to the lower id');
});

test('greatest difference and mean cosine', () => {
  const [a, b] = [Float32Array.of(3, 4, 1, 0), Float32Array.of(4, 3, 0, -2)];
  assert.is(maxAbsDifference.measure(a, b, 2), 2);
  near(cosine.measure(a, b, 2), (24 / 25 + 0) / 2);
});

test('perplexity is taken over the positions that have a target', () => {
  const targets = [1, -1];
  near(perplexity.measure(reference, actual, 3, targets), 2, 1e-6);
  near(perplexityRatio.measure(reference, actual, 3, targets), 0.5, 1e-6);
  const both = [0, 2];
  near(perplexity.measure(reference, actual, 3, both), 1 / Math.sqrt(0.25 * 0.3), 1e-6);
  near(perplexityRatio.measure(reference, actual, 3, both), Math.SQRT2, 1e-6);
  assert.throws(() => perplexity.measure(reference, actual, 3), '2 positions need as many targets');
});

test('logits of different sizes are refused', () => {
  assert.throws(() => klDivergence.measure(reference, actual.subarray(3), 3), 'logits of 6 and 3 values');
});

test.run();
