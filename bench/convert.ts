/**
 * Compares the program with `cp` of the same files and prints ratios:
 *
 *   npm run build && node --import tsx bench/convert.ts [--shapes qwen2-0.5b,qwen2-1.5b] [--detail qwen2-1.5b]
 *        [--runs 5] [--dir /tmp]
 *
 * `--detail` names the shape that further formats are tried on. `--shapes qwen2-1.5b,qwen2-7b` also prints how the ratio grows with the model. A shape needs room for three copies.
 * Checkpoints are written once and left in the directory for the next time.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkpointIn } from './checkpoints.js';
import { comparePairs, halfbyte, type Pair } from './measure.js';

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: 'qwen2-0.5b,qwen2-1.5b' },
    detail: { type: 'string', default: 'qwen2-1.5b' },
    runs: { type: 'string', default: '5' },
    dir: { type: 'string', default: join(tmpdir(), 'halfbyte-bench') },
  },
});
const runs = Number(values.runs);
const shapes = values.shapes.split(',');
mkdirSync(values.dir, { recursive: true });
const output = join(values.dir, 'output');
const clean = () => rmSync(output, { recursive: true, force: true });

console.log('| what | against | seconds | against it | ratio | peak MiB |');
console.log('|---|---|---|---|---|---|');
const converted = new Map<string, Pair>();
for (const shape of shapes) {
  const checkpoint = checkpointIn(values.dir, shape);
  const copy = ['cp', '-r', checkpoint, output];
  const convert = [...halfbyte, 'convert', checkpoint, '-o', output, '--quiet'];
  converted.set(
    shape,
    await row(`convert ${shape} --weights int4 --algorithm rtn`, copy, [...convert, '--algorithm', 'rtn']),
  );
  await row(`convert ${shape} --weights int4 (mse)`, copy, convert);
  if (shape !== values.detail) continue;
  for (const more of [
    ['--algorithm', 'kquant'],
    ['--weights', 'int8'],
    ['--algorithm', 'rtn', '--sha256'],
  ]) {
    await row(`convert ${shape} ${more.join(' ')}`, copy, [...convert, ...more]);
  }
  const quantize = [...halfbyte, 'quantize', checkpoint, '-o', output, '--quiet', '--layout'];
  for (const more of [['deepseek_fp8'], ['compressed_tensors', '--algorithm', 'rtn'], ['gptq', '--algorithm', 'rtn']]) {
    await row(`quantize ${shape} ${more.join(' ')} --no-errors`, copy, [...quantize, ...more, '--no-errors']);
    await row(`quantize ${shape} ${more.join(' ')}`, copy, [...quantize, ...more]);
  }
}
const [first, last] = [shapes[0], shapes[shapes.length - 1]];
const growth = converted.get(last)!.ratio / converted.get(first)!.ratio;
if (first !== last) console.log(`\nratio of ${last} over ratio of ${first}: ${growth.toFixed(2)}`);
const help = await comparePairs([process.execPath, '-e', '0'], [...halfbyte, '--help'], 3 * runs, () => {});
console.log(`halfbyte --help against node -e 0: ${help.ratio.toFixed(2)}`);

async function row(what: string, baseline: string[], command: string[]): Promise<Pair> {
  const pair = await comparePairs(baseline, command, runs, clean);
  const numbers = [pair.seconds, pair.baselineSeconds, pair.ratio].map((value) => value.toFixed(2));
  console.log(`| ${what} | cp | ${numbers.join(' | ')} | ${pair.peakMiB.toFixed(0)} |`);
  return pair;
}
