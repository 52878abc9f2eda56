import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { GenaiSearch } from '../../src/formats/package-reader.js';
import { createSampler, largest, randomNumbers, type SamplingSettings } from '../../src/runtime/sampler.js';
import { samplingSettings } from '../../src/runtime/sampling-settings.js';

const PLAIN: SamplingSettings = { doSample: true, temperature: 1, topK: 0, topP: 0, repetitionPenalty: 1, seed: 1 };
/** Probabilities 0.4, 0.1, 0.3, 0.2 at temperature 1. */
const LOGITS = [0.4, 0.1, 0.3, 0.2].map(Math.log);

function frequencies(settings: Partial<SamplingSettings>, draws = 40_000): number[] {
  const sampler = createSampler({ ...PLAIN, ...settings });
  const counts = LOGITS.map(() => 0);
  for (let i = 0; i < draws; i++) {
    const id = sampler(Float32Array.from(LOGITS), []);
    counts[id] = (counts[id] as number) + 1;
  }
  return counts.map((count) => count / draws);
}

/** Five standard deviations of a frequency over 40,000 draws are at most 0.0125. */
function near(actual: number[], expected: number[]): void {
  for (const [i, p] of expected.entries()) {
    if (p === 0) assert.is(actual[i], 0, `id ${i}`);
    else assert.ok(Math.abs((actual[i] as number) - p) < 0.0125, `id ${i}: ${actual[i]} instead of ${p}`);
  }
}

test('ids come with their probabilities', () => near(frequencies({}), [0.4, 0.1, 0.3, 0.2]));

test('temperature sharpens: probabilities to the power 1/T', () => {
  const squares = [0.16, 0.01, 0.09, 0.04];
  near(
    frequencies({ temperature: 0.5 }),
    squares.map((p) => p / 0.3),
  );
});

test('top-k keeps the k largest', () => {
  near(frequencies({ topK: 2 }), [4 / 7, 0, 3 / 7, 0]);
  near(frequencies({ topK: 1 }, 1000), [1, 0, 0, 0]);
  near(frequencies({ topK: 9 }), [0.4, 0.1, 0.3, 0.2]);
});

test('top-p keeps the smallest set with that probability, at least one id', () => {
  near(frequencies({ topP: 0.69 }), [4 / 7, 0, 3 / 7, 0]);
  near(frequencies({ topP: 0.71 }), [4 / 9, 0, 3 / 9, 2 / 9]);
  near(frequencies({ topP: 0.01 }, 1000), [1, 0, 0, 0]);
  near(frequencies({ topP: 1 }), [0.4, 0.1, 0.3, 0.2]);
});

test('top-p works on what top-k left, as in transformers', () => {
  // Of 0.4, 0.3, 0.2 the first two have 0.778.
  near(frequencies({ topK: 3, topP: 0.77 }), [4 / 7, 0, 3 / 7, 0]);
  near(frequencies({ topK: 3, topP: 0.78 }), [4 / 9, 0, 3 / 9, 2 / 9]);
});

test('greedy takes the largest logit and the lowest id of equal ones', () => {
  const greedy = createSampler({ ...PLAIN, doSample: false });
  assert.is(greedy(Float32Array.of(1, 3, 3, 2), []), 1);
  assert.is(greedy(Float32Array.of(-5, -5), []), 0);
  assert.is(greedy(Float32Array.of(Number.NEGATIVE_INFINITY, -9), []), 1);
});

test('of equal logits top-k keeps the lowest ids', () => {
  const sampler = createSampler({ ...PLAIN, topK: 2 });
  const seen = new Set(Array.from({ length: 200 }, () => sampler(new Float32Array(50), [])));
  assert.equal([...seen].sort(), [0, 1]);
});

test('a repetition penalty divides positive and multiplies negative logits, once for each id', () => {
  const greedy = createSampler({ ...PLAIN, doSample: false, repetitionPenalty: 2 });
  assert.is(greedy(Float32Array.of(3, 2, -1), [0, 0, 0]), 1);
  assert.is(greedy(Float32Array.of(3, 1, -1), [0, 0, 0]), 0, '3 / 2 stays above 1 however often it was said');
  assert.is(greedy(Float32Array.of(-3, -2), [1]), 0, '-2 becomes -4');
});

