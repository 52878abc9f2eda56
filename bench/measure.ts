import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** The built program: what users run. */
export const halfbyte = [process.execPath, join(root, 'bin/run.js')];

export interface Measured {
  seconds: number;
  /** Peak resident memory in MiB, by GNU time; NaN where that is not installed. */
  peakMiB: number;
}

const TIME = '/usr/bin/time';

/** Runs a command to its end, its output dropped; throws with what it said if it fails. */
export async function measure(command: readonly string[]): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'halfbyte-bench-'));
  const report = join(folder, 'time');
  const isTimed = existsSync(TIME);
  const [program, ...args] = isTimed ? [TIME, '-f', '%M', '-o', report, ...command] : command;
  try {
    const started = performance.now();
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    const seconds = (performance.now() - started) / 1000;
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${said}`);
    const kilobytes = isTimed ? Number(readFileSync(report, 'utf8').trim().split('\n').at(-1)) : Number.NaN;
    return { seconds, peakMiB: kilobytes / 1024 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export interface Pair {
  /** Medians of the runs; `ratio` is that of each pair's own ratio. */
  seconds: number;
  baselineSeconds: number;
  ratio: number;
  /** The most of any run. */
  peakMiB: number;
  baselinePeakMiB: number;
}

/**
 * Runs a command and its baseline in turns, once each before it counts, so that both meet the same caches and the same
 * neighbours. `clean` runs before each.
 */
export async function comparePairs(
  baseline: readonly string[],
  command: readonly string[],
  runs: number,
  clean: () => void,
): Promise<Pair> {
  const pairs: [Measured, Measured][] = [];
  for (let run = -1; run < runs; run++) {
    clean();
    const first = await measure(baseline);
    clean();
    const second = await measure(command);
    if (run >= 0) pairs.push([first, second]);
  }
  clean();
  return {
    seconds: median(pairs.map(([, { seconds }]) => seconds)),
    baselineSeconds: median(pairs.map(([{ seconds }]) => seconds)),
    ratio: median(pairs.map(([first, second]) => second.seconds / first.seconds)),
    peakMiB: Math.max(...pairs.map(([, { peakMiB }]) => peakMiB)),
    baselinePeakMiB: Math.max(...pairs.map(([{ peakMiB }]) => peakMiB)),
  };
}
