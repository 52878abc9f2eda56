import { ERROR_STATE_BYTES } from '../core/error-sums.js';
import { InvalidInputError } from '../core/errors.js';
import type { Kernels } from '../core/kernels.js';
import type { Job } from '../core/plan.js';
import type { Packed, PartSize } from '../core/scheme.js';
import type { FileSystem } from '../sources/file-system.js';
import { InputFiles } from '../sources/input-files.js';
import { DIGEST_STATE_BYTES, Digest } from './digest.js';
import { type ErrorMeter, meterRoom, openMeter } from './error-meter.js';
import { DECODING_ROOM, FREQUENCY_ROOM, openFiller, type PartFiller } from './fill-parts.js';
import { packErrors } from './job-errors.js';
import { aligned, type JobParts, partRanges, partsOf } from './job-parts.js';
import type { FinishedUnit } from './journal.js';
import { OutputFiles } from './output-files.js';
import { stepsOf } from './steps.js';
import { jobQuantum, type Unit } from './units.js';
import type { Task } from './worker-protocol.js';

/** How one job's parts are made and written. */
interface PreparedJob {
  job: Job;
  parts: JobParts;
  quantum: number;
  filler: PartFiller;
  /** Set where what rounding takes is measured. */
  meter?: ErrorMeter | undefined;
}

/** Room in kernel memory for the digests of a unit's parts (no job has more than eight), frequencies, errors, decoding. */
const DIGEST_ROOM = 8 * DIGEST_STATE_BYTES;
const ROOM = DIGEST_ROOM + FREQUENCY_ROOM + ERROR_STATE_BYTES + DECODING_ROOM;

/**
 * Executes units in one thread: reads rows into wasm memory, quantizes them there, takes the digest of each part and
 * writes it to its planned place. Holds at most `bufferBytes` of rows and parts at a time.
 */
export class UnitRunner {
  readonly #inputs: InputFiles;
  readonly #outputs: OutputFiles;
  #current: { index: number; prepared: PreparedJob } | undefined;

  constructor(
    readonly jobs: readonly Job[],
    readonly kernels: Kernels,
    readonly bufferBytes: number,
    dir: string,
    fs?: FileSystem,
  ) {
    this.#inputs = new InputFiles(fs);
    this.#outputs = new OutputFiles(dir, fs);
    const decoded = jobs.reduce((most, job) => Math.max(most, job.measured ? meterRoom(job.source.cols) : 0), 0);
    kernels.reserve(ROOM + aligned(bufferBytes) + decoded);
  }

  /** Does a task: keeps bytes that are right already, writes the others. */
  async runTask({ unit, expected, verifyOnly }: Task): Promise<FinishedUnit & { kept: boolean }> {
    const isMeasured = !this.jobs[unit.job].measured || expected?.errors !== undefined;
    if (expected && isMeasured && (await this.holds(unit, expected.digests))) return { ...expected, kept: true };
    if (verifyOnly) {
      const rows = `rows ${unit.from} to ${unit.from + unit.count} of weight "${this.jobs[unit.job].name}"`;
      throw new InvalidInputError(
        `${rows} are not what the shard that wrote them noted.`,
        'run that convert --shard i/n again (it repairs what is damaged), then merge.',
      );
    }
    return { ...(await this.run(unit)), kept: false };
  }

