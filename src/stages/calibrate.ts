import { createHash } from 'node:crypto';
import type { Calibration, CalibrationOrigin } from '../core/calibration.js';
import type { Checkpoint } from '../core/checkpoint.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import type { Graph } from '../core/graph.js';
import { quoted } from '../core/printable.js';
import type { ProgressListener } from '../core/progress.js';
import { writeCalibration } from '../formats/calibration.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import { readText } from '../formats/text.js';
import { readTokenizerFiles } from '../formats/tokenizer-files.js';
import { logicalTensorsOf } from '../model/logical-tensors.js';
import { drawGraphs, type Model, openModel, servedPositions } from '../model/model.js';
import { checkOutputFiles } from '../places/files.js';
import { makeFolderOf } from '../places/writable.js';
import { CalibrationCollector, calibratedNames } from '../reference/calibration-collector.js';
import { evaluate } from '../reference/evaluate.js';
import { storedWeights } from '../reference/stored-weights.js';
import { PERCENTILES } from '../reference/value-statistics.js';
import { readWhole } from '../reference/weights.js';
import { CALIBRATION_TEXT } from '../runtime/calibration-text.js';
import { openTokenizer } from '../runtime/tokenizer.js';
import { InputFiles } from '../sources/input-files.js';
import { newKernelRoom } from '../sources/kernel-room.js';

/** Tokens of the bundled text: enough for ranges, seconds of work for a model of 1.5B. */
const BUNDLED_TOKENS = 512;

/** Tokens read of a given text unless told otherwise: 128 windows of 256, the size of the field's calibration sets. */
const GIVEN_TOKENS = 32768;

/** Tokens of one pass over the weights: an activation of width 14336 then takes 117 MB. */
const BATCH_TOKENS = 2048;

export interface CalibrateOptions {
  /** Text to run the model on, or token ids; without either the bundled text. */
  text?: string | undefined;
  ids?: number[][] | undefined;
  /** Tokens of a sequence; the text is cut into such pieces. */
  sequenceLength?: number | undefined;
  /** Tokens read of a text at most. */
  tokens?: number | undefined;
  onProgress?: ProgressListener | undefined;
  signal?: AbortSignal | undefined;
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
  const limit = servedPositions(config);
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
  const ids = await tokenizer.encodePlain(options.text ?? CALIBRATION_TEXT);
  if (ids.length === 0) throw new UsageError('the calibration text is empty.', 'give a text of a few hundred words.');
  const most = options.tokens ?? (given ? GIVEN_TOKENS : BUNDLED_TOKENS);
  return { sequences: pieces(ids, length, most), text: given ? 'given text' : 'bundled text' };
}

/** Sequences in batches of at most BATCH_TOKENS, a longer one by itself. */
function batchesOf(sequences: number[][]): number[][][] {
  const batches: number[][][] = [];
  let tokens = Number.POSITIVE_INFINITY;
  for (const sequence of sequences) {
    if (tokens + sequence.length > BATCH_TOKENS) {
      batches.push([]);
      tokens = 0;
    }
    batches[batches.length - 1].push(sequence);
    tokens += sequence.length;
  }
  return batches;
}

/** The part of a drawn decoder up to its last hidden state: what makes logits of it has no ranges to learn. */
function withoutHead(graph: Graph): Graph {
  const last = graph.hiddenStates[graph.hiddenStates.length - 1];
  const end = graph.nodes.findIndex((node) => node.outputs.includes(last));
  return { ...graph, nodes: graph.nodes.slice(0, end + 1), outputs: [graph.values[last]] };
}

const listed = (names: string[]): string =>
  `${names.slice(0, 3).map(quoted).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;

/** Throws InvalidInputError where a calibration was made of another model: its names and sizes are not this one's. */
export async function checkCalibration(checkpoint: Checkpoint, found: Calibration, file: string): Promise<void> {
  const model = await openModel(checkpoint);
  const { decoder } = drawGraphs(model, servedPositions(model.config));
  const { ranges, secondMoments } = calibratedNames(withoutHead(decoder));
  const missing = [...ranges].filter((name) => !Object.hasOwn(found.ranges, name));
  const unknown = Object.keys(found.ranges).filter((name) => !ranges.has(name));
  const resized = [...secondMoments].filter(([name, inputs]) => found.second_moments[name]?.length !== inputs);
  const problem =
    missing.length > 0
      ? `it has no range for ${listed(missing)}`
      : unknown.length > 0
        ? `it has a range for ${listed(unknown)}, which this model does not have`
        : resized.length > 0
          ? `its second moments of ${listed(resized.map(([name]) => name))} have another size`
          : undefined;
  if (problem === undefined) return;
  throw new InvalidInputError(
    `${file}: this calibration belongs to another model than ${checkpoint.dir}: ${problem}.`,
    `make one with halfbyte calibrate ${checkpoint.dir}.`,
  );
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
  const logical = await logicalTensorsOf(model);
  const files = new InputFiles();
  try {
    const lookup = storedWeights(decoder, logical, files, newKernelRoom());
    const collector = new CalibrationCollector(decoder, async (name) => readWhole(await lookup(name)));
    const layers = withoutHead(decoder);
    const batches = batchesOf(sequences);
    for (const [index, batch] of batches.entries()) {
      collector.begin(batch.map((ids) => ids.length));
      await evaluate(layers, lookup, batch, {
        onValue: (name, values, width, node) => collector.take(name, values, width, node),
        onProgress: ({ done, total, ...rest }) =>
          options.onProgress?.({
            ...rest,
            done: index * total + done,
            total: batches.length * total,
          }),
        signal: options.signal,
      });
    }
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
  textFile?: string | undefined;
  idsFile?: string | undefined;
  output: string;
  force?: boolean | undefined;
}

/** Checkpoint directory and text file -> calibration file. */
export async function calibrate(checkpointDir: string, request: CalibrateRequest): Promise<CalibrateResult> {
  const started = performance.now();
  const { textFile, idsFile, output, force, ...options } = request;
  const inputs = [checkpointDir, textFile, idsFile].filter((each) => each !== undefined);
  checkOutputFiles([{ flag: '-o', path: output }], { force: force ?? false, inputs, replacesOwn: false });
  const found = await calibration(openCheckpoint(checkpointDir), {
    ...options,
    text: textFile === undefined ? undefined : readText(textFile),
    ids: idsFile === undefined ? undefined : idsOf(idsFile),
  });
  makeFolderOf(output);
  writeCalibration(output, found, PERCENTILES);
  return {
    file: output,
    origin: found.origin,
    ranges: Object.keys(found.ranges).length,
    secondMoments: Object.keys(found.second_moments).length,
    seconds: (performance.now() - started) / 1000,
  };
}

/** A result as text for a terminal. */
export const describeCalibrate = ({ file, origin, ranges, secondMoments, seconds }: CalibrateResult): string =>
  `${file}: ${ranges} ranges and second moments of ${secondMoments} matrices from ${origin.tokens} tokens of ` +
  `${origin.text}, ${seconds.toFixed(1)} s`;
