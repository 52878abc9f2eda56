import { InvalidInputError, UsageError } from '../core/errors.js';
import { type Dtype, type Job, type Kernels, NonFiniteWeight, type Packed, type Scheme } from '../core/types.js';
import { loadKernels } from '../kernels/kernels.js';
import type { FileSystem } from '../sources/file-system.js';
import { InputFiles } from '../sources/input-files.js';
import { locate } from '../sources/locate.js';
import type { OpenRows } from '../sources/open-rows.js';
import { openRows } from '../sources/read.js';
import { forEachStoredRange, storedDtype } from '../sources/stored-rows.js';
import { type Digest, startDigest } from './digest.js';
import { OutputFiles } from './output-files.js';
import { jobQuantum, schemeOf, type Unit } from './units.js';
import type { Task } from './worker-protocol.js';

/** How one job's rows are read and where its parts are written. */
interface PreparedJob {
  job: Job;
  scheme: Scheme;
  quantum: number;
  /** Dtype in which rows are read: the stored one where the source's bytes can be taken as they are. */
  dtype: Dtype;
  rowBytes: number;
  /** Set where rows are decoded to float32 first. */
  reader?: OpenRows;
  /** Whether the wasm kernel or the scheme's own code quantizes. */
  byKernel: boolean;
}

const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;

/**
 * Executes units in one thread: reads rows into wasm memory, quantizes them there, takes the digest of each part and
 * writes it to its planned place. Holds at most `bufferBytes` of rows and parts at a time.
 */
export class UnitRunner {
  readonly #inputs: InputFiles;
  readonly #outputs: OutputFiles;
  #current: { index: number; prepared: PreparedJob } | undefined;

  private constructor(
    readonly jobs: readonly Job[],
    readonly kernels: Kernels,
    readonly bufferBytes: number,
    dir: string,
    fs?: FileSystem,
  ) {
    this.#inputs = new InputFiles(fs);
    this.#outputs = new OutputFiles(dir, fs);
    kernels.reserve(bufferBytes);
  }

  static async create(jobs: readonly Job[], dir: string, bufferBytes: number, fs?: FileSystem): Promise<UnitRunner> {
    return new UnitRunner(jobs, await loadKernels(), bufferBytes, dir, fs);
  }

  /** Does a task: keeps bytes that are right already, writes the others. */
  async runTask({ unit, expected, verifyOnly }: Task): Promise<{ digests: string[]; kept: boolean }> {
    if (expected && (await this.holds(unit, expected))) return { digests: expected, kept: true };
    if (verifyOnly) {
      const rows = `rows ${unit.from} to ${unit.from + unit.count} of weight "${this.jobs[unit.job].name}"`;
      throw new InvalidInputError(
        `${rows} are not what the shard that wrote them noted.`,
        'run that convert --shard i/n again (it repairs what is damaged), then merge.',
      );
    }
    return { digests: await this.run(unit), kept: false };
  }

  /** Writes a unit's parts; returns their digests in the order of `job.outputs`. */
  async run(unit: Unit): Promise<string[]> {
    const prepared = await this.#prepare(unit.job);
    const digests = Object.keys(prepared.job.outputs).map(startDigest);
    const step = this.#rowsAtOnce(prepared, unit.count);
    for (let done = 0; done < unit.count; done += step) {
      this.#runRows(prepared, unit.from + done, Math.min(step, unit.count - done), digests);
    }
    return digests.map((digest) => digest.finish());
  }