  /** Writes a unit's parts; returns their digests in the order of `job.outputs`, and its error sums if it is measured. */
  async run(unit: Unit): Promise<FinishedUnit> {
    const prepared = await this.#prepare(unit.job);
    const digests = Object.keys(prepared.job.outputs).map((_, part) => this.#startDigest(part));
    const errors = () => this.kernels.bytes(this.#errors, ERROR_STATE_BYTES);
    errors().fill(0);
    const { job, parts, quantum, filler } = prepared;
    const inMemory = { name: job.name, parts, quantum, rowBytes: filler.rowBytes };
    const { read, written } = stepsOf(inMemory, unit.count, this.bufferBytes);
    for (let done = 0; done < unit.count; done += written) {
      this.#runRows(prepared, unit.from + done, Math.min(written, unit.count - done), read, digests);
    }
    return {
      digests: digests.map((digest) => digest.finish()),
      ...(prepared.meter ? { errors: packErrors(errors()) } : {}),
    };
  }

  /** Whether the package holds a unit's bytes already: the digests of what is on disk are the expected ones. */
  async holds(unit: Unit, expected: readonly string[]): Promise<boolean> {
    const { job, parts } = await this.#prepare(unit.job);
    const buffer = this.#buffer;
    const piece = Math.min(this.bufferBytes, 1 << 20);
    for (const [index, range] of partRanges(job, parts, unit.from, unit.count).entries()) {
      const digest = this.#startDigest(index);
      const segmentBytes = range.nbytes / range.segments;
      for (let segment = 0; segment < range.segments; segment++) {
        const start = range.offset + segment * range.stride;
        for (let done = 0; done < segmentBytes; done += piece) {
          const count = Math.min(piece, segmentBytes - done);
          if (!this.#outputs.read(range.file, start + done, this.kernels.bytes(buffer, count))) return false;
          digest.update(buffer, count);
        }
      }
      if (digest.finish() !== expected[index]) return false;
    }
    return true;
  }

  close(): void {
    this.#inputs.close();
    this.#outputs.close();
  }

  /** Where rows and parts lie. */
  get #buffer(): number {
    return this.kernels.heapBase + ROOM;
  }

  /** Where the error sums of the unit at hand lie. */
  get #errors(): number {
    return this.kernels.heapBase + DIGEST_ROOM + FREQUENCY_ROOM;
  }

  get #meterRooms() {
    return { state: this.#errors, room: this.#buffer + aligned(this.bufferBytes) };
  }

  #startDigest(part: number): Digest {
    return new Digest(this.kernels, this.kernels.heapBase + part * DIGEST_STATE_BYTES);
  }

  async #prepare(index: number): Promise<PreparedJob> {
    if (this.#current?.index === index) return this.#current.prepared;
    const job = this.jobs[index];
    const parts = await partsOf(job);
    const { heapBase } = this.kernels;
    const rooms = {
      frequencies: heapBase + DIGEST_ROOM,
      decoding: heapBase + DIGEST_ROOM + FREQUENCY_ROOM + ERROR_STATE_BYTES,
    };
    const filler = await openFiller(job, parts, this.kernels, this.#inputs, rooms);
    const meter =
      job.measured && filler.dtype
        ? openMeter(job, parts.scheme, filler.dtype, this.kernels, this.#meterRooms)
        : undefined;
    const prepared = { job, parts, quantum: await jobQuantum(job, parts), filler, meter };
    this.#current = { index, prepared };
    return prepared;
  }

  /** Makes the parts of some rows, `step` rows at a time, and writes them. */
  #runRows(
    { job, parts, filler, meter }: PreparedJob,
    from: number,
    count: number,
    step: number,
    digests: Digest[],
  ): void {
    const { kernels } = this;
    const input = this.#buffer;
    let next = input + aligned(Math.min(step, count) * filler.rowBytes);
    const place = (sizes: Record<string, PartSize>): Record<string, number> => {
      const addresses: Record<string, number> = {};
      for (const [part, { nbytes }] of Object.entries(sizes)) {
        addresses[part] = next;
        next += aligned(nbytes);
      }
      return addresses;
    };
    const written = place(parts.sizes(count));
    const unpacked = parts.unpacked && place(parts.unpacked(Math.min(step, count)));
    const ranges = partRanges(job, parts, from, count);
    const stepSizes = parts.sizes(step);
    let to = written;
    for (let done = 0; done < count; done += step, to = addressesAfter(to, stepSizes)) {
      const rows = Math.min(step, count - done);
      const quantized = unpacked ?? to;
      filler.fill(from + done, rows, input, quantized);
      meter?.add(from + done, rows, input, quantized);
      if (!parts.pack || !parts.unpacked) continue;
      const views = (each: Record<string, PartSize>, addresses: Record<string, number>): Packed =>
        Object.fromEntries(Object.keys(each).map((part) => [part, kernels.bytes(addresses[part], each[part].nbytes)]));
      const scaled = views(parts.unpacked(rows), quantized);
      parts.pack(scaled, rows, job.source.cols, job.scheme, views(parts.sizes(rows), to));
    }
    for (const [index, { part, file, offset, nbytes, segments, stride }] of ranges.entries()) {
      digests[index].update(written[part], nbytes);
      const segmentBytes = nbytes / segments;
      for (let segment = 0; nbytes > 0 && segment < segments; segment++) {
        const view = kernels.bytes(written[part] + segment * segmentBytes, segmentBytes);
        this.#outputs.write(file, offset + segment * stride, view);
      }
    }
  }
}

/** Where parts at `addresses` go on after rows of these sizes. */
function addressesAfter(addresses: Record<string, number>, sizes: Record<string, PartSize>): Record<string, number> {
  const after: Record<string, number> = {};
  for (const [part, { nbytes, fixed }] of Object.entries(sizes)) after[part] = addresses[part] + (fixed ? 0 : nbytes);
  return after;
}
