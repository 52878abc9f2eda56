import { basename, dirname, join } from 'node:path';
import { ggufFileAt } from '../../formats/gguf/checkpoint.js';
import { LARGEST } from '../../formats/input-file.js';
import { MANIFEST } from '../../formats/manifest.js';
import { type CheckpointRecord, checkpointManifestOf } from '../../formats/manifest-reader.js';
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
export function checkpointManifest(dir: string): CheckpointRecord | null {
  const path = join(dir, MANIFEST);
  const manifest = readJsonObject(path, LARGEST.lists);
  return manifest ? checkpointManifestOf(manifest, path) : null;
}
