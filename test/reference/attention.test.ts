import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { activationOf, difference, noise, rowsOf, run } from './calls.js';

/** Attention by the definition, all scores of a head as one masked matrix. */
function byDefinition(
  q: number[],
  k: number[],
  v: number[],
  form: { tokens: number; heads: number; kvHeads: number; d: number; dv: number; scale: number },
  visible: (query: number, key: number) => boolean,
  cap = (score: number) => score,
): number[] {
  const { tokens, heads, kvHeads, d, dv, scale } = form;
  const out: number[] = [];
  for (let i = 0; i < tokens; i++) {
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h / (heads / kvHeads));
      const powers = Array.from({ length: tokens }, (_, j) => {
        const products = Array.from({ length: d }, (_, c) => q[(i * heads + h) * d + c] * k[(j * kvHeads + g) * d + c]);
        return visible(i, j) ? Math.exp(cap(scale * products.reduce((a, b) => a + b))) : 0;
      });
      const total = powers.reduce((a, b) => a + b);
      for (let c = 0; c < dv; c++) {
        out.push(powers.reduce((sum, power, j) => sum + (power / total) * v[(j * kvHeads + g) * dv + c], 0));
      }
    }
  }
  return out;
}

const form = { tokens: 11, heads: 6, kvHeads: 2, d: 5, dv: 3, scale: 0.7 };
const q = noise(form.tokens * form.heads * form.d, 1).map((x) => 4 * x);
const k = noise(form.tokens * form.kvHeads * form.d, 2).map((x) => 4 * x);
const v = noise(form.tokens * form.kvHeads * form.dv, 3);
const inputs = [activationOf(q, 30), activationOf(k, 10), activationOf(v, 6)];
const attributes = { layer: 0, heads: 6, kv_heads: 2, head_dim: 5, v_head_dim: 3, scale: { float: 0.7 } };

const compare = async (
  extra: Record<string, number>,
  visible: (query: number, key: number) => boolean,
  cap?: (score: number) => number,
  lengths?: number[],
) => {
  const [y] = await run('Attention', inputs, { ...attributes, ...extra }, { lengths });
  assert.is(y.width, 18);
  const worst = difference(y.data, byDefinition(q, k, v, form, visible, cap));
  assert.ok(worst < 1e-6, `off by ${worst}`);
};

test('causal, grouped heads, values narrower than keys', () => compare({ window: 0, softcap: 0 }, (i, j) => j <= i));

test('window W sees the last W keys, the own one included', async () => {
  for (const window of [1, 4, 11, 50]) {
    await compare({ window, softcap: 0 }, (i, j) => j <= i && i - window < j);
  }
});

test('softcap bends scores before the softmax', () =>
  compare(
    { window: 0, softcap: 1.5 },
    (i, j) => j <= i,
    (score) => 1.5 * Math.tanh(score / 1.5),
  ));

test('sequences of a batch do not see each other', async () => {
  const sequenceOf = (token: number) => (token < 4 ? 0 : token < 5 ? 1 : 2);
  const visible = (i: number, j: number) => j <= i && sequenceOf(i) === sequenceOf(j);
  await compare({ window: 0, softcap: 0 }, visible, undefined, [4, 1, 6]);
  await compare({ window: 3, softcap: 0 }, (i, j) => visible(i, j) && i - 3 < j, undefined, [4, 1, 6]);
});

test('large scores do not overflow', async () => {
  const huge = [
    activationOf(
      q.map((x) => 1e4 * x),
      30,
    ),
    inputs[1],
    inputs[2],
  ];
  const [y] = await run('Attention', huge, attributes);
  assert.ok(y.data.every(Number.isFinite));
});

test('LatentAttention is attention over the expanded latent, one rotated key for all heads', async () => {
  const sizes = { tokens: 7, heads: 3, nope: 4, rope: 2, dv: 5, latent: 6 };
  const { tokens, heads, nope, rope, dv, latent } = sizes;
  const d = nope + rope;
  const queries = noise(tokens * heads * d, 4);
  const c = noise(tokens * latent, 5);
  const rotated = noise(tokens * rope, 6);
  const kvB = noise(heads * (nope + dv) * latent, 7);
  const times = (token: number, row: number) =>
    Array.from({ length: latent }, (_, i) => c[token * latent + i] * kvB[row * latent + i]).reduce((a, b) => a + b);
  const [keys, values]: [number[], number[]] = [[], []];
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < nope; i++) keys.push(times(t, h * (nope + dv) + i));
      keys.push(...rotated.slice(t * rope, (t + 1) * rope));
      for (let i = 0; i < dv; i++) values.push(times(t, h * (nope + dv) + nope + i));
    }
  }
  const expected = byDefinition(
    queries,
    keys,
    values,
    { tokens, heads, kvHeads: heads, d, dv, scale: 0.4 },
    (i, j) => j <= i,
  );
  const [y] = await run(
    'LatentAttention',
    [activationOf(queries, heads * d), activationOf(c, latent), activationOf(rotated, rope), rowsOf(kvB, latent)],
    { layer: 0, heads, nope, rope, v_head_dim: dv, kv_lora: latent, scale: { float: 0.4 } },
  );
  const worst = difference(y.data, expected);
  assert.ok(worst < 1e-6, `off by ${worst}`);
});

test.run();
