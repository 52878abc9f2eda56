import { join } from 'node:path';
import type { Plan, QuantizePlan } from '../core/plan.js';
import type { ProgressListener } from '../core/progress.js';
import { VERSION } from '../core/version.js';
import { digestOfBytes, digestOfFile } from '../engine/digest.js';
import { type ExecutionResult, execute } from '../engine/execute.js';
import { parseSize } from '../engine/memory.js';
import { type Output, openOutput, temporaryName } from '../engine/output.js';
import { parseShard } from '../engine/shard.js';
import type { Threads } from '../engine/threads.js';
import { sha256OfFile, sizeOfFile } from '../formats/file-digest.js';
import { MANIFEST, type Manifest, manifest } from '../formats/manifest.js';
import { bytesInPlace, checkFreeSpace } from '../places/writable.js';
import { errorsByName, type MeasuredErrors } from './quantize-report.js';

/** How a plan is executed; nothing here changes a byte of the package, but for the SHA-256 sums in its manifest. */
export interface WriteSettings {
  force?: boolean | undefined;
  workers?: number | undefined;
  /** As `200MiB`. */
  maxMemory?: string | undefined;
  /** As `1/4`. */
  shard?: string | undefined;
  sha256?: boolean | undefined;
  /** Worker threads that were started while the plan was made. */
  threads?: Threads | undefined;
  /** Looks at what rounding took before the package gets its name; false refuses it and keeps the finished work. */
  accepts?(errors: MeasuredErrors): boolean;
}

export interface Written {
  /** False where this was one of several shards, which `merge` finishes, and where the package was refused. */
  complete: boolean;
  errors: MeasuredErrors;
  /** Bytes of all files of the package; of a shard's package, of its data files. */
  packageBytes: number;
}

/**
 * Throws EnvironmentError where the disk has no room for what a plan writes, or for a shard's part of it. What an
 * interrupted run has left counts as written.
 */
export function checkSpace(plan: Plan | QuantizePlan, directory: string, shard?: string): void {
  const { count } = shard === undefined ? { count: 1 } : parseShard(shard);
  const folder = join(temporaryName(directory), 'package');
  const texts = plan.texts.reduce((sum, { content }) => sum + content.length, 0);
  const copies = plan.copies.reduce((sum, name) => sum + sizeOfFile(join(plan.checkpoint.dir, name)), 0);
  const data = plan.files.reduce((sum, { nbytes }) => sum + nbytes, 0);
  const missing = Math.ceil((data - bytesInPlace(folder, plan.files)) / count);
  checkFreeSpace(folder, missing + texts + copies, `-o ${directory}`);
}

/** Executes a plan into a directory that gets its name when everything is in it. */
export async function writePackage(
  plan: Plan | QuantizePlan,
  directory: string,
  settings: WriteSettings,
  onProgress: ProgressListener,
  signal: AbortSignal,
  onNote: (text: string) => void = () => {},
): Promise<Written> {
  const shard = settings.shard === undefined ? undefined : parseShard(settings.shard);
  const maxMemory = settings.maxMemory === undefined ? undefined : parseSize(settings.maxMemory);
  const inputs = [plan.checkpoint.dir];
  const output = openOutput(directory, { force: settings.force ?? false, inputs, shard });
  try {
    const sha256 = settings.sha256 ?? false;
    const { workers, threads } = settings;
    // Made while the threads work; a failure shows where they are awaited. A shard leaves them to `merge`.
    const models = shard ? undefined : encodedModels(plan);
    models?.catch(() => {});
    const options = { workers, threads, maxMemory, shard, settings: { sha256 }, signal, onProgress, onNote };
    const result = await execute(plan, output, options);
    const { errors } = result;
    if (!models || settings.accepts?.(errors) === false) {
      output.release();
      return { complete: false, errors, packageBytes: plan.files.reduce((sum, file) => sum + file.nbytes, 0) };
    }
    const packageBytes = await finish(plan, await models, result, output, sha256);
    output.commit();
    return { complete: true, errors, packageBytes };
  } catch (error) {
    output.release();
    throw error;
  }
}

/** A package's graphs by file, as ONNX models: `finish` writes them. None for a checkpoint. */
export async function encodedModels(plan: Plan | QuantizePlan): Promise<ReadonlyMap<string, Uint8Array>> {
  if (!('graphs' in plan)) return new Map();
  const { encodeModel } = await import('../formats/onnx.js');
  return new Map(plan.graphs.map(({ file, graph, external }) => [file, encodeModel(graph, external, VERSION, file)]));
}

/** Writes what is not weights: headers, graphs, configs, tokenizer files and, last, the manifest. Returns all bytes. */
export async function finish(
  plan: Plan | QuantizePlan,
  models: ReadonlyMap<string, Uint8Array>,
  result: ExecutionResult,
  output: Output,
  sha256: boolean,
): Promise<number> {
  for (const [file, bytes] of models) output.writeFile(file, bytes);
  for (const { name, content } of plan.texts) output.writeFile(name, content);
  for (const name of plan.copies) output.copyFile(name, join(plan.checkpoint.dir, name));
  const inlays = (plan.inlays ?? []).map(({ base64, ...place }) => ({
    ...place,
    bytes: Buffer.from(base64, 'base64'),
  }));
  for (const { file, offset, bytes } of inlays) output.writeAt(file, offset, bytes);

  const small = [...models.keys(), ...plan.texts.map(({ name }) => name), ...plan.copies];
  const files: Manifest['files'] = [];
  for (const { name, nbytes } of plan.files) {
    const whole = sha256 ? { sha256: await sha256OfFile(output.file(name)) } : {};
    const own = inlays.filter(({ file }) => file === name);
    const placed = own.map(({ offset, bytes }) => ({ offset, nbytes: bytes.length, digest: digestOfBytes(bytes) }));
    const chunks = [...placed, ...result.digests.files[name]].sort((a, b) => a.offset - b.offset);
    files.push({ name, size: nbytes, ...whole, chunks });
  }
  for (const name of small) {
    const path = output.file(name);
    const size = sizeOfFile(path);
    const whole = sha256 ? { sha256: await sha256OfFile(path) } : {};
    files.push({ name, size, ...whole, chunks: [{ offset: 0, nbytes: size, digest: await digestOfFile(path) }] });
  }
  const sums = new Map<string, string>();
  if (sha256) {
    for (const { name } of plan.checkpoint.files) sums.set(name, await sha256OfFile(join(plan.checkpoint.dir, name)));
  }
  const described = manifest(
    plan,
    VERSION,
    result.digests.algorithm,
    files,
    sums,
    errorsByName(plan.jobs, result.errors),
  );
  const content = `${JSON.stringify(described, null, 1)}\n`;
  output.writeFile(MANIFEST, content);
  return files.reduce((sum, { size }) => sum + size, Buffer.byteLength(content));
}