  /** Whether the package holds a unit's bytes already: the digests of what is on disk are the expected ones. */
  async holds(unit: Unit, expected: readonly string[]): Promise<boolean> {
    const { job, scheme } = await this.#prepare(unit.job);
    for (const [index, range] of unitRanges(job, scheme, unit.from, unit.count).entries()) {
      const digest = startDigest();
      const piece = Math.min(this.bufferBytes, 1 << 20);
      for (let done = 0; done < range.nbytes; done += piece) {
        const view = this.kernels.bytes(this.kernels.heapBase, Math.min(piece, range.nbytes - done));
        if (!this.#outputs.read(range.file, range.offset + done, view)) return false;
        digest.update(view);
      }
      if (digest.finish() !== expected[index]) return false;
    }
    return true;
  }

  close(): void {
    this.#inputs.close();
    this.#outputs.close();
  }

  async #prepare(index: number): Promise<PreparedJob> {
    if (this.#current?.index === index) return this.#current.prepared;
    const job = this.jobs[index];
    const scheme = await schemeOf(job);
    const quantum = await jobQuantum(job);
    const stored = storedDtype(job.source);
    let prepared: PreparedJob;
    if (stored && this.kernels.supports(stored, job.scheme)) {
      const rowBytes = storedRowBytes(job);
      prepared = { job, scheme, quantum, dtype: stored, rowBytes, byKernel: true };
    } else {
      const reader = await openRows(job.source, this.#inputs);
      const byKernel = this.kernels.supports('F32', job.scheme);
      prepared = { job, scheme, quantum, dtype: 'F32', rowBytes: 4 * job.source.cols, reader, byKernel };
    }
    this.#current = { index, prepared };
    return prepared;
  }

  #rowsAtOnce(prepared: PreparedJob, count: number): number {
    const { quantum } = prepared;
    if (chunkBytes(prepared, Math.min(count, quantum)) > this.bufferBytes) {
      throw new UsageError(
        `--max-memory: "${prepared.job.name}" needs ${chunkBytes(prepared, quantum)} bytes a worker, ${this.bufferBytes} are given.`,
        'raise --max-memory, or lower --workers.',
      );
    }
    // Sizes grow with rows; a few steps of bisection find the most that fit.
    let [fits, tooMany] = [1, Math.ceil(count / quantum) + 1];
    while (fits + 1 < tooMany) {
      const middle = (fits + tooMany) >> 1;
      if (chunkBytes(prepared, Math.min(count, middle * quantum)) <= this.bufferBytes) fits = middle;
      else tooMany = middle;
    }
    return fits * quantum;
  }

  #runRows(prepared: PreparedJob, from: number, count: number, digests: Digest[]): void {
    const { job, scheme, dtype, rowBytes, reader } = prepared;
    const { cols } = job.source;
    const { kernels } = this;
    const input = kernels.heapBase;
    const rows = kernels.bytes(input, count * rowBytes);
    if (reader) reader.readFloat32(from, count, new Float32Array(rows.buffer, rows.byteOffset, count * cols));
    else this.#readStored(job, from, count, rows);

    const addresses: Record<string, number> = {};
    const parts = scheme.layout(count, cols, job.scheme);
    let next = input + aligned(count * rowBytes);
    for (const [part, { nbytes }] of Object.entries(parts)) {
      addresses[part] = next;
      next += aligned(nbytes);
    }
    try {
      if (prepared.byKernel) {
        kernels.quantize(dtype, input, count, cols, job.scheme, addresses);
      } else {
        const views: Packed = {};
        for (const part in parts) views[part] = kernels.bytes(addresses[part], parts[part].nbytes);
        const values = kernels.bytes(input, 4 * count * cols);
        scheme.quantize(new Float32Array(values.buffer, values.byteOffset, count * cols), cols, job.scheme, views);
      }
    } catch (error) {
      throw error instanceof NonFiniteWeight ? nonFinite(job, from, error) : error;
    }
    const ranges = unitRanges(job, scheme, from, count);
    for (const [index, part] of Object.keys(job.outputs).entries()) {
      const view = kernels.bytes(addresses[part], parts[part].nbytes);
      digests[index].update(view);
      this.#outputs.write(ranges[index].file, ranges[index].offset, view);
    }
  }

  #readStored(job: Job, from: number, count: number, into: Uint8Array): void {
    let at = 0;
    forEachStoredRange(job.source, from, count, ({ file, offset, nbytes }) => {
      this.#inputs.read(file, offset, into.subarray(at, at + nbytes));
      at += nbytes;
    });
  }
}

function storedRowBytes(job: Job): number {
  let rowBytes = 0;
  forEachStoredRange(job.source, 0, Math.min(1, job.source.rows), ({ nbytes }) => {
    rowBytes += nbytes;
  });
  return rowBytes;
}

/** Bytes of wasm memory for `count` rows: as they are read and as they are written. */
function chunkBytes({ job, scheme, rowBytes }: PreparedJob, count: number): number {
  const parts = Object.values(scheme.layout(count, job.source.cols, job.scheme));
  return parts.reduce((sum, { nbytes }) => sum + aligned(nbytes), aligned(count * rowBytes));
}

/** Where the parts of rows [from, from + count) stand in the package, in the order of `job.outputs`. */
export function unitRanges(job: Job, scheme: Scheme, from: number, count: number) {
  const { cols } = job.source;
  const before = from === 0 ? undefined : scheme.layout(from, cols, job.scheme);
  const size = scheme.layout(count, cols, job.scheme);
  return Object.entries(job.outputs).map(([part, { file, offset }]) => ({
    file,
    offset: offset + (before?.[part].nbytes ?? 0),
    nbytes: size[part].nbytes,
  }));
}

function nonFinite(job: Job, from: number, error: NonFiniteWeight): InvalidInputError {
  const place = locate(job.source, from + error.row, error.column);
  const tensor = place?.tensor ?? job.name;
  const [row, column] = [place?.row ?? from + error.row, place?.column ?? error.column];
  const file = place?.file ? `${place.file}: ` : '';
  const byte = place?.offset === undefined ? '' : ` (byte ${place.offset} of the file)`;
  return new InvalidInputError(
    `${file}tensor "${tensor}" holds ${error.value} at row ${row}, column ${column}${byte}; a weight must be finite.`,
    'download this file again; if its checksum is right, the checkpoint itself is broken.',
  );
}
