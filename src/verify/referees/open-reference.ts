import { join } from 'node:path';
import { UsageError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import type { VerifyReport } from '../../core/verify-report.js';
import { openCheckpoint } from '../../formats/checkpoint.js';
import { isDirectory, isFile, isPackage } from '../../formats/package-reader.js';
import { type Model, modelOfConfig } from '../../model/model.js';
import { openReferenceCheckpoint, type ReferenceCheckpoint } from './reference-checkpoint.js';
import type { ReferenceCommand } from './reference-command.js';
import { openStoredReference, type StoredReference } from './stored-reference.js';

/** What a package is held to: stored logits, a checkpoint that the reference engine evaluates, a command, or several. */
export interface Reference {
  kind: VerifyReport['reference']['kind'];
  path: string;
  stored: StoredReference | null;
  checkpoint: ReferenceCheckpoint | null;
  command: ReferenceCommand | null;
  /** The model as the reference's configs say it; null where only logits are known. */
  model: Model | null;
}

const isContainer = (path: string): boolean => path.endsWith('.gguf') && isFile(path);
const holdsLogits = (path: string): boolean => !isDirectory(path) && !isContainer(path);

const GOLDEN = 'golden.safetensors';

/**
 * Opens `--reference`: a safetensors file with logits, a GGUF file, or the directory of the original checkpoint, whose
 * golden.safetensors gives token ids and a second opinion where it is there; or a checkpoint and a file of logits, which
 * then takes the place of its golden.safetensors. `command` may stand alone or beside them.
 */
export async function openReference(
  paths: readonly string[],
  command: ReferenceCommand | null,
  settings: Parameters<typeof openReferenceCheckpoint>[1],
): Promise<Reference> {
  if (paths.length > 1) {
    const logits = paths.filter(holdsLogits);
    const checkpoints = paths.filter((path) => !holdsLogits(path));
    if (logits.length !== 1 || checkpoints.length !== 1) {
      throw new UsageError(
        `--reference ${paths.join(' --reference ')}: together may stand one checkpoint and one file of its logits.`,
        'give one of each.',
      );
    }
    const reference = await openReference(checkpoints, command, settings);
    return { ...reference, stored: openStoredReference(logits[0]) };
  }
  const [path] = paths;
  if (path === undefined) {
    if (!command) {
      throw new UsageError(
        'there is nothing to hold it to.',
        'give the original checkpoint or a file of its logits with --reference, or a program with --reference-command.',
      );
    }
    return { kind: 'command', path: command.command, stored: null, checkpoint: null, command, model: null };
  }
  const isOneFile = isContainer(path);
  if (holdsLogits(path)) {
    const stored = openStoredReference(path);
    const model = stored.config && (await modelOfConfig(path, stored.config as JsonObject, stored.generationConfig));
    return { kind: 'golden', path, stored, checkpoint: null, command, model };
  }
  if (isPackage(path)) {
    throw new UsageError(
      `--reference ${path}: is a package; needed is the original checkpoint or stored logits.`,
      'give the directory that the package was converted from.',
    );
  }
  const golden = join(path, GOLDEN);
  const checkpoint = await openReferenceCheckpoint(openCheckpoint(path), settings);
  const stored = !isOneFile && isFile(golden) ? openStoredReference(golden) : null;
  return { kind: 'checkpoint', path, stored, checkpoint, command, model: checkpoint.model };
}
