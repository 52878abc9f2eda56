/**
 * Quantizing to 4 bits against llama.cpp's llama-quantize on the same weights, each as a ratio of the time that `cp`
 * takes for the bfloat16 file:
 *
 *   node --import tsx bench/llama-quantize.ts <path of llama-quantize> [shape] [--layers n] [--runs n] [--threads n]
 *
 * The weights are synthetic (scripts/synthesize-checkpoint.ts); our own writer makes them the bfloat16 GGUF file that
 * llama-quantize reads. Every figure is the least of the runs, cp being run beside each.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { synthesizeCheckpoint } from '../scripts/synthesize-checkpoint.js';
import { halfbyte, measure } from './measure.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { layers: { type: 'string' }, runs: { type: 'string' }, threads: { type: 'string' } },
});
const [llamaQuantize, shape = 'qwen2-0.5b'] = positionals;
if (!llamaQuantize) throw new Error('give the path of a built llama-quantize');
const threads = values.threads ?? String(availableParallelism());
const runs = Number(values.runs ?? 3);

const dir = mkdtempSync(join(tmpdir(), 'halfbyte-bench-'));
const inside = (name: string) => join(dir, name);
try {
  synthesizeCheckpoint(shape, inside('model'), values.layers ? { layers: Number(values.layers) } : {});
  await measure([
    ...halfbyte,
    'quantize',
    inside('model'),
    '-o',
    inside('bf16'),
    '--layout',
    'gguf',
    '--weights',
    'bf16',
  ]);
  const source = inside('bf16/model.gguf');
  const ours = (name: string, ...args: string[]) => [
    ...halfbyte,
    ...args.slice(0, 1),
    inside('model'),
    '-o',
    inside(name),
    '--force',
    '--workers',
    threads,
    ...args.slice(1),
  ];
  const pure = (scheme: string) =>
    ['lm_head.weight', 'model.embed_tokens.weight'].flatMap((name) => ['--override', `${name}=${scheme}`]);
  const subjects: [name: string, command: string[]][] = [
    ['llama-quantize --pure Q4_0', [llamaQuantize, '--pure', source, inside('out.gguf'), 'Q4_0', threads]],
    ['halfbyte gguf q4_0', ours('q4_0', 'quantize', '--layout', 'gguf', '--weights', 'q4_0', ...pure('q4_0'))],
    ['llama-quantize --pure Q4_K_S', [llamaQuantize, '--pure', source, inside('out.gguf'), 'Q4_K_S', threads]],
    ['halfbyte gguf q4_k', ours('q4_k', 'quantize', '--layout', 'gguf', '--weights', 'q4_k', ...pure('q4_k'))],
    ['halfbyte convert int4 rtn', ours('rtn', 'convert', '--weights', 'int4', '--algorithm', 'rtn')],
    ['halfbyte convert int4', ours('int4', 'convert', '--weights', 'int4')],
    ['halfbyte convert int4 kquant', ours('kquant', 'convert', '--weights', 'int4', '--algorithm', 'kquant')],
  ];
  const megabytes = statSync(source).size / 1e6;
  console.log(`${shape}: ${megabytes.toFixed(0)} MB of bfloat16, ${threads} threads`);
  for (const [name, command] of subjects) {
    let [best, copy] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let run = 0; run < runs; run++) {
      copy = Math.min(copy, (await measure(['cp', source, inside('copy.gguf')])).seconds);
      best = Math.min(best, (await measure(command)).seconds);
    }
    console.log(`${name.padEnd(30)} ${best.toFixed(2)} s, ${(best / copy).toFixed(1)} x cp (${copy.toFixed(2)} s)`);
  }
} finally {
  rmSync(dir, { recursive: true });
}
