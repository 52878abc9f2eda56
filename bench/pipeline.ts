/**
 * Holds pipelines of static graphs to the logits of transformers, for every dense fixture:
 *
 *   node --import tsx bench/pipeline.ts exact [fixture,...]     float32 throughout: largest difference, greedy tokens
 *   node --import tsx bench/pipeline.ts quality [fixture,...]   uint16 activations: mean KL, calibrated on other tokens
 *
 * `exact` runs every prompt window of the table and both forms of attention, and ends with 1 where one is off.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import klDivergence from '../src/metrics/kl_divergence.js';
import { continueText } from '../src/runtime/continue-text.js';
import { openDecoder } from '../src/runtime/open-decoder.js';
import { largest } from '../src/runtime/sampler.js';
import { convert } from '../src/stages/convert.js';
import type { ConvertRequest } from '../src/stages/convert-options.js';
import { type GoldenTensor, readGolden, rowsOf } from '../test/runtime/golden-file.js';
import { root } from './measure.js';

const DENSE = [
  ...['llama-gqa', 'llama-hd8', 'llama-linear-v5cfg', 'mistral-swa', 'qwen2-tied', 'qwen2-untied', 'qwen2-window'],
  ...['qwen3', 'phi3', 'gemma2', 'union-1.8m'],
];
const WINDOWS = [3, 4, 8, 24, 64];
const GENERATED = [3, 8, 64];
const FLOAT: ConvertRequest = { weights: 'f32', embeddings: 'f32', lmHead: 'f32', activations: 'f32' };
const TOLERANCE = 2e-4;

const [mode, names] = process.argv.slice(2);
const fixtures = names ? names.split(',') : DENSE;
const work = mkdtempSync(join(tmpdir(), 'halfbyte-pipeline-'));
const pathOf = (name: string) => (name.includes('/') ? name : join(root, 'fixtures', name));

async function open(name: string, request: ConvertRequest, calibration?: string) {
  const output = join(work, 'package');
  rmSync(output, { recursive: true, force: true });
  const settings = { output, dryRun: false, workers: 0, calibration };
  await convert(pathOf(name), { target: 'qnn', ...request }, settings, () => {}, new AbortController().signal);
  return openDecoder(output);
}

function apart(a: Float32Array, b: Float32Array): number {
  let most = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++)
    most = Math.max(most, Number.isNaN(a[i]) ? Number.POSITIVE_INFINITY : Math.abs(a[i] - b[i]));
  return most;
}

async function exact(): Promise<void> {
  console.log(`| fixture | attention | ${WINDOWS.map((window) => `--prefill ${window}`).join(' | ')} | generated |`);
  console.log(`|---|---|${'---|'.repeat(WINDOWS.length + 1)}`);
  for (const name of fixtures) {
    const golden = readGolden(join(pathOf(name), 'golden.safetensors'));
    const tensor = (each: string) => golden.get(each) as GoldenTensor;
    for (const attention of ['npu', 'gqa'] as const) {
      const worst: number[] = [];
      const same: boolean[] = [];
      for (const prefill of WINDOWS) {
        const decoder = await open(name, { ...FLOAT, prefill, attention });
        const differences: number[] = [];
        for (const prefix of ['', 'long.']) {
          const logits = await decoder.logitsOf(rowsOf(tensor(`${prefix}input_ids`)));
          differences.push(apart(logits, tensor(`${prefix}logits`).data as Float32Array));
        }
        worst.push(Math.max(...differences));
        if (GENERATED.includes(prefill)) {
          const [prompt] = rowsOf(tensor('prompt_ids'));
          const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
          same.push(ids.join() === (tensor('generated').data as number[]).join());
        }
        await decoder.close();
      }
      if (worst.some((each) => !(each <= TOLERANCE)) || same.includes(false)) process.exitCode = 1;
      const cells = worst.map((each) => each.toExponential(1));
      console.log(`| ${[name, attention, ...cells, same.every(Boolean) ? 'equal' : same.join(' ')].join(' | ')} |`);
    }
  }
}

const ENDS: ConvertRequest = { embeddings: 'f32', lmHead: 'f32' };
const QUALITIES: [label: string, request: ConvertRequest][] = [
  ['int8', { weights: 'int8', ...ENDS }],
  ['int8, int4 ends', { weights: 'int8' }],
  ['int4 per channel', { weights: 'int4', ...ENDS }],
  ['int4 in blocks of 32', { weights: 'int4', groupSize: '32', ...ENDS }],
  ['int4 in blocks of 16', { weights: 'int4', groupSize: '16', ...ENDS }],
  ['the default', {}],
];

/** Mean KL of both golden batches. Ranges are those that convert measures itself: bundled text, or pseudo-random ids. */
async function quality(): Promise<void> {
  console.log(`| fixture | ${QUALITIES.map(([label]) => label).join(' | ')} |`);
  console.log(`|---|${'---|'.repeat(QUALITIES.length)}`);
  for (const name of fixtures) {
    const golden = readGolden(join(pathOf(name), 'golden.safetensors'));
    const tensor = (each: string) => golden.get(each) as GoldenTensor;
    const cells: string[] = [];
    for (const [, request] of QUALITIES) {
      const decoder = await open(name, request);
      let [sum, tokens] = [0, 0];
      for (const prefix of ['', 'long.']) {
        const ids = rowsOf(tensor(`${prefix}input_ids`));
        const logits = await decoder.logitsOf(ids);
        const kl = klDivergence.measure(tensor(`${prefix}logits`).data as Float32Array, logits, decoder.vocabSize);
        sum += kl * ids.flat().length;
        tokens += ids.flat().length;
      }
      await decoder.close();
      cells.push((sum / tokens).toExponential(1));
    }
    console.log(`| ${[name, ...cells].join(' | ')} |`);
  }
}

try {
  if (mode === 'exact') await exact();
  else if (mode === 'quality') await quality();
  else throw new Error('say exact or quality');
} finally {
  rmSync(work, { recursive: true, force: true });
}
