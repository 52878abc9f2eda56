import { UsageError } from '../../core/errors.js';
import { readText } from '../../formats/text.js';
import type { TextTokenizer } from '../../runtime/tokenizer.js';
import { CALIBRATION_TEXT } from '../calibration-text.js';
import type { TextToMeasure } from './run-package.js';
import { windowsOf } from './run-package.js';
import type { StoredReference } from './stored-reference.js';
import { randomIds, type TokenSet } from './token-sets.js';

/** Windows of a text as the perplexity of the fixtures defines them. */
const WINDOW_TOKENS = 256;

export interface SetRequest {
  text?: string;
  windows?: number;
  ids?: number[][];
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
 * `--text` where an engine can answer them; without any the bundled text, or seeded random ids where no tokenizer is.
 */
export function chooseSets(
  request: SetRequest,
  limits: SetLimits,
  stored: StoredReference | null,
  hasEngine: boolean,
): ChosenSets {
  const sets: TokenSet[] = (stored?.sets ?? []).map((set) => ({
    name: set.name,
    sequences: set.sequences,
    stored: set,
  }));
  if (request.ids) {
    if (!hasEngine) {
      throw new UsageError(
        '--ids: stored logits cannot answer other ids than their own.',
        'give the directory of the original checkpoint as --reference.',
      );
    }
    sets.push({ name: 'ids', sequences: request.ids });
  }
  const text = request.text === undefined ? null : textToMeasure(request.text, request, limits);
  if (text && hasEngine) sets.push({ name: 'text', sequences: windowsOf(text).sequences });
  if (sets.length === 0 && hasEngine) sets.push(ownSet(limits));
  const long = sets.filter(({ sequences }) => sequences.some((each) => each.length > limits.contextLength));
  const notes = long.map(
    ({ name }) => `${name} is longer than the package's context of ${limits.contextLength}: left out.`,
  );
  return { sets: sets.filter((set) => !long.includes(set)), text, notes };
}

function ownSet({ tokenizer, vocabulary, contextLength, bos }: SetLimits): TokenSet {
  if (tokenizer === null) return { name: 'random', sequences: [randomIds(vocabulary, contextLength)] };
  const ids = tokenizer.encodePlain(CALIBRATION_TEXT);
  const leading = bos === undefined ? [] : [bos];
  return { name: 'bundled text', sequences: [[...leading, ...ids].slice(0, Math.min(WINDOW_TOKENS, contextLength))] };
}

function textToMeasure(file: string, request: SetRequest, limits: SetLimits): TextToMeasure {
  if (limits.tokenizer === null) {
    throw new UsageError(
      `--text ${file}: ${limits.dir} has no tokenizer.json, so it cannot read text.`,
      'give token ids with --ids, or copy the tokenizer files of the checkpoint into the package.',
    );
  }
  return {
    file,
    ids: limits.tokenizer.encodePlain(readText(file)),
    leading: limits.bos,
    windowTokens: Math.min(WINDOW_TOKENS, limits.contextLength),
    windows: request.windows ?? Number.POSITIVE_INFINITY,
  };
}
