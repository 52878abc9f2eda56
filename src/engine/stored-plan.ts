import { InvalidInputError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { WritePlan } from '../core/plan.js';
import { parseStrictJson } from '../formats/strict-json.js';
import type { FileSystem } from '../sources/file-system.js';
import { digestOfBytes } from './digest.js';

/** What shards leave for `merge`: the plan, its identity, and the settings that finishing needs. */
export interface StoredPlan {
  identity: string;
  plan: WritePlan;
  settings: Json;
}

/** A plan as it is stored, with its digest: every number of it is believed by `merge`. */
export const storedPlanText = (plan: StoredPlan): string => JSON.stringify({ ...plan, digest: digestOf(plan) });

/** The plan in a file, undefined where there is none. Throws InvalidInputError for what is no plan or is damaged. */
export function readStoredPlan(path: string, fs: FileSystem): StoredPlan | undefined {
  try {
    return parse(fs.readFileSync(path, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code !== undefined) throw error;
    throw new InvalidInputError(
      `${path}: is not the plan that a shard leaves: ${message}.`,
      'remove this file and run one convert --shard i/n again: it writes the plan anew and keeps what is finished.',
    );
  }
}

const digestOf = ({ plan, settings }: StoredPlan): string =>
  digestOfBytes(Buffer.from(JSON.stringify([plan, settings])));

/** Throws Error with a short reason for what is no plan. */
function parse(text: string): StoredPlan {
  const { digest, ...stored } = parseStrictJson(text) as unknown as StoredPlan & { digest: unknown };
  if (typeof stored.identity !== 'string' || digest !== digestOf(stored)) throw new Error('its digest is another');
  return stored;
}
