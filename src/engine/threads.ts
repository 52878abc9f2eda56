import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { WorkerStart } from './worker-protocol.js';

/** Below this much input, starting threads costs more than they save. */
export const WORTH_THREADS = 32 << 20;

/** Young generations small: a worker's garbage is a few objects a unit, its data is in wasm memory. */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 4 };

/** Worker threads that load their modules as soon as they are made and then wait for work. */
export class Threads {
  readonly #workers: Worker[];

  constructor(count: number) {
    this.#workers = Array.from({ length: count }, startThread);
    // Threads that never get work must not keep the process from ending.
    for (const worker of this.#workers) worker.unref();
  }

  get count(): number {
    return this.#workers.length;
  }

  /** Gives all the same work; those that listen to them keep the process alive. */
  begin(start: WorkerStart): readonly Worker[] {
    for (const worker of this.#workers) {
      worker.ref();
      worker.postMessage(start);
    }
    return this.#workers;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/**
 * Threads for so much input, started ahead so that they load while the main thread plans: about 60 ms of a conversion.
 * Undefined where there would be none, and under a ceiling of memory, which decides on their number later.
 */
export function startThreadsAhead(inputBytes: number, workers?: number, maxMemory?: unknown): Threads | undefined {
  if (maxMemory !== undefined || (workers === undefined && inputBytes < WORTH_THREADS)) return undefined;
  const count = workers ?? availableParallelism();
  return count === 0 ? undefined : new Threads(count);
}

function startThread(): Worker {
  const options = { resourceLimits: HEAP_LIMITS };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('../engine/worker.js', import.meta.url), options);
  // TypeScript sources, in development: a thread does not inherit the loader that runs them, and `--import tsx` leaves
  // threads alone.
  const [loader, entry] = ['tsx/esm/api', './worker.ts'].map((name) => JSON.stringify(import.meta.resolve(name)));
  const code = `import(${loader}).then((tsx) => { tsx.register(); return import(${entry}); })`;
  return new Worker(code, { ...options, eval: true });
}
