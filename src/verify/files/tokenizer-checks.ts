import { InvalidInputError } from '../../core/errors.js';
import type { Check } from '../../core/verify-report.js';
import { readTokenizerFiles } from '../../formats/tokenizer-files.js';
import { openTokenizer, type TextTokenizer } from '../../runtime/tokenizer.js';

/** Scripts, digits, white space and a name that are cut differently by different pre-tokenizers. */
const SAMPLE =
  'My fellow Americans,\n\n    the deficit fell by 12.5% in 1998 -- "isn\'t it so?" Zoë paid 1000000 € for naïve 東京 😀\tmaps.';

const FILE = 'tokenizer.json';

/**
 * The package's tokenizer: it reads, its ids are in the vocabulary, it gives the ids that the reference's gives, and
 * a text comes back as it was. `referenceDir` is null where the reference is stored logits.
 */
export async function checkTokenizer(
  tokenizer: TextTokenizer | null,
  vocabulary: number,
  referenceDir: string | null,
): Promise<Check[]> {
  const files = referenceDir === null ? null : readTokenizerFiles(referenceDir);
  const reference = files === null || referenceDir === null ? null : await openTokenizer(files, referenceDir);
  const base = { id: 'tokenizer', group: 'integrity' as const, where: FILE };
  if (tokenizer === null) {
    if (reference === null) return [];
    return [{ ...base, verdict: 'fail', message: `There is no ${FILE}; the reference has one.` }];
  }
  const ids = await tokenizer.encodePlain(SAMPLE);
  const beyond = ids.find((id) => id >= vocabulary);
  if (beyond !== undefined) {
    const message = `${FILE}: gives the id ${beyond}; the model has ${vocabulary} tokens.`;
    return [{ ...base, verdict: 'fail', message }];
  }
  if (reference !== null) {
    const theirs = await reference.encodePlain(SAMPLE);
    const at = theirs.findIndex((id, index) => ids[index] !== id);
    if (at >= 0 || ids.length !== theirs.length) {
      const place = at < 0 ? theirs.length : at;
      const found = ids[place] ?? 'nothing';
      const message = `${FILE}: token ${place + 1} of a sample text is ${found}; the reference's tokenizer gives ${theirs[place] ?? 'nothing'}.`;
      return [{ ...base, verdict: 'fail', message }];
    }
  }
  const back = await tokenizer.decode(ids);
  if (back === SAMPLE) {
    const message = `The tokenizer gives back a sample text of ${ids.length} tokens${reference ? ', with the ids of the reference' : ''}.`;
    return [{ ...base, verdict: 'pass', message }];
  }
  if (reference !== null && (await reference.decode(ids)) === back) {
    const message = `The tokenizer is the reference's; like it, it normalises text and does not give it back letter by letter.`;
    return [{ ...base, verdict: 'pass', message }];
  }
  const message = `${FILE}: a sample text of ${ids.length} tokens does not come back as it was.`;
  return [{ ...base, verdict: reference === null ? 'ambiguous' : 'fail', message }];
}

/** The tokenizer of a package or checkpoint, held to the reference's; null where there is none or it does not read. */
export async function openOwnTokenizer(
  dir: string,
  vocabulary: number,
  referenceDir: string | null,
): Promise<{ tokenizer: TextTokenizer | null; checks: Check[] }> {
  try {
    const files = readTokenizerFiles(dir);
    const tokenizer = files === null ? null : await openTokenizer(files, dir);
    return { tokenizer, checks: await checkTokenizer(tokenizer, vocabulary, referenceDir) };
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const base = { id: 'tokenizer', group: 'integrity' as const, where: 'tokenizer.json' };
    return { tokenizer: null, checks: [{ ...base, verdict: 'fail', message: error.message }] };
  }
}
