import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-node';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convert } from '../../src/stages/convert.js';
import { type GoldenTensor, readGolden, rowsOf } from './golden-file.js';

/** As for every package: another float32 implementation is at most 5e-5 off. */
const TOLERANCE = 2e-4;
const STEPS = 3;
const FILLER = 5;
const FIXTURES = fileURLToPath(new URL('../../fixtures', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-padded-'));
test.after(() => rmSync(work, { recursive: true }));

/** A model's prompts of 21 and 69 tokens with transformers' logits of each by itself. */
function promptsOf(name: string) {
  const golden = readGolden(join(FIXTURES, name, 'golden.safetensors'));
  const tensor = (key: string) => golden.get(key) as GoldenTensor;
  const width = tensor('logits').shape.at(-1) as number;
  const rows = ['', 'long.'].map((prefix) => ({
    ids: rowsOf(tensor(`${prefix}input_ids`))[0],
    logits: tensor(`${prefix}logits`).data as Float32Array,
  }));
  return { rows, width };
}

const int64 = (rows: number[][]) =>
  new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);

/** Positions as transformers counts them: from a sequence's first token on. */
const positionsOf = (mask: number[][], last: number) =>
  mask.map((row) => {
    let seen = 0;
    return row.map((each) => (each ? seen++ : 1)).slice(-last);
  });

// Plain, rotary outside of the operator, windows in every layer and in some, experts, soft caps, latent attention.
for (const name of ['llama-gqa', 'llama-hd8', 'mistral-swa', 'gemma2', 'phi3', 'mixtral', 'deepseek-v3']) {
  test(`${name}: prompts of two lengths in one batch say what each says by itself, padded on either side`, async () => {
    const output = join(work, name);
    const settings = { output, dryRun: false };
    await convert(join(FIXTURES, name), { weights: 'f32' }, settings, () => {}, new AbortController().signal);
    const session = await ort.InferenceSession.create(join(output, 'model.onnx'), { intraOpNumThreads: 1 });
    const { rows, width } = promptsOf(name);
    const lengths = rows.map(({ ids }) => ids.length - STEPS);
    const longest = Math.max(...lengths);
    const empty = session.inputMetadata.flatMap((each) => {
      if (!each.isTensor || !each.name.startsWith('past_key_values.')) return [];
      const [, heads, , size] = each.shape as number[];
      return [[each.name, new ort.Tensor('float32', new Float32Array(0), [rows.length, heads, 0, size])] as const];
    });
    for (const side of ['left', 'right']) {
      const pad = (row: number[], filling: number) => {
        const fill = new Array<number>(longest - row.length).fill(filling);
        return side === 'left' ? [...fill, ...row] : [...row, ...fill];
      };
      let mask = lengths.map((length) => pad(new Array<number>(length).fill(1), 0));
      let cache: Record<string, ort.Tensor> = Object.fromEntries(empty);
      for (let step = 0; step <= STEPS; step++) {
        if (step > 0) mask = mask.map((row) => [...row, 1]);
        const ids = rows.map(({ ids }, i) =>
          step === 0 ? pad(ids.slice(0, lengths[i]), FILLER) : [ids[lengths[i] + step - 1]],
        );
        const count = ids[0].length;
        const feeds: Record<string, ort.Tensor> = { input_ids: int64(ids), attention_mask: int64(mask), ...cache };
        if (session.inputNames.includes('position_ids')) feeds.position_ids = int64(positionsOf(mask, count));
        const results = await session.run(feeds);
        const logits = results.logits.data as Float32Array;
        for (const [row, { logits: expected }] of rows.entries()) {
          const [from, own] = step === 0 ? [0, lengths[row]] : [lengths[row] + step - 1, 1];
          const offset = step === 0 && side === 'left' ? longest - own : 0;
          for (let i = 0; i < own * width; i++) {
            const off = Math.abs(logits[(row * count + offset) * width + i] - expected[from * width + i]);
            assert.ok(off <= TOLERANCE, `${side}, step ${step}, sequence ${row}: logit ${i} is ${off} off`);
          }
        }
        cache = Object.fromEntries(
          empty.map(([past]) => [past, results[past.replace('past_key_values', 'present')] as ort.Tensor]),
        );
      }
    }
    await session.release();
  });
}

test.run();
