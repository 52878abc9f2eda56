import { InvalidInputError } from '../core/errors.js';

/** How the next token is chosen from logits. */
export interface SamplingSettings {
  /** False: always the largest logit, of equal ones the lowest id. */
  doSample: boolean;
  /** Divides the logits; above 0 where doSample is true. */
  temperature: number;
  /** Only the k largest logits count; 0: all. */
  topK: number;
  /** Only the smallest set of most probable tokens that has this much probability counts; 0 or 1: all. */
  topP: number;
  /** Logits of tokens already in the text are divided by it where positive, multiplied where negative; 1: none. */
  repetitionPenalty: number;
  /** Start of the random numbers, an integer from 0 to 2^32 - 1. */
  seed: number;
}

/** Chooses the next id from `logits` [vocabulary], which it may change; `text` holds the ids so far, prompt included. */
export type Sampler = (logits: Float32Array, text: readonly number[]) => number;

/**
 * A sampler in transformers' order: repetition penalty, temperature, top-k, top-p. The same settings, logits and
 * order of calls give the same ids on every machine that has the same Math.exp.
 */
export function createSampler(settings: SamplingSettings): Sampler {
  const random = randomNumbers(settings.seed);
  return (logits, text) => {
    if (settings.repetitionPenalty !== 1) penalize(logits, text, settings.repetitionPenalty);
    if (!settings.doSample) return largest(logits);
    return draw(logits, settings, random());
  };
}

/** The id of the largest logit, of equal ones the lowest. Throws InvalidInputError where a logit is NaN. */
export function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    const value = logits[id] as number;
    if (value > (logits[best] as number)) best = id;
    else if (Number.isNaN(value)) throw notANumber(id);
  }
  return best;
}

/** transformers' RepetitionPenaltyLogitsProcessor: once for each different id, however often it stands in the text. */
function penalize(logits: Float32Array, text: readonly number[], penalty: number): void {
  for (const id of new Set(text)) {
    const value = logits[id] as number;
    logits[id] = value < 0 ? value * penalty : value / penalty;
  }
}

/** Draws an id; `random` is uniform in [0, 1). Weights are exp((logit - maximum) / temperature) in float64. */
function draw(logits: Float32Array, { temperature, topK, topP }: SamplingSettings, random: number): number {
  const maximum = logits[largest(logits)] as number;
  const weigh = (id: number) => Math.exp(((logits[id] as number) - maximum) / temperature);
  const usesNucleus = topP > 0 && topP < 1;
  if (topK === 0 && !usesNucleus) {
    let total = 0;
    for (let id = 0; id < logits.length; id++) total += weigh(id);
    return pick((index) => index, weigh, logits.length, random * total);
  }

  const next = descending(logits);
  const limit = topK > 0 ? Math.min(topK, logits.length) : logits.length;
  const ids: number[] = [];
  let total = 0;
  if (topK > 0) {
    while (ids.length < limit) ids.push(next());
    for (const id of ids) total += weigh(id);
  } else {
    for (let id = 0; id < logits.length; id++) total += weigh(id);
  }
  let kept = ids.length;
  if (usesNucleus) {
    kept = 0;
    let sum = 0;
    while (sum < topP * total && kept < limit) {
      if (kept === ids.length) ids.push(next());
      sum += weigh(ids[kept++] as number);
    }
    total = sum;
  }
  return pick((index) => ids[index] as number, weigh, kept, random * total);
}

/** The first of `count` ids at which the running sum of weights exceeds `target`. */
function pick(idAt: (index: number) => number, weigh: (id: number) => number, count: number, target: number): number {
  let sum = 0;
  let chosen = idAt(0);
  for (let index = 0; index < count; index++) {
    const id = idAt(index);
    const weight = weigh(id);
    // An id of weight 0 is never chosen, not even when rounding leaves `target` above the whole sum.
    if (weight > 0) chosen = id;
    sum += weight;
    if (sum > target) break;
  }
  return chosen;
}

/**
 * Hands out ids by falling logit, of equal ones the lowest id first. A heap: making it is linear, and nucleus sampling
 * seldom asks for more than some hundreds of 150,000 ids.
 */
function descending(logits: Float32Array): () => number {
  const heap = Uint32Array.from({ length: logits.length }, (_, id) => id);
  let size = heap.length;
  const before = (a: number, b: number) => {
    const difference = (logits[a] as number) - (logits[b] as number);
    return difference > 0 || (difference === 0 && a < b);
  };
  const sink = (start: number) => {
    const moving = heap[start] as number;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1] as number, heap[child] as number)) child++;
      if (!before(heap[child] as number, moving)) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = moving;
  };
  for (let at = (size >> 1) - 1; at >= 0; at--) sink(at);
  return () => {
    const top = heap[0] as number;
    size--;
    heap[0] = heap[size] as number;
    if (size > 1) sink(0);
    return top;
  };
}

/**
 * Uniform numbers in [0, 1) with 53 random bits: xoshiro128** (Blackman and Vigna), its state filled by splitmix32
 * from the seed; integer arithmetic, so the same on every machine.
 */
export function randomNumbers(seed: number): () => number {
  let mix = seed >>> 0;
  const fill = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [fill(), fill(), fill(), fill()];
  const rotate = (x: number, bits: number) => (x << bits) | (x >>> (32 - bits));
  const next = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

function notANumber(id: number): InvalidInputError {
  return new InvalidInputError(
    `the logit of token ${id} is not a number: the package computes nonsense.`,
    'check it with halfbyte verify, or convert the checkpoint again.',
  );
}
