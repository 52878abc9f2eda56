import { parentPort, workerData } from 'node:worker_threads';
import { UnitRunner } from './unit-runner.js';
import { NEXT_TASK, packError, STOP, type TaskDone, type WorkerStart } from './worker-protocol.js';

const { jobs, tasks, dir, bufferBytes, shared } = workerData as WorkerStart;
const state = new Int32Array(shared);

try {
  const runner = await UnitRunner.create(jobs, dir, bufferBytes);
  while (Atomics.load(state, STOP) === 0) {
    const task = Atomics.add(state, NEXT_TASK, 1);
    if (task >= tasks.length) break;
    parentPort?.postMessage({ task, ...(await runner.runTask(tasks[task])) } satisfies TaskDone);
  }
  runner.close();
} catch (error) {
  Atomics.store(state, STOP, 1);
  parentPort?.postMessage(packError(error));
}
