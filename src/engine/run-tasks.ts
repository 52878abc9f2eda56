import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Job } from '../core/plan.js';
import { loadKernels } from '../kernels/kernels.js';
import type { FileSystem } from '../sources/file-system.js';
import { Threads } from './threads.js';
import { UnitRunner } from './unit-runner.js';
import {
  type ErrorMessage,
  NEXT_TASK,
  STOP,
  type Task,
  type TaskDone,
  unpackError,
  type WorkerClosed,
  type WorkerStart,
} from './worker-protocol.js';

export interface TaskRun {
  jobs: readonly Job[];
  tasks: readonly Task[];
  dir: string;
  workers: number;
  bufferBytes: number;
  /** Threads started before; new ones where they are not as many as `workers`. */
  threads?: Threads | undefined;
  signal?: AbortSignal | undefined;
  /** Used without workers only: functions do not cross threads. */
  fs?: FileSystem | undefined;
  /** Called as each task finishes, in any order. */
  onDone(done: TaskDone): void;
}

/** Runs tasks until all are done, one fails or the signal fires; rejects with the first failure. */
export async function runTasks(run: TaskRun): Promise<void> {
  if (run.workers === 0) await runHere(run);
  else await runInThreads(run);
}

async function runHere({ jobs, tasks, dir, bufferBytes, signal, fs, onDone }: TaskRun): Promise<void> {
  const runner = new UnitRunner(jobs, loadKernels(), bufferBytes, dir, fs);
  try {
    for (const [number, task] of tasks.entries()) {
      // Signals and progress get their turn between two units.
      await nextTurn();
      if (signal?.aborted) return;
      onDone({ task: number, ...(await runner.runTask(task)) });
    }
  } finally {
    runner.close();
  }
}

async function runInThreads({
  jobs,
  tasks,
  dir,
  workers,
  bufferBytes,
  threads,
  signal,
  onDone,
}: TaskRun): Promise<void> {
  const shared = new SharedArrayBuffer(8);
  const state = new Int32Array(shared);
  const stop = () => void Atomics.store(state, STOP, 1);
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  const start: WorkerStart = { jobs, tasks, dir, bufferBytes, shared };
  let failure: Error | undefined;
  const fail = (error: Error) => {
    failure ??= error;
    stop();
  };
  const ready = threads?.count === workers ? threads : new Threads(Math.min(workers, tasks.length));
  await Promise.all(
    ready.begin(start).map(
      (thread) =>
        new Promise<void>((resolve) => {
          thread.on('message', (message: TaskDone | WorkerClosed | ErrorMessage) => {
            if ('error' in message) return fail(unpackError(message));
            // Node takes some 10 ms to end a thread that has nothing left to do: not waited for.
            if ('closed' in message) return resolve();
            try {
              onDone(message);
            } catch (error) {
              fail(error as Error);
            }
          });
          thread.on('error', fail);
          thread.on('exit', () => resolve());
        }),
    ),
  );
  signal?.removeEventListener('abort', stop);
  if (failure) throw failure;
  if (!signal?.aborted && Atomics.load(state, NEXT_TASK) < tasks.length) throw new Error('a worker ended too early');
}
