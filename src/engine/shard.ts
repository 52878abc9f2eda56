import { UsageError } from '../core/errors.js';

/** The i-th of n parts of a plan, counted from 1. */
export interface Shard {
  index: number;
  count: number;
}

/**
 * Reads `--shard`: `i/n` with i from 1 to n, or `auto`, which takes both from the environment: SLURM_ARRAY_TASK_ID with
 * _MIN and _COUNT of a Slurm array job, or JOB_COMPLETION_INDEX (from 0) of a Kubernetes Indexed Job, whose number of
 * completions the pod must be told as JOB_COMPLETIONS. Throws UsageError.
 */
export function parseShard(text: string, environment: NodeJS.ProcessEnv = process.env): Shard {
  if (text === 'auto') return fromEnvironment(environment);
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const shard = { index: Number(match?.[1]), count: Number(match?.[2]) };
  if (!match || !isShard(shard)) {
    throw new UsageError(
      `--shard ${text}: needed is i/n with i from 1 to n, or "auto".`,
      '--shard 1/4 for the first of four parts.',
    );
  }
  return shard;
}

/** A shard as messages name it: `auto` by the numbers that it stands for. */
export function shardName(text: string): string {
  const { index, count } = parseShard(text);
  return `${index}/${count}`;
}

const isShard = ({ index, count }: Shard) =>
  Number.isSafeInteger(index) && Number.isSafeInteger(count) && index >= 1 && index <= count;

function fromEnvironment(environment: NodeJS.ProcessEnv): Shard {
  const number = (name: string) => (environment[name] === undefined ? Number.NaN : Number(environment[name]));
  let shard: Shard | undefined;
  let names = '';
  if (environment.SLURM_ARRAY_TASK_ID !== undefined) {
    names = 'SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_MIN, SLURM_ARRAY_TASK_COUNT';
    const first = environment.SLURM_ARRAY_TASK_MIN === undefined ? 0 : number('SLURM_ARRAY_TASK_MIN');
    shard = { index: number('SLURM_ARRAY_TASK_ID') - first + 1, count: number('SLURM_ARRAY_TASK_COUNT') };
  } else if (environment.JOB_COMPLETION_INDEX !== undefined) {
    names = 'JOB_COMPLETION_INDEX, JOB_COMPLETIONS';
    shard = { index: number('JOB_COMPLETION_INDEX') + 1, count: number('JOB_COMPLETIONS') };
  }
  if (shard && isShard(shard)) return shard;
  const found = names
    ? names
        .split(', ')
        .map((name) => `${name}=${environment[name] ?? ''}`)
        .join(' ')
    : 'neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX';
  throw new UsageError(
    `--shard auto: the environment has ${found}, which names no part.`,
    names.startsWith('JOB')
      ? 'set JOB_COMPLETIONS to the number of completions of the job, or give --shard i/n.'
      : 'run it in an array job whose task numbers follow each other, or give --shard i/n.',
  );
}

/**
 * The units of a shard: a run of neighbours with about the same bytes as every other shard's, so that each reads
 * forward and few of them write side by side.
 */
export function unitsOfShard(bytes: readonly number[], { index, count }: Shard): number[] {
  const total = bytes.reduce((sum, each) => sum + each, 0);
  const taken: number[] = [];
  let before = 0;
  for (const [unit, size] of bytes.entries()) {
    const middle = before + size / 2;
    const owner = total === 0 ? 0 : Math.min(count - 1, Math.floor((middle * count) / total));
    if (owner === index - 1) taken.push(unit);
    before += size;
  }
  return taken;
}
