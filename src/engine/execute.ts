import type { ErrorSums } from '../core/error-sums.js';
import { EnvironmentError, InterruptedError, InvalidInputError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { WritePlan } from '../core/plan.js';
import type { ProgressListener } from '../core/progress.js';
import { DIGEST_ALGORITHM } from './digest.js';
import { ChangedInput, identityOf, inputTimes, refuseChanged } from './identity.js';
import { JobErrors } from './job-errors.js';
import { partRanges, partsOf } from './job-parts.js';
import { BEST_BUFFER, planMemory } from './memory.js';
import { memoryNeeds } from './memory-needs.js';
import type { Output } from './output.js';
import { runTasks } from './run-tasks.js';
import { type Shard, unitsOfShard } from './shard.js';
import { type Threads, WORTH_THREADS } from './threads.js';
import { splitIntoUnits, type Unit, unitBytes } from './units.js';
import type { Task } from './worker-protocol.js';

export interface ExecuteOptions {
  /** Worker threads; 0 works in the main thread. Default: one a core. */
  workers?: number | undefined;
  /** Ceiling of resident memory of the whole process in bytes. Default: none, a few MiB a worker. */
  maxMemory?: number | undefined;
  /** Threads started ahead of the plan; `execute` ends those it uses. */
  threads?: Threads | undefined;
  /** Do only this part of the work. */
  shard?: Shard | undefined;
  /** Whatever else finishing the package depends on; stored for `merge`, and part of the work's identity. */
  settings?: Json | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ProgressListener | undefined;
  /** Told what happens besides, as work of other options that is thrown away. */
  onNote?: ((text: string) => void) | undefined;
}

export interface ChunkDigest {
  offset: number;
  /** Of all segments together. */
  nbytes: number;
  /** Set where the bytes are pieces of equal length, `stride` bytes apart; the digest runs over one after the other. */
  segments?: number;
  stride?: number;
  digest: string;
}

export interface ExecutionResult {
  digests: {
    algorithm: string;
    /** For each data file its written ranges by offset. They follow from the plan alone. */
    files: Record<string, ChunkDigest[]>;
  };
  /** What rounding took from the weights of each measured job, by its number; of a shard, of its own part alone. */
  errors: ReadonlyMap<number, ErrorSums>;
  /** False for a shard: the package is finished by `merge`. */
  complete: boolean;
  /** Bytes of input behind all the work, and behind the part that was found done. */
  inputBytes: number;
  keptBytes: number;
}

/**
 * Writes the data files of a plan into `output`: every job once, by worker threads that read, quantize and write by
 * themselves. Work that a journal says is done, and whose digests agree with the disk, is kept.
 *
 * Throws InvalidInputError for weights that are not finite and files that changed, EnvironmentError where the disk
 * fails, InterruptedError after the signal; finished work stays for the next run in each case.
 */
export async function execute(plan: WritePlan, output: Output, options: ExecuteOptions = {}): Promise<ExecutionResult> {
  const { shard, settings = null } = options;
  const units = await splitIntoUnits(plan.jobs);
  const bytes = units.map((unit) => unitBytes(unit, plan.jobs[unit.job]));
  const own = shard ? unitsOfShard(bytes, shard) : [...units.keys()];
  const memory = await dealMemory(
    plan,
    options,
    own.reduce((sum, number) => sum + units[number].inputBytes, 0),
  );

  const identity = identityOf(plan, settings, output.fs);
  const finished = output.begin(identity, options.onNote ?? (() => {}));
  if (shard) {
    output.storePlan({ identity, plan, settings });
    for (const name of plan.copies) output.copyFile(name, `${plan.checkpoint.dir}/${name}`);
  }
  output.allocate(plan.files);
  const inputs = inputTimes(plan, output.fs);
  const tasks = own.map((number) => ({ number, unit: units[number], expected: finished.get(number) }));
  const result = await run(plan, units, tasks, output, memory, options)
    .then((done) => {
      refuseChanged(plan, inputs, output.fs);
      return done;
    })
    .catch((error) => {
      // The input itself is broken: once it is mended it is another input, and nothing done so far is of use to it.
      if (error instanceof InvalidInputError && !shard) output.discard();
      if (error instanceof ChangedInput && shard) output.forget();
      throw error;
    });
  return { ...result, complete: !shard };
}

/**
 * Checks that every unit of a plan has been written by some shard: each is in a journal and its digests agree with the
 * disk. Throws InvalidInputError that says what is missing. No input is read.
 */
export async function collect(
  plan: WritePlan,
  identity: string,
  output: Output,
  options: ExecuteOptions = {},
): Promise<ExecutionResult> {
  const units = await splitIntoUnits(plan.jobs);
  output.expect(plan.files);
  const finished = output.begin(identity, () => {});
  const missing = units.filter((_, number) => !finished.has(number));
  if (missing.length > 0) {
    const [first] = missing;
    const bytes = units.map((unit) => unitBytes(unit, plan.jobs[unit.job]));
    const count = output.shardCount();
    const shards = Array.from({ length: count }, (_, index) => ({ index: index + 1, count }))
      .filter((shard) => unitsOfShard(bytes, shard).some((number) => !finished.has(number)))
      .map(({ index }) => `${index}/${count}`);
    const named = shards.length > 0 ? `: of shard ${shards.join(', ')}` : '';
    throw new InvalidInputError(
      `${output.finalDir}: ${missing.length} of ${units.length} parts of the work are missing${named}; the first of weight "${plan.jobs[first.job].name}", rows ${first.from} to ${first.from + first.count}.`,
      'run convert --shard i/n for every part, the same command again for one that was interrupted; then merge.',
    );
  }
  const tasks = units.map((unit, number) => ({ number, unit, expected: finished.get(number), verifyOnly: true }));
  const memory = await dealMemory(plan, options, Number.POSITIVE_INFINITY);
  return { ...(await run(plan, units, tasks, output, memory, options)), complete: true };
}

async function dealMemory(plan: WritePlan, { workers, maxMemory }: ExecuteOptions, inputBytes: number) {
  const needs = await memoryNeeds(plan.jobs, BEST_BUFFER);
  const wanted = workers ?? (inputBytes < WORTH_THREADS ? 0 : undefined);
  return planMemory(wanted, maxMemory, process.memoryUsage.rss(), needs);
}

async function run(
  plan: WritePlan,
  units: readonly Unit[],
  tasks: Task[],
  output: Output,
  memory: { workers: number; bufferBytes: number },
  { signal, threads, shard, onProgress }: ExecuteOptions,
): Promise<Omit<ExecutionResult, 'complete'>> {
  const inputBytes = tasks.reduce((sum, { unit }) => sum + unit.inputBytes, 0);
  const digests = new Map<number, string[]>();
  const errors = new JobErrors();
  let done = 0;
  let keptBytes = 0;
  const running = runTasks({
    jobs: plan.jobs,
    tasks,
    dir: output.dir,
    ...memory,
    threads,
    signal,
    fs: output.fs,
    onDone({ task, kept, ...finished }) {
      const { number, unit } = tasks[task];
      digests.set(number, finished.digests);
      if (finished.errors !== undefined) errors.add(number, unit, finished.errors);
      if (!kept) output.record(number, finished);
      done += unit.inputBytes;
      if (kept) keptBytes += unit.inputBytes;
      onProgress?.({ stage: 'write', done, total: inputBytes, label: plan.jobs[unit.job].name });
    },
  });
  // The main thread has nothing else to do meanwhile.
  const [places] = await Promise.all([placesOf(plan, tasks), running]);
  if (signal?.aborted) {
    const percent = inputBytes === 0 ? 0 : Math.floor((100 * done) / inputBytes);
    throw new InterruptedError(
      `${shard ? `Shard ${shard.index}/${shard.count}: interrupted` : 'Interrupted'} at ${percent}%; finished work is kept.`,
      'run the same command again to continue.',
    );
  }
  if (digests.size !== tasks.length)
    throw new EnvironmentError(
      'a worker thread ended before its work was done.',
      'run the same command again: finished work is kept.',
    );
  const files: Record<string, ChunkDigest[]> = Object.fromEntries(plan.files.map(({ name }) => [name, []]));
  for (const { number, part, file, place } of places) {
    files[file].push({ ...place, digest: (digests.get(number) as string[])[part] });
  }
  return { digests: { algorithm: DIGEST_ALGORITHM, files }, errors: errors.byJob(units), inputBytes, keptBytes };
}

/** Where a part of a task's unit stands. */
interface Place {
  /** Number of the unit, and of the part among those of its job. */
  number: number;
  part: number;
  file: string;
  place: Omit<ChunkDigest, 'digest'>;
}

/** Every range that tasks write, by offset. */
async function placesOf(plan: WritePlan, tasks: readonly Task[]): Promise<Place[]> {
  const parts = await Promise.all(plan.jobs.map(partsOf));
  const places = tasks.flatMap(({ number, unit: { job, from, count } }) =>
    partRanges(plan.jobs[job], parts[job], from, count).flatMap(({ file, offset, nbytes, segments, stride }, part) => {
      if (nbytes === 0) return [];
      const place = { offset, nbytes, ...(segments > 1 ? { segments, stride } : {}) };
      return [{ number, part, file, place }];
    }),
  );
  return places.sort((a, b) => a.place.offset - b.place.offset);
}
