/**
 * What a package for an NPU costs beside one for the CPU, in pairs that run in turns, both under one ceiling of memory:
 *
 *   npm run build && node --import tsx bench/targets.ts [--shapes qwen2-0.5b,qwen2-1.5b] [--target qnn] [--runs 2]
 *        [--tokens 512] [--max-memory 256MiB] [--dir /tmp/halfbyte-bench]
 *
 * The calibration is a file, made first and measured by itself. The package is then loaded and says three tokens.
 * Checkpoints are written once and left in the directory; a shape needs room for two copies.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkpointIn } from './checkpoints.js';
import { comparePairs, halfbyte, type Measured, measure } from './measure.js';

const { values } = parseArgs({
  options: {
    shapes: { type: 'string', default: 'qwen2-0.5b' },
    target: { type: 'string', default: 'qnn' },
    runs: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '512' },
    'max-memory': { type: 'string', default: '256MiB' },
    dir: { type: 'string', default: join(tmpdir(), 'halfbyte-bench') },
  },
});
mkdirSync(values.dir, { recursive: true });
const output = join(values.dir, 'output');
const clean = () => rmSync(output, { recursive: true, force: true });
const figures = ({ seconds, peakMiB }: Measured) => `${seconds.toFixed(1)} s, ${peakMiB.toFixed(0)} MiB`;

for (const shape of values.shapes.split(',')) {
  const checkpoint = checkpointIn(values.dir, shape);
  const calibration = join(values.dir, `${shape}.calibration.safetensors`);
  const calibrate = ['calibrate', checkpoint, '-o', calibration, '--tokens', values.tokens, '--force', '--quiet'];
  console.log(`${shape}: calibrate --tokens ${values.tokens}: ${figures(await measure([...halfbyte, ...calibrate]))}`);

  const convert = [...halfbyte, 'convert', checkpoint, '-o', output, '--max-memory', values['max-memory'], '--quiet'];
  const device = [...convert, '--target', values.target, '--calibration', calibration];
  const pair = await comparePairs(convert, device, Number(values.runs), clean);
  console.log(
    `${shape}: convert --target ${values.target} ${figures(pair)}; --target cpu ${pair.baselineSeconds.toFixed(1)} s, ` +
      `${pair.baselinePeakMiB.toFixed(0)} MiB; ratio of times ${pair.ratio.toFixed(2)}`,
  );

  await measure(device);
  const say = ['generate', output, '--ids', '1,2,3', '--max-new-tokens', '3', '--quiet'];
  console.log(`${shape}: load and three tokens on the CPU: ${figures(await measure([...halfbyte, ...say]))}`);
  clean();
}
