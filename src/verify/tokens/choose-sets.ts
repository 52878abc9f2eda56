import { UsageError } from '../../core/errors.js';
import { readText } from '../../formats/text.js';
import { CALIBRATION_TEXT } from '../../runtime/calibration-text.js';
import type { TextTokenizer } from '../../runtime/tokenizer.js';
import type { StoredReference } from '../referees/stored-reference.js';
import { type TextToMeasure, windowsOf } from './text-windows.js';
import { randomIds } from './token-ids.js';
import type { TokenSet } from './token-set.js';

/** Windows of a text as the perplexity of the fixtures defines them. */
const WINDOW_TOKENS = 256;

/** Name of the set of `--text`. */
export const TEXT = 'text';

export interface SetRequest {
  text?: string | undefined;
  windows?: number | undefined;
  ids?: number[][] | undefined;
}

/** What the sets are chosen for: sizes of the subject, its tokenizer and its bos token. */
export interface SetLimits {
  dir: string;
  vocabulary: number;
  contextLength: number;
  tokenizer: TextTokenizer | null;
  bos: number | undefined;
}

export interface ChosenSets {
  sets: TokenSet[];
  /** The given text, for its perplexity. */
  text: TextToMeasure | null;
  notes: string[];
}

/**
 * The token ids that package and reference are asked about: the reference's stored ones, `--ids`, the windows of
 * `--text` where they can be answered; without any the bundled text, or seeded random ids where no tokenizer is.
 * `canAnswer` is whether an engine or a command answers any ids.
 */
export async function chooseSets(
  request: SetRequest,
  limits: SetLimits,
  stored: StoredReference | null,
  canAnswer: boolean,
): Promise<ChosenSets> {
  const sets: TokenSet[] = (stored?.sets ?? []).map((set) => ({
    name: set.name,
    sequences: set.sequences,
    answers: [{ referee: 'golden', stored: set }],
  }));
  const notes: string[] = [];
  if (request.ids) {
    if (!canAnswer) {
      throw new UsageError(
        '--ids: stored logits cannot answer other ids than their own.',
        'give the directory of the original checkpoint as --reference.',
      );
    }
    sets.push({ name: 'ids', sequences: request.ids, answers: [] });
  }
  const text = request.text === undefined ? null : await textToMeasure(request.text, request, limits);
  if (text) {
    const { sequences } = windowsOf(text);
    if (sequences.length === 0) {
      throw new UsageError(
        `--text ${text.file}: has ${text.ids.length} tokens; a window takes ${text.windowTokens}.`,
        'give a longer text.',
      );
    }
    const known = sets.find(({ name }) => name === TEXT);
    if (known && isBeginOf(sequences, known.sequences)) known.sequences = sequences;
    else if (known) {
      sets.splice(sets.indexOf(known), 1);
      notes.push(
        `the reference keeps logits of another text than ${text.file}, or of fewer windows: they are left out.`,
      );
    }
    if (!sets.some(({ name }) => name === TEXT) && canAnswer) sets.push({ name: TEXT, sequences, answers: [] });
  }
  if (sets.length === 0 && canAnswer) sets.push(await ownSet(limits));
  const long = sets.filter(({ sequences }) => sequences.some((each) => each.length > limits.contextLength));
  notes.push(
    ...long.map(({ name }) => `${name} is longer than the package's context of ${limits.contextLength}: left out.`),
  );
  return { sets: sets.filter((set) => !long.includes(set)), text, notes };
}

const isBeginOf = (sequences: number[][], of: number[][]): boolean =>
  JSON.stringify(sequences) === JSON.stringify(of.slice(0, sequences.length));

async function ownSet({ tokenizer, vocabulary, contextLength, bos }: SetLimits): Promise<TokenSet> {
  if (tokenizer === null) {
    return { name: 'random', sequences: [randomIds(vocabulary, contextLength)], answers: [] };
  }
  const ids = await tokenizer.encodePlain(CALIBRATION_TEXT);
  const leading = bos === undefined ? [] : [bos];
  const sequence = [...leading, ...ids].slice(0, Math.min(WINDOW_TOKENS, contextLength));
  return { name: 'bundled text', sequences: [sequence], answers: [] };
}

async function textToMeasure(file: string, request: SetRequest, limits: SetLimits): Promise<TextToMeasure> {
  if (limits.tokenizer === null) {
    throw new UsageError(
      `--text ${file}: ${limits.dir} has no tokenizer.json, so it cannot read text.`,
      'give token ids with --ids, or copy the tokenizer files of the checkpoint into it.',
    );
  }
  return {
    file,
    ids: await limits.tokenizer.encodePlain(readText(file)),
    leading: limits.bos,
    windowTokens: Math.min(WINDOW_TOKENS, limits.contextLength),
    windows: request.windows ?? Number.POSITIVE_INFINITY,
  };
}
