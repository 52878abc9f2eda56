import { basename } from 'node:path';
import type { Checkpoint } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import type { Check } from '../../core/verify-report.js';
import { readGgufHeader } from '../../formats/gguf/reader.js';
import { tokenizerMetadata } from '../../runtime/container-tokenizer.js';

/** The tokenizer in a GGUF file's metadata, key by key, against the one that the reference's files make. */
export async function checkGgufTokenizer(file: string, reference: Checkpoint): Promise<Check[]> {
  const base = { id: 'tokenizer', group: 'integrity' as const, where: basename(file) };
  let expected: Awaited<ReturnType<typeof tokenizerMetadata>>['metadata'];
  try {
    expected = (await tokenizerMetadata(reference, reference.config)).metadata;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return [{ ...base, verdict: 'ambiguous', message: `The tokenizer was not compared: ${error.message}` }];
  }
  const found = readGgufHeader(file).metadata;
  const keys = Object.keys(expected).filter((key) => key.startsWith('tokenizer.'));
  const differing = keys.filter((key) => JSON.stringify(found[key]) !== JSON.stringify(expected[key]));
  const names = differing.slice(0, 3).join(', ');
  return [
    differing.length === 0
      ? {
          ...base,
          verdict: 'pass',
          message: `The tokenizer in ${basename(file)} is the reference's in ${keys.length} keys.`,
        }
      : {
          ...base,
          verdict: 'fail',
          message: `${basename(file)}: ${names} are not what the reference's tokenizer gives.`,
        },
  ];
}
