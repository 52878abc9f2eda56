import { basename, dirname, join } from 'node:path';
import { ggufFileAt } from '../../formats/gguf/checkpoint.js';
import { type CheckpointManifest, MANIFEST, type Manifest } from '../../formats/manifest.js';
import { readJsonObject } from '../../formats/text.js';

/** Where a checkpoint's files lie, and the GGUF file that it is, if it is one. */
export interface CheckpointPlace {
  dir: string;
  container: string | undefined;
  /** Its halfbyte.json; null where there is none, or one that does not list the container. */
  manifest: ReturnType<typeof checkpointManifest>;
}

export function placeOf(path: string): CheckpointPlace {
  const container = ggufFileAt(path);
  const dir = container === undefined ? path : dirname(container);
  const manifest = checkpointManifest(dir);
  const isListed = container === undefined || manifest?.files.some(({ name }) => name === basename(container));
  return { dir, container, manifest: isListed ? manifest : null };
}

/** halfbyte.json of a checkpoint, as far as verifying needs it; null in one of another tool. */
export function checkpointManifest(
  dir: string,
): (Pick<Manifest, 'digest_algorithm' | 'files' | 'checkpoint'> & Partial<Pick<CheckpointManifest, 'tensors'>>) | null {
  const manifest = readJsonObject(join(dir, MANIFEST)) as unknown as CheckpointManifest | undefined;
  if (!Array.isArray(manifest?.files) || !Array.isArray(manifest.checkpoint?.files)) return null;
  const { tensors, ...rest } = manifest;
  return Array.isArray(tensors) ? manifest : rest;
}
