import { InterruptedError, UsageError } from '../core/errors.js';
import { endOfTextIds, openPackage } from '../formats/package-reader.js';
import { table } from '../report/table.js';
import { continueText } from '../runtime/continue-text.js';
import type { Decoder } from '../runtime/decoder.js';
import { openDecoder } from '../runtime/open-decoder.js';
import { largest, randomNumbers } from '../runtime/sampler.js';

export interface BenchOptions {
  /** Directory of the package. */
  package: string;
  /** Default 128. */
  promptTokens?: number | undefined;
  /** Default 64; at least 2, so that there is a decode step to time. */
  newTokens?: number | undefined;
  /** Default 5. */
  runs?: number | undefined;
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told after each run; run 0 warms the file cache up and is not counted. */
  onRun?: ((run: number, runs: number) => void) | undefined;
}

/** The middle value of the runs and how far they lie apart. */
export interface Spread {
  median: number;
  minimum: number;
  maximum: number;
}

export interface BenchResult {
  package: string;
  promptTokens: number;
  newTokens: number;
  runs: number;
  loadSeconds: Spread;
  timeToFirstTokenSeconds: Spread;
  prefillTokensPerSecond: Spread;
  decodeTokensPerSecond: Spread;
  /** Highest resident memory of the whole process, Node included. */
  peakMemoryBytes: number;
}

/**
 * Times a package: every run loads it anew, reads a prompt of fixed pseudo-random ids and decodes greedily, past any
 * end-of-text id. Throws UsageError where the tokens do not fit in the context.
 */
export async function bench(options: BenchOptions): Promise<BenchResult> {
  const { promptTokens = 128, newTokens = 64, runs = 5 } = options;
  for (const [name, value, least] of [
    ['--prompt-tokens', promptTokens, 1],
    ['--new-tokens', newTokens, 2],
    ['--runs', runs, 1],
  ] as const) {
    if (!Number.isInteger(value) || value < least) {
      throw new UsageError(`${name} is ${value}; it must be a whole number of at least ${least}.`);
    }
  }
  const opened = openPackage(options.package);
  const timings: RunTimings[] = [];
  for (let run = 0; run <= runs; run++) {
    if (options.signal?.aborted) throw new InterruptedError('Interrupted while measuring.');
    const start = performance.now();
    const decoder = await openDecoder(opened, { threads: options.threads });
    const loadSeconds = (performance.now() - start) / 1000;
    try {
      if (promptTokens + newTokens > decoder.contextLength) {
        throw new UsageError(
          `${promptTokens} + ${newTokens} tokens do not fit in this package's context of ${decoder.contextLength}.`,
          'lower --prompt-tokens or --new-tokens.',
        );
      }
      const prompt = randomPrompt(promptTokens, decoder.vocabSize, endOfTextIds(opened.genai));
      const timing = { loadSeconds, ...(await timeRun(decoder, prompt, newTokens, options.signal)) };
      if (run > 0) timings.push(timing);
    } finally {
      await decoder.close();
    }
    options.onRun?.(run, runs);
  }
  const over = (value: (timing: RunTimings) => number) => spread(timings.map(value));
  return {
    package: options.package,
    promptTokens,
    newTokens,
    runs,
    loadSeconds: over((t) => t.loadSeconds),
    timeToFirstTokenSeconds: over((t) => t.firstTokenSeconds),
    prefillTokensPerSecond: over((t) => promptTokens / t.firstTokenSeconds),
    decodeTokensPerSecond: over((t) => (newTokens - 1) / t.decodeSeconds),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}

interface RunTimings {
  loadSeconds: number;
  firstTokenSeconds: number;
  decodeSeconds: number;
}

async function timeRun(decoder: Decoder, prompt: number[], newTokens: number, signal: AbortSignal | undefined) {
  const times: number[] = [];
  const start = performance.now();
  await continueText(decoder, prompt, {
    sampler: largest,
    maxNewTokens: newTokens,
    stopIds: [],
    signal,
    onToken: () => void times.push(performance.now()),
  });
  const [first, last] = [times[0] as number, times.at(-1) as number];
  return { firstTokenSeconds: (first - start) / 1000, decodeSeconds: (last - first) / 1000 };
}

/** Ids that are the same in every run and on every machine, none of them an end of text. */
function randomPrompt(length: number, vocabSize: number, stopIds: readonly number[]): number[] {
  const random = randomNumbers(0);
  const ids: number[] = [];
  while (ids.length < length) {
    const id = Math.floor(random() * vocabSize);
    if (vocabSize <= stopIds.length || !stopIds.includes(id)) ids.push(id);
  }
  return ids;
}

/** Median (of an even count the mean of the two in the middle) and extremes. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
  return { median, minimum: sorted[0] as number, maximum: sorted.at(-1) as number };
}

/** A result as a table for a terminal. */
export function describeBench(result: BenchResult): string {
  const row = (name: string, { median, minimum, maximum }: Spread, factor: number, digits: number) => [
    name,
    ...[median, minimum, maximum].map((value) => (value * factor).toFixed(digits)),
  ];
  return table(
    ['', 'median', 'lowest', 'highest'],
    [
      row('load, ms', result.loadSeconds, 1000, 0),
      row(`first token after ${result.promptTokens}, ms`, result.timeToFirstTokenSeconds, 1000, 1),
      row('prefill, tokens/s', result.prefillTokensPerSecond, 1, 1),
      row(`decode of ${result.newTokens}, tokens/s`, result.decodeTokensPerSecond, 1, 1),
      ['peak memory, MiB', (result.peakMemoryBytes / 2 ** 20).toFixed(0), '', ''],
    ],
  ).join('\n');
}
