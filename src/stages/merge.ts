import { InvalidInputError } from '../core/errors.js';
import type { Plan, ProgressListener, QuantizePlan } from '../core/types.js';
import { collect } from '../engine/execute.js';
import { parseSize } from '../engine/memory.js';
import { openOutput } from '../engine/output.js';
import { finish } from './write.js';

export interface MergeSettings {
  force?: boolean;
  workers?: number;
  /** As `200MiB`. */
  maxMemory?: string;
}

export interface MergeResult {
  package: string;
  packageBytes: number;
  seconds: number;
}

/**
 * Finishes the package that `convert --shard i/n` processes have written beside `directory`: checks that all parts are
 * there and unharmed, then writes graphs and manifest. The package equals that of one process byte for byte.
 * Throws InvalidInputError where parts are missing or damaged.
 */
export async function merge(
  directory: string,
  settings: MergeSettings,
  onProgress: ProgressListener,
  signal: AbortSignal,
): Promise<MergeResult> {
  const started = performance.now();
  const maxMemory = settings.maxMemory === undefined ? undefined : parseSize(settings.maxMemory);
  const output = openOutput(directory, { force: settings.force ?? false, inputs: [], merge: true });
  try {
    const stored = output.readPlan();
    if (!stored) {
      throw new InvalidInputError(
        `${directory}: no shard has left its plan.`,
        'run convert --shard i/n with the same -o for every part first.',
      );
    }
    const { plan, identity, settings: finishing } = stored;
    const { sha256 } = finishing as { sha256: boolean };
    const result = await collect(plan, identity, output, { workers: settings.workers, maxMemory, signal, onProgress });
    const packageBytes = await finish(plan as Plan | QuantizePlan, result, output, sha256);
    output.commit();
    return { package: directory, packageBytes, seconds: (performance.now() - started) / 1000 };
  } finally {
    output.release();
  }
}
