import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { synthesizeCheckpoint } from '../scripts/synthesize-checkpoint.js';

/** The synthetic checkpoint of a shape, written into `dir` the first time and left there. */
export function checkpointIn(dir: string, shape: string): string {
  const checkpoint = join(dir, shape);
  if (existsSync(checkpoint)) return checkpoint;
  const unfinished = `${checkpoint}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  synthesizeCheckpoint(shape, unfinished);
  renameSync(unfinished, checkpoint);
  return checkpoint;
}