test('NaN is an error, not a token', () => {
  assert.throws(
    () => largest(Float32Array.of(1, Number.NaN, 2)),
    (e: Error) => e instanceof InvalidInputError,
  );
  assert.throws(() => createSampler(PLAIN)(Float32Array.of(Number.NaN), []), /token 0 is not a number/);
});

test('random numbers are these on every machine', () => {
  const random = randomNumbers(42);
  // Computed with an independent Python implementation of splitmix32 and xoshiro128**.
  for (const value of [0.15377165265745885, 0.018084542542176507, 0.5348906284683476, 0.7272476959257951])
    assert.is(random(), value);
});

test('the same seed repeats, another does not', () => {
  const run = (seed: number) => {
    const sampler = createSampler({ ...PLAIN, seed });
    return Array.from({ length: 64 }, () => sampler(Float32Array.from(LOGITS), []));
  };
  assert.equal(run(7), run(7));
  assert.not.equal(run(7), run(8));
});

test('property: a draw is among the ids that sorting would keep', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 0, max: 70 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(),
      (logits, topK, topP, seed) => {
        const order = logits.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b);
        const candidates = topK > 0 ? order.slice(0, topK) : order;
        const weights = candidates.map((id) => Math.exp(logits[id]! - logits[order[0]!]!));
        const total = weights.reduce((a, b) => a + b, 0);
        let kept = candidates.length;
        if (topP > 0 && topP < 1) {
          // A margin for sums taken in another order.
          const enough = topP * total * (1 + 1e-12);
          let sum = 0;
          for (kept = 0; sum < enough && kept < weights.length; kept++) sum += weights[kept]!;
        }
        const id = createSampler({ ...PLAIN, topK, topP, seed })(Float32Array.from(logits), []);
        assert.ok(candidates.slice(0, kept).includes(id), `${id} of ${candidates.slice(0, kept)}`);
      },
    ),
  );
});

const SEARCH = {
  do_sample: true,
  temperature: 0.6,
  top_k: 40,
  top_p: 0.95,
  repetition_penalty: 1.1,
  num_beams: 1,
  past_present_share_buffer: true,
} as GenaiSearch;

test('settings come from the package, and what is asked goes before them', () => {
  const common = { topK: 40, topP: 0.95, repetitionPenalty: 1.1, seed: 3 };
  assert.equal(samplingSettings(SEARCH, { seed: 3 }), { doSample: true, temperature: 0.6, ...common });
  assert.equal(samplingSettings(SEARCH, { seed: 3, greedy: true }), { doSample: false, temperature: 0.6, ...common });
  const quiet = { ...SEARCH, do_sample: false };
  assert.is(samplingSettings(quiet).doSample, false);
  assert.is(samplingSettings(quiet, { topP: 0.5 }).doSample, true);
  assert.is(samplingSettings(quiet, { topP: 0.5 }).topP, 0.5);
  assert.is(samplingSettings(SEARCH, { temperature: 0 }).doSample, false, 'temperature 0 is greedy');
});

test('settings out of range and beams are refused', () => {
  const asked = [
    { temperature: -1 },
    { temperature: Number.POSITIVE_INFINITY },
    { topK: -1 },
    { topK: 1.5 },
    { topP: 1.1 },
    { topP: -0.1 },
    { repetitionPenalty: 0 },
    { seed: -1 },
    { seed: 2 ** 32 },
    { greedy: true, topK: 3 },
  ];
  for (const request of asked) {
    assert.throws(
      () => samplingSettings(SEARCH, request),
      (e: Error) => e instanceof UsageError,
      JSON.stringify(request),
    );
  }
  const beams = { ...SEARCH, do_sample: false, num_beams: 4 };
  assert.throws(() => samplingSettings(beams), /4 beams/);
  assert.is(samplingSettings(beams, { greedy: true }).doSample, false);
});

test.run();
