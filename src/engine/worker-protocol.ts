import {
  EnvironmentError,
  type HalfbyteError,
  InterruptedError,
  InvalidInputError,
  UsageError,
  VerificationError,
} from '../core/errors.js';
import type { Job } from '../core/plan.js';
import type { FinishedUnit } from './journal.js';
import type { Unit } from './units.js';

/** A unit to do, with what a journal says of its bytes where they are on the disk already. */
export interface Task {
  /** Its number among all units of the plan. */
  number: number;
  unit: Unit;
  expected?: FinishedUnit | undefined;
  /** Bytes that do not agree are an error, not a reason to write them. */
  verifyOnly?: boolean;
}

/** What a worker starts with. `shared` holds [next task, stop]: workers take tasks in order until none is left. */
export interface WorkerStart {
  jobs: readonly Job[];
  tasks: readonly Task[];
  dir: string;
  bufferBytes: number;
  shared: SharedArrayBuffer;
}

export const NEXT_TASK = 0;
export const STOP = 1;

/** A finished task; `kept` where the bytes on the disk were right already. */
export interface TaskDone extends FinishedUnit {
  task: number;
  kept: boolean;
}

/** A worker's last message: no task is left for it and its files are closed. */
export interface WorkerClosed {
  closed: true;
}

/** An error on its way between threads, which would lose its class. */
export interface ErrorMessage {
  error: Pick<Error, 'name' | 'message'> & Record<'advice' | 'stack' | 'code' | 'syscall', string | undefined>;
}

const CLASSES = { EnvironmentError, InterruptedError, InvalidInputError, UsageError, VerificationError };

export function packError(error: unknown): ErrorMessage {
  const { name, message, stack, advice, code, syscall } = error as HalfbyteError & NodeJS.ErrnoException;
  return { error: { name, message, stack, advice, code, syscall } };
}

export function unpackError({ error }: ErrorMessage): Error {
  if (error.name in CLASSES) return new CLASSES[error.name as keyof typeof CLASSES](error.message, error.advice);
  const { message, stack, code, syscall } = error;
  return Object.assign(new Error(message), { stack, ...(code ? { code, syscall } : {}) });
}
