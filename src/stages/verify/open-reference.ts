import { join } from 'node:path';
import { UsageError } from '../../core/errors.js';
import type { VerifyReport } from '../../core/verify-report.js';
import { openCheckpoint } from '../../formats/checkpoint.js';
import { isDirectory, isFile, isPackage } from '../../formats/package-reader.js';
import { openReferenceCheckpoint, type ReferenceCheckpoint } from './engine.js';
import { openStoredReference, type StoredReference } from './stored-reference.js';

/** What a package is held to: stored logits, a checkpoint that the reference engine evaluates, or both. */
export interface Reference {
  kind: VerifyReport['reference']['kind'];
  path: string;
  stored: StoredReference | null;
  checkpoint: ReferenceCheckpoint | null;
}

const GOLDEN = 'golden.safetensors';

/**
 * Opens `--reference`: a safetensors file with logits, or the directory of the original checkpoint, whose
 * golden.safetensors gives token ids and a second opinion where it is there.
 */
export async function openReference(
  path: string,
  settings: Parameters<typeof openReferenceCheckpoint>[1],
): Promise<Reference> {
  if (!isDirectory(path)) return { kind: 'golden', path, stored: openStoredReference(path), checkpoint: null };
  if (isPackage(path)) {
    throw new UsageError(
      `--reference ${path}: is a package; needed is the original checkpoint or stored logits.`,
      'give the directory that the package was converted from.',
    );
  }
  const golden = join(path, GOLDEN);
  const checkpoint = await openReferenceCheckpoint(openCheckpoint(path), settings);
  return { kind: 'checkpoint', path, stored: isFile(golden) ? openStoredReference(golden) : null, checkpoint };
}
