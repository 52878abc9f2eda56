/**
 * Plans DeepSeek-V3 from an index with its real shapes and no data, and prints seconds and peak memory:
 *
 *   npm run build && node --import tsx bench/plan-v3.ts [--runs 3] [--dir /tmp]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { synthesizeCheckpoint } from '../scripts/synthesize-checkpoint.js';
import { halfbyte, measure, median } from './measure.js';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, dir: { type: 'string', default: tmpdir() } },
});
const folder = mkdtempSync(join(values.dir, 'halfbyte-plan-'));
try {
  const checkpoint = join(folder, 'deepseek-v3');
  synthesizeCheckpoint('deepseek-v3', checkpoint, { headersOnly: true });
  console.log('| plan of deepseek-v3 | seconds | peak MiB |\n|---|---|---|');
  for (const form of [[], ['--experts', 'plain'], ['--mla', 'expanded']]) {
    const command = [...halfbyte, 'convert', checkpoint, '-o', join(folder, 'package'), '--dry-run', ...form];
    const runs = [];
    for (let run = 0; run < Number(values.runs); run++) runs.push(await measure(command));
    const peak = Math.max(...runs.map(({ peakMiB }) => peakMiB));
    console.log(
      `| ${form.join(' ') || 'as it comes'} | ${median(runs.map(({ seconds }) => seconds)).toFixed(2)} | ${peak.toFixed(0)} |`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
