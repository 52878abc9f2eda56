/** Config variations: what transformers computes from each, or a refusal; nothing else (fixtures/variations/variations.py). */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { readSafetensorsHeader } from '../../src/formats/safetensors.js';
import { checkCoverage } from '../../src/model/coverage.js';
import { logicalTensors } from '../../src/model/logical-tensors.js';
import { drawGraphs, openModel } from '../../src/model/model.js';
import { evaluate } from '../../src/reference/evaluate.js';
import { openGemm } from '../../src/reference/gemm.js';
import { storedWeights } from '../../src/reference/stored-weights.js';
import { ids } from '../../src/registry.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { fixturePath, workFolder } from './packages.js';

const TOLERANCE = 2e-4;

interface Variation {
  name: string;
  style: '4' | '5';
  set?: JsonObject;
  remove?: string[];
  /** Name of the golden. */
  logits?: string;
  /** What transformers raised. */
  refused?: string;
}

interface Table {
  input_ids: number[];
  positions: number[];
  base: Record<'4' | '5', JsonObject>;
  variations: Variation[];
}

/** What is refused although transformers computes something, by what the message names. */
const REFUSED = new RegExp(
  [
    // the mask would not be causal; layers with configs of their own; another kind of model
    /"(is_causal|per_layer_config|is_encoder_decoder|use_bidirectional_attention)"/,
    // functions that are not drawn
    /"hidden_act(ivation)?" is .* needed is one of/,
    // a rope for each kind of layer in a family with one, of which transformers takes none; keys of a rope that matter
    /needed is one rope/,
    /llama_4_scaling_beta/,
    /rope type "\w+" is unknown|"partial_rotary_factor" is [\d.]+; needed is (1 with|an even part)/,
    /rope_type "longrope" changes its frequencies/,
    // settings that transformers passes over in these families, and that say that the weights are of another model
    /"(attention_bias|mlp_bias|lm_head_bias|use_mrope|interpolate_factor|full_attn_mod|scoring_func|topk_method|norm_topk_prob)"/,
    /"num_nextn_predict_layers"/,
    // windows of no token, caps of 0
    /"sliding_window" is (0|-1)|"\w+_softcapping" is 0/,
    // types that transformers does not check: text for a number that it does not use
    /"sliding_window_pattern" is "/,
    // weights that transformers leaves out with a warning, or draws at random
    /has no use for it|is missing; architecture/,
  ]
    .map((each) => each.source)
    .join('|'),
);

const folder = fixturePath('variations');
const tables: Record<string, Table> = Object.fromEntries(
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name.slice(0, -'.json'.length), JSON.parse(readFileSync(join(folder, name), 'utf8'))]),
);
const { input_ids: inputIds, positions } = tables.llama;
const work = mkdtempSync(join(tmpdir(), 'halfbyte-variations-'));
const packages = workFolder();

function openGoldens(file: string): (name: string) => Float32Array {
  const { tensors } = readSafetensorsHeader(file);
  const bytes = readFileSync(file);
  return (name) => {
    const ref = tensors.get(name);
    if (!ref) throw new Error(`${file} has no ${name}`);
    const start = bytes.byteOffset + ref.offset;
    return new Float32Array(bytes.buffer.slice(start, start + ref.nbytes) as ArrayBuffer);
  };
}

const baseOf = ({ name }: Variation) => name.slice(0, name.indexOf(':'));

function writeCheckpoint(variation: Variation): string {
  const base = baseOf(variation);
  const config = { ...tables[base].base[variation.style], ...variation.set };
  for (const key of variation.remove ?? []) delete config[key];
  const dir = mkdtempSync(join(work, 'checkpoint-'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  symlinkSync(join(folder, `${base}.safetensors`), join(dir, 'model.safetensors'));
  return dir;
}

const gemm = await openGemm(1);

/** Logits of the golden's positions, by the reference engine on the drawing. */
async function compute(dir: string): Promise<Float32Array> {
  const files = new InputFiles();
  try {
    const checkpoint = openCheckpoint(dir);
    const model = await openModel(checkpoint);
    const logical = await logicalTensors(checkpoint);
    const graphs = drawGraphs(model, inputIds.length);
    checkCoverage(model, Object.values(graphs), logical);
    const weights = storedWeights(graphs.decoder, logical, files);
    const { logits } = await evaluate(graphs.decoder, weights, [inputIds], { gemm });
    return atPositions(logits, model.config.vocab_size);
  } finally {
    files.close();
  }
}

const atPositions = (logits: Float32Array, width: number) =>
  Float32Array.from(positions.flatMap((row) => [...logits.subarray(row * width, (row + 1) * width)]));

const distance = (a: Float32Array, b: Float32Array) =>
  a.length === b.length ? a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0) : Number.NaN;

for (const [base, { variations }] of Object.entries(tables)) {
  const goldens = openGoldens(join(folder, `${base}.logits.safetensors`));
  test(`${base}: ${variations.length} variations are as transformers computes them, or refused`, async () => {
    const wrong: string[] = [];
    let right = 0;
    for (const variation of variations) {
      try {
        const found = await compute(writeCheckpoint(variation));
        if (variation.logits === undefined) continue;
        const off = distance(found, goldens(variation.logits));
        if (off <= TOLERANCE) right += 1;
        else wrong.push(`${variation.name}: ${off} off`);
      } catch (error) {
        const { message } = error as Error;
        if (!(error instanceof InvalidInputError)) wrong.push(`${variation.name}: ${(error as Error).stack}`);
        else if (variation.logits !== undefined && !REFUSED.test(message)) wrong.push(`${variation.name}: ${message}`);
      }
    }
    assert.equal(wrong, []);
    const computed = variations.filter(({ logits }) => logits !== undefined).length;
    assert.ok(right >= 0.75 * computed, `only ${right} of ${computed} that transformers computes are drawn`);
  });
}

test('the table has every family and more than a thousand variations of which most are computed', () => {
  const variations = Object.values(tables).flatMap((each) => each.variations);
  assert.ok(variations.length > 1000);
  assert.ok(variations.filter(({ logits }) => logits !== undefined).length > 700);
  for (const id of ids('architectures')) {
    assert.ok(
      Object.values(tables).some(({ base }) => base['5'].model_type === id),
      `no base of ${id}`,
    );
  }
});

for (const name of ['quick_gelu', 'relu2', 'swish', 'gelu_new']) {
  test(`a float32 package with hidden_act ${name} gives the logits of transformers`, async () => {
    const variation = tables.llama.variations.find((each) => each.name === `llama: hidden_act ${name}`)!;
    const { dir } = await packages.convert(writeCheckpoint(variation), { weights: 'f32' });
    const decoder = await openDecoder(dir, { threads: 1 });
    try {
      const logits = await decoder.logitsOf([inputIds]);
      const off = distance(
        atPositions(logits, 48),
        openGoldens(join(folder, 'llama.logits.safetensors'))(variation.logits!),
      );
      assert.ok(off <= TOLERANCE, `${off} off`);
    } finally {
      await decoder.close();
    }
  });
}

test.after(async () => {
  await gemm.release();
  packages.remove();
  rmSync(work, { recursive: true, force: true });
});
test.run();
