import { createHash } from 'node:crypto';
import { InvalidInputError, UsageError } from '../core/errors.js';
import type { Calibration, CalibrationOrigin, Checkpoint, Graph, ProgressListener } from '../core/types.js';
import { writeCalibration } from '../formats/calibration.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import { readText } from '../formats/text.js';
import { readTokenizerFiles } from '../formats/tokenizer-files.js';
import { CalibrationCollector } from '../reference/calibration-collector.js';
import { evaluate } from '../reference/evaluate.js';
import { storedWeights } from '../reference/stored-weights.js';
import { PERCENTILES } from '../reference/value-statistics.js';
import { readWhole } from '../reference/weights.js';
import { openTokenizer } from '../runtime/tokenizer.js';
import { InputFiles } from '../sources/input-files.js';
import { CALIBRATION_TEXT } from './calibration-text.js';
import { logicalTensors } from './coverage.js';
import { drawGraphs, type Model, openModel } from './model.js';

/** Tokens of the bundled text: enough for ranges, seconds of work for a model of 1.5B. */
const BUNDLED_TOKENS = 512;

export interface CalibrateOptions {
  /** Text to run the model on, or token ids; without either the bundled text. */
  text?: string;
  ids?: number[][];
  /** Tokens of a sequence; the text is cut into such pieces. */
  sequenceLength?: number;
  /** Tokens read of a text at most. */
  tokens?: number;
  onProgress?: ProgressListener;
  signal?: AbortSignal;
}

export interface CalibrateResult {
  file: string;
  origin: CalibrationOrigin;
  /** Values with a range, and weights with second moments. */
  ranges: number;
  secondMoments: number;
  seconds: number;
}

/** What the model runs on: sequences of ids, and what they come from. */
interface Corpus {
  sequences: number[][];
  text: CalibrationOrigin['text'];
}

function pieces(ids: number[], length: number, most: number): number[][] {
  const sequences: number[][] = [];
  const end = Math.min(ids.length, most);
  for (let from = 0; from < end; from += length) sequences.push(ids.slice(from, Math.min(end, from + length)));
  return sequences;
}

/** Ids that are the same on every machine, for a checkpoint without a tokenizer. */
function pseudoRandomIds(count: number, vocabulary: number): number[] {
  let state = 20240229;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * vocabulary);
  });
}

async function corpusOf({ checkpoint, config }: Model, options: CalibrateOptions): Promise<Corpus> {
  const limit = config.max_position_embeddings;
  const length = Math.min(options.sequenceLength ?? 256, limit);
  if (options.ids) {
    const long = options.ids.find((ids) => ids.length > limit);
    if (long) throw new UsageError(`a sequence has ${long.length} ids; this model serves ${limit} positions.`);
    return { sequences: options.ids, text: 'given ids' };
  }
  const files = readTokenizerFiles(checkpoint.dir);
  if (!files) {
    if (options.text !== undefined) {
      throw new UsageError(
        `${checkpoint.dir}: the checkpoint has no tokenizer.json, so it cannot read text.`,
        'give a file of token ids with --ids.',
      );
    }
    const most = options.tokens ?? BUNDLED_TOKENS;
    return { sequences: pieces(pseudoRandomIds(most, config.vocab_size), length, most), text: 'pseudo-random ids' };
  }
  const tokenizer = await openTokenizer(files, checkpoint.dir);
  const given = options.text !== undefined;
  const ids = tokenizer.encodePlain(options.text ?? CALIBRATION_TEXT);
  if (ids.length === 0) throw new UsageError('the calibration text is empty.', 'give a text of a few hundred words.');
  const most = options.tokens ?? (given ? ids.length : BUNDLED_TOKENS);
  return { sequences: pieces(ids, length, most), text: given ? 'given text' : 'bundled text' };
}

/** The part of a drawn decoder up to its last hidden state: what makes logits of it has no ranges to learn. */
function withoutHead(graph: Graph): Graph {
  const last = graph.hiddenStates[graph.hiddenStates.length - 1];
  const end = graph.nodes.findIndex((node) => node.outputs.includes(last));
  return { ...graph, nodes: graph.nodes.slice(0, end + 1), outputs: [graph.values[last]] };
}

const digestOf = (sequences: number[][]): string => {
  const hash = createHash('sha256');
  for (const ids of sequences) hash.update(new Uint8Array(Int32Array.from(ids).buffer));
  return hash.digest('hex');
};

/**
 * Runs a checkpoint in full precision on text, weights streamed, and records the range of every activation, of the
 * constants that they meet, and the second moment of every linear input channel. The experts' second matrices read
 * values that no node names and have none. Throws UsageError and InvalidInputError.
 */
export async function calibration(checkpoint: Checkpoint, options: CalibrateOptions = {}): Promise<Calibration> {
  const model = await openModel(checkpoint);
  const { sequences, text } = await corpusOf(model, options);
  const lengths = sequences.map((ids) => ids.length);
  const { decoder } = drawGraphs(model, Math.max(...lengths));
  const logical = await logicalTensors(checkpoint);
  const files = new InputFiles();
  try {
    const lookup = storedWeights(decoder, logical, files);
    const collector = new CalibrationCollector(decoder, lengths, async (name) => readWhole(await lookup(name)));
    await evaluate(withoutHead(decoder), lookup, sequences, {
      onValue: (name, values, width, node) => collector.take(name, values, width, node),
      onProgress: options.onProgress,
      signal: options.signal,
    });
    const tokens = lengths.reduce((sum, length) => sum + length, 0);
    return collector.result({ text, tokens, ids_sha256: digestOf(sequences) });
  } finally {
    files.close();
  }
}

/** Token ids of a JSON file: one list of ids, or a list of such lists. */
function idsOf(file: string): number[][] {
  const fail = (): never => {
    throw new InvalidInputError(`${file}: holds no lists of token ids.`, 'write them as [[1, 2, 3], [4, 5, 6]].');
  };
  let value: unknown;
  try {
    value = JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    return fail();
  }
  if (!Array.isArray(value) || value.length === 0) return fail();
  const lists: unknown[][] = value.every(Array.isArray) ? value : [value];
  if (lists.some((ids) => ids.length === 0 || ids.some((id) => !Number.isInteger(id)))) return fail();
  return lists as number[][];
}

export interface CalibrateRequest extends Omit<CalibrateOptions, 'text' | 'ids'> {
  /** Files to read; without either the bundled text. */
  textFile?: string;
  idsFile?: string;
  output: string;
}

/** Checkpoint directory and text file -> calibration file. */
export async function calibrate(checkpointDir: string, request: CalibrateRequest): Promise<CalibrateResult> {
  const started = performance.now();
  const { textFile, idsFile, output, ...options } = request;
  const found = await calibration(openCheckpoint(checkpointDir), {
    ...options,
    text: textFile === undefined ? undefined : readText(textFile),
    ids: idsFile === undefined ? undefined : idsOf(idsFile),
  });
  writeCalibration(output, found, PERCENTILES);
  return {
    file: output,
    origin: found.origin,
    ranges: Object.keys(found.ranges).length,
    secondMoments: Object.keys(found.second_moments).length,
    seconds: (performance.now() - started) / 1000,
  };
}
