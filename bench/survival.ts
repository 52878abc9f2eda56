/**
 * Kills conversions with SIGKILL at random moments, runs the same command again until it ends, and compares the bytes
 * with those of an undisturbed run:
 *
 *   npm run build && node --import tsx bench/survival.ts [--runs 100] [--seed 1] [--shards 1] [--dir /tmp]
 *
 * With --shards n every run is n processes at once, killed each on its own, and a merge.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { synthesizeCheckpoint } from '../scripts/synthesize-checkpoint.js';
import { halfbyte, measure } from './measure.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    shards: { type: 'string', default: '1' },
    dir: { type: 'string', default: join(tmpdir(), 'halfbyte-survival') },
  },
});
const runs = Number(values.runs);
const shards = Number(values.shards);
const checkpoint = join(values.dir, 'checkpoint');
// Shards of 60 MB: three input files, enough work for threads.
if (!existsSync(checkpoint)) synthesizeCheckpoint('qwen2-0.5b', checkpoint, { layers: 6, shardSize: 150e6 });

let state = Number(values.seed) * 2654435761;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

const convert = (output: string, ...more: string[]) => [...halfbyte, 'convert', checkpoint, '-o', output, ...more];
const undisturbed = join(values.dir, 'undisturbed');
rmSync(undisturbed, { recursive: true, force: true });
const { seconds } = await measure(convert(undisturbed));
const expected = digestsOf(undisturbed);
let kills = 0;
let equal = 0;
for (let run = 0; run < runs; run++) {
  const output = join(values.dir, 'killed');
  rmSync(output, { recursive: true, force: true });
  rmSync(`${output}.halfbyte-tmp`, { recursive: true, force: true });
  if (shards === 1) {
    await untilDone(convert(output), () => existsSync(output));
  } else {
    const parts = Array.from({ length: shards }, (_, i) => convert(output, '--shard', `${i + 1}/${shards}`));
    await Promise.all(parts.map((part) => untilDone(part, () => false)));
    await untilDone([...halfbyte, 'merge', output], () => existsSync(output));
  }
  if (digestsOf(output) === expected && !existsSync(`${output}.halfbyte-tmp`)) equal++;
  else console.log(`run ${run + 1}: the package differs`);
  if ((run + 1) % 10 === 0) console.log(`${run + 1} runs, ${kills} kills, ${equal} equal`);
}
console.log(`${equal} of ${runs} runs, killed ${kills} times, ended with the bytes of the undisturbed run`);
rmSync(values.dir, { recursive: true, force: true });
process.exitCode = equal === runs ? 0 : 1;

/** Kills the command once or twice, then lets it end. `isDone` tells that a killed one had finished its package. */
async function untilDone(command: string[], isDone: () => boolean): Promise<void> {
  for (let left = random() < 0.5 ? 1 : 2; left > 0; left--) {
    await killed(command, random() * seconds * 1000);
    if (isDone()) return;
  }
  await measure(command);
}

function killed([program, ...args]: string[], milliseconds: number): Promise<void> {
  const child = spawn(program, args, { stdio: 'ignore' });
  const timer = setTimeout(() => {
    if (child.kill('SIGKILL')) kills++;
  }, milliseconds);
  return new Promise((resolve) =>
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    }),
  );
}

function digestsOf(dir: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(dir, { recursive: true }).map(String).sort()) {
    if (name.includes('.')) hash.update(`${name}\0`).update(readFileSync(join(dir, name)));
  }
  return hash.digest('hex');
}
