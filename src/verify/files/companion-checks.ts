import { join } from 'node:path';
import type { Checkpoint } from '../../core/checkpoint.js';
import type { JsonObject } from '../../core/json.js';
import type { Check } from '../../core/verify-report.js';
import { sha256OfFile } from '../../formats/file-digest.js';
import type { Manifest } from '../../formats/manifest.js';
import { isFile } from '../../formats/package-reader.js';
import { readJsonObject } from '../../formats/text.js';

/** Files in which a chat template may stand. */
const TEMPLATES = ['chat_template.jinja', 'chat_template.json', 'tokenizer_config.json'];

/** Whether a package or checkpoint was made of this very checkpoint: its files have the same headers. */
function isMadeOf(manifest: Pick<Manifest, 'checkpoint'>, { files }: Checkpoint): boolean {
  const headers = manifest.checkpoint.files.map(({ header_sha256 }) => header_sha256);
  return JSON.stringify(headers) === JSON.stringify(files.map(({ headerSha256 }) => headerSha256));
}

/**
 * Tokenizer and other small files against the reference's. Made of this very checkpoint they are copies, so that any
 * difference is one too many; of another one (the original of a quantized checkpoint) the chat template has to agree.
 */
export async function checkCompanions(
  dir: string,
  manifest: Pick<Manifest, 'checkpoint'> | null,
  reference: Checkpoint,
): Promise<Check[]> {
  const isCopy = manifest !== null && isMadeOf(manifest, reference);
  const names = isCopy ? reference.companions : reference.companions.filter((name) => TEMPLATES.includes(name));
  const checks: Check[] = [];
  for (const name of names) {
    const fail = (message: string) =>
      checks.push({
        id: `companion ${name}`,
        group: 'integrity',
        verdict: 'fail',
        message: `${name}: ${message}`,
        where: name,
      });
    const [own, theirs] = [join(dir, name), join(reference.dir, name)];
    if (!isFile(own)) {
      if (isCopy) fail('is missing; the reference has one.');
      continue;
    }
    if ((await sha256OfFile(own)) === (await sha256OfFile(theirs))) continue;
    const keys = name.endsWith('.json') ? differingKeys(own, theirs) : [];
    if (isCopy) fail(`${keys.length > 0 ? `${keys.join(', ')} differ` : 'differs'} from the reference's.`);
    else if (!name.endsWith('.json') || keys.includes('chat_template'))
      fail("the chat template is not the reference's.");
  }
  if (checks.length > 0 || !isCopy) return checks;
  const message = `The ${names.length} files beside the weights are those of the reference.`;
  return [{ id: 'companions', group: 'integrity', verdict: 'pass', message }];
}

/** Keys of two JSON objects with other values; a file that is no JSON differs as a whole. */
function differingKeys(a: string, b: string): string[] {
  const [ours, theirs] = [a, b].map((file): JsonObject => {
    try {
      return readJsonObject(file) ?? {};
    } catch {
      return {};
    }
  });
  const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  return keys.filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]));
}
