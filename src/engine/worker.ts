import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { loadKernels } from '../kernels/kernels.js';
import { UnitRunner } from './unit-runner.js';
import { NEXT_TASK, packError, STOP, type TaskDone, type WorkerClosed, type WorkerStart } from './worker-protocol.js';

if (!parentPort) throw new Error('this module is the start of a worker thread');
// Compiled while the main thread still plans.
const kernels = loadKernels();
const [{ jobs, tasks, dir, bufferBytes, shared }] = (await once(parentPort, 'message')) as [WorkerStart];
const state = new Int32Array(shared);

try {
  const runner = new UnitRunner(jobs, kernels, bufferBytes, dir);
  while (Atomics.load(state, STOP) === 0) {
    const task = Atomics.add(state, NEXT_TASK, 1);
    if (task >= tasks.length) break;
    parentPort.postMessage({ task, ...(await runner.runTask(tasks[task])) } satisfies TaskDone);
  }
  runner.close();
  parentPort.postMessage({ closed: true } satisfies WorkerClosed);
} catch (error) {
  Atomics.store(state, STOP, 1);
  parentPort.postMessage(packError(error));
}
