/**
 * Converts DeepSeek shapes with their layers cut, in each form of experts, against `cp` of the same files:
 *
 *   npm run build && node --import tsx bench/experts.ts [--runs 3] [--dir /tmp]
 *
 * DeepSeek-V2-Lite keeps its first two layers (2.3 GB); DeepSeek-V3, in FP8, two layers of which one has 32 of its 256
 * experts, without multi-token prediction and with an eighth of its vocabulary (2.9 GB).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SHAPES } from '../scripts/synthesize/shapes.js';
import { synthesizeCheckpoint } from '../scripts/synthesize-checkpoint.js';
import { comparePairs, halfbyte } from './measure.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
    shapes: { type: 'string', default: 'deepseek-v2-lite,deepseek-v3' },
  },
});
const cuts: Record<string, { layers: number; experts?: number; config: object }> = {
  'deepseek-v2-lite': { layers: 2, config: {} },
  'deepseek-v3': {
    layers: 2,
    experts: 32,
    config: { first_k_dense_replace: 1, num_nextn_predict_layers: 0, vocab_size: 16160 },
  },
};

console.log('| convert --weights int4 | GB | seconds | cp | ratio | peak MiB |\n|---|---|---|---|---|---|');
for (const shape of values.shapes.split(',')) {
  const { layers, experts, config } = cuts[shape];
  Object.assign(SHAPES[shape], config);
  const folder = mkdtempSync(join(values.dir, 'halfbyte-experts-'));
  try {
    const [checkpoint, output] = [join(folder, shape), join(folder, 'output')];
    const nbytes = synthesizeCheckpoint(shape, checkpoint, { layers, experts });
    for (const form of ['auto', 'qmoe', 'plain']) {
      const command = [...halfbyte, 'convert', checkpoint, '-o', output, '--quiet', '--weights', 'int4'];
      // auto is what comes without the option
      if (form !== 'auto') command.push('--experts', form);
      const clean = () => rmSync(output, { recursive: true, force: true });
      const pair = await comparePairs(['cp', '-r', checkpoint, output], command, Number(values.runs), clean);
      const numbers = [nbytes / 1e9, pair.seconds, pair.baselineSeconds, pair.ratio].map((each) => each.toFixed(2));
      console.log(`| ${shape} --experts ${form} | ${numbers.join(' | ')} | ${pair.peakMiB.toFixed(0)} |`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
