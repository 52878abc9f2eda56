import { type Activation, activation, number, type OperatorCall, weight } from '../call.js';
import type { Sequences } from '../sequences.js';
import { project } from './linear.js';

/** Sizes of a causal attention; query head h reads key head floor(h * kvHeads / heads). */
export interface AttentionForm {
  heads: number;
  kvHeads: number;
  headDim: number;
  valueDim: number;
  scale: number;
  /** Keys visible to a query, its own included; 0 for all before it. */
  window: number;
  /** cap * tanh(score / cap) before the softmax; 0 for none. */
  softcap: number;
}

/**
 * Causal softmax(cap(scale q k^T)) v within each sequence, one head and query at a time, in float64 throughout: keys
 * and values of a head are widened once, which takes half the time of widening them at each use.
 * q [tokens, heads * headDim], k [tokens, kvHeads * headDim], v [tokens, kvHeads * valueDim].
 */
export function attend(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  form: AttentionForm,
  { starts }: Pick<Sequences, 'starts'>,
): Activation {
  const { heads, kvHeads, headDim, valueDim, scale, window, softcap } = form;
  const width = heads * valueDim;
  const data = new Float32Array((q.length / (heads * headDim)) * width);
  const sums = new Float64Array(valueDim);
  for (let sequence = 0; sequence + 1 < starts.length; sequence++) {
    const [start, end] = [starts[sequence], starts[sequence + 1]];
    const scores = new Float64Array(end - start);
    let [widened, keys, values] = [-1, sums, sums];
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      if (kvHead !== widened) {
        keys = widenHead(k, start, end, kvHeads, kvHead, headDim);
        values = widenHead(v, start, end, kvHeads, kvHead, valueDim);
        widened = kvHead;
      }
      const queries = widenHead(q, start, end, heads, head, headDim);
      for (let query = 0; query < end - start; query++) {
        const first = window > 0 ? Math.max(0, query - window + 1) : 0;
        const count = query - first + 1;
        dotProducts(queries, query * headDim, keys, first * headDim, headDim, scores, count);
        for (let key = 0; key < count; key++) {
          const score = scale * scores[key];
          scores[key] = softcap > 0 ? softcap * Math.tanh(score / softcap) : score;
        }
        const total = exponentials(scores, count);
        weightedSum(scores, count, values, first * valueDim, sums);
        const out = (start + query) * width + head * valueDim;
        for (let i = 0; i < valueDim; i++) data[out + i] = sums[i] / total;
      }
    }
  }
  return { width, data };
}

/** One head of tokens [start, end) as float64 [end - start, size]. */
function widenHead(x: Float32Array, start: number, end: number, heads: number, head: number, size: number) {
  const widened = new Float64Array((end - start) * size);
  for (let token = start; token < end; token++) {
    const from = (token * heads + head) * size;
    widened.set(x.subarray(from, from + size), (token - start) * size);
  }
  return widened;
}

/** products [count] = q . row of keys from `start` on; four rows at a time, whose additions don't wait for each other. */
function dotProducts(
  q: Float64Array,
  qStart: number,
  keys: Float64Array,
  start: number,
  size: number,
  products: Float64Array,
  count: number,
): void {
  let row = 0;
  for (; row + 4 <= count; row += 4) {
    const at = start + row * size;
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let i = 0; i < size; i++) {
      const value = q[qStart + i];
      s0 += value * keys[at + i];
      s1 += value * keys[at + size + i];
      s2 += value * keys[at + 2 * size + i];
      s3 += value * keys[at + 3 * size + i];
    }
    products[row] = s0;
    products[row + 1] = s1;
    products[row + 2] = s2;
    products[row + 3] = s3;
  }
  for (; row < count; row++) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += q[qStart + i] * keys[start + row * size + i];
    products[row] = sum;
  }
}

/** Replaces the first `count` scores by exp(score - greatest) and returns their sum. NaN goes through. */
function exponentials(scores: Float64Array, count: number): number {
  let greatest = -Infinity;
  for (let i = 0; i < count; i++) greatest = Math.max(greatest, scores[i]);
  let total = 0;
  for (let i = 0; i < count; i++) {
    scores[i] = Math.exp(scores[i] - greatest);
    total += scores[i];
  }
  return total;
}

/** sums = shares [count] times rows of `values` from `start` on; four rows at a time. */
function weightedSum(shares: Float64Array, count: number, values: Float64Array, start: number, sums: Float64Array) {
  const size = sums.length;
  sums.fill(0);
  let row = 0;
  for (; row + 4 <= count; row += 4) {
    const at = start + row * size;
    const s0 = shares[row];
    const s1 = shares[row + 1];
    const s2 = shares[row + 2];
    const s3 = shares[row + 3];
    for (let i = 0; i < size; i++) {
      sums[i] +=
        s0 * values[at + i] +
        s1 * values[at + size + i] +
        (s2 * values[at + 2 * size + i] + s3 * values[at + 3 * size + i]);
    }
  }
  for (; row < count; row++) {
    for (let i = 0; i < size; i++) sums[i] += shares[row] * values[start + row * size + i];
  }
}

export function attention(call: OperatorCall) {
  const headDim = number(call, 'head_dim');
  const form = {
    heads: number(call, 'heads'),
    kvHeads: number(call, 'kv_heads'),
    headDim,
    valueDim: number(call, 'v_head_dim', headDim),
    scale: number(call, 'scale'),
    window: number(call, 'window', 0),
    softcap: number(call, 'softcap', 0),
  };
  const [q, k, v] = [0, 1, 2].map((index) => activation(call, index));
  const widths = [form.heads * headDim, form.kvHeads * headDim, form.kvHeads * form.valueDim];
  if ([q, k, v].some((each, index) => each.width !== widths[index])) {
    throw new Error(`${call.node.name}: widths ${[q.width, k.width, v.width]} where ${widths} were drawn`);
  }
  return attend(q.data, k.data, v.data, form, call.sequences);
}

/**
 * Multi-head latent attention, expanded (DeepSeek-V2, section 2.1): kv_b turns the latent c into each head's k and v,
 * and every head's key ends in the one rotated k_rope.
 */
export async function latentAttention(call: OperatorCall) {
  const [q, latent, rotated] = [0, 1, 2].map((index) => activation(call, index));
  const heads = number(call, 'heads');
  const nope = number(call, 'nope');
  const rope = number(call, 'rope');
  const valueDim = number(call, 'v_head_dim');
  const headDim = nope + rope;
  const expanded = await project(call.gemm, latent, weight(call, 3));
  if (expanded.width !== heads * (nope + valueDim) || q.width !== heads * headDim || rotated.width !== rope) {
    throw new Error(`${call.node.name}: widths ${[q.width, expanded.width, rotated.width]} do not fit ${heads} heads`);
  }

  const k = new Float32Array(call.tokens * heads * headDim);
  const v = new Float32Array(call.tokens * heads * valueDim);
  for (let token = 0; token < call.tokens; token++) {
    const tail = rotated.data.subarray(token * rope, (token + 1) * rope);
    for (let head = 0; head < heads; head++) {
      const from = token * expanded.width + head * (nope + valueDim);
      const key = (token * heads + head) * headDim;
      k.set(expanded.data.subarray(from, from + nope), key);
      k.set(tail, key + nope);
      v.set(expanded.data.subarray(from + nope, from + nope + valueDim), (token * heads + head) * valueDim);
    }
  }
  const form = { heads, kvHeads: heads, headDim, valueDim, scale: number(call, 'scale'), window: 0, softcap: 0 };
  return attend(q.data, k, v, form, call.sequences);
}
