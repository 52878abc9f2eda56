import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileRange } from '../../src/core/checkpoint.js';
import type { Dtype } from '../../src/core/dtype.js';
import type { Job, Plan } from '../../src/core/plan.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import type { WeightSource } from '../../src/core/weights.js';
import { type ExecuteOptions, type ExecutionResult, execute } from '../../src/engine/execute.js';
import { type OutputOptions, openOutput } from '../../src/engine/output.js';
import { MANIFEST } from '../../src/formats/manifest.js';
import { find } from '../../src/registry.js';
import { resolveSource } from '../../src/sources/resolve.js';
import { randomBytes } from '../sources/stored.js';

const ours = { tool: { name: 'halfbyte' } };

/** A directory with a small checkpoint of raw tensors, a plan for it, and room for packages. */
export class Workbench {
  readonly dir = mkdtempSync(join(tmpdir(), 'halfbyte-test-'));
  readonly checkpoint = join(this.dir, 'checkpoint');
  readonly output = join(this.dir, 'package');

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Writes the package of a plan, from opening to its final name. */
  async write(
    plan: Plan,
    options: ExecuteOptions & Partial<OutputOptions> & { output?: string } = {},
  ): Promise<ExecutionResult> {
    const output = openOutput(options.output ?? this.output, { force: false, inputs: [this.checkpoint], ...options });
    try {
      const result = await execute(plan, output, { workers: 0, ...options });
      if (!result.complete) output.release();
      else {
        output.writeFile(MANIFEST, Workbench.manifest(plan, result));
        output.commit();
      }
      return result;
    } catch (error) {
      output.release();
      throw error;
    }
  }

  /** What tells that the files of a plan are ours, with their digests. */
  static manifest({ files }: Plan, { digests }: ExecutionResult): string {
    return JSON.stringify({ ...ours, files: files.map(({ name }) => ({ name })), digests });
  }

  /** Makes a directory that holds `old.txt` and a manifest of ours that lists it. */
  static writeOld(dir: string): void {
    mkdirSync(dir);
    writeFileSync(join(dir, 'old.txt'), 'old');
    writeFileSync(join(dir, MANIFEST), JSON.stringify({ ...ours, files: [{ name: 'old.txt' }] }));
  }

  /** Every file of a directory with its bytes. */
  static files(dir: string): Record<string, string> {
    const names = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    const paths = names.map((each) => join(each.parentPath ?? each.path, each.name)).sort();
    return Object.fromEntries(paths.map((path) => [path.slice(dir.length + 1), readFileSync(path).toString('base64')]));
  }
}

const INT4: QuantizationArgs = {
  scheme: 'int4',
  strategy: 'group',
  group_size: 32,
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'rtn',
};

/**
 * Tensors of several dtypes and shapes in two files; jobs of several schemes, one over every form of source. `largeRows` adds a
 * tensor of 4 KiB a row that stays float32: 1024 rows are a unit.
 */
export async function smallPlan(bench: Workbench, rows = 60, cols = 64, largeRows = 0): Promise<Plan> {
  mkdirSync(bench.checkpoint, { recursive: true });
  const f32 = (await find('schemes', 'f32'))!.defaults;
  const tensors = new Map<string, ReturnType<typeof tensorOf>>();
  const tensorOf = (name: string, dtype: Dtype, shape: number[], file: string, offset: number, nbytes: number) => {
    const [r, c] = shape.length === 1 ? [1, shape[0]] : shape;
    const ref = { name, dtype, shape, file: join(bench.checkpoint, file), offset, nbytes };
    return { name, shape, source: { kind: 'tensor' as const, ref, rows: r, cols: c } };
  };
  const files = { 'first.bin': Buffer.alloc(16), 'second.bin': Buffer.alloc(48) };
  const add = (name: string, file: keyof typeof files, dtype: Dtype, shape: number[]) => {
    const count = shape.reduce((product, each) => product * each, 1);
    const bytes = randomBytes(dtype, count, tensors.size + 7);
    tensors.set(name, tensorOf(name, dtype, shape, file, files[file].length, bytes.length));
    files[file] = Buffer.concat([files[file], bytes]);
  };
  add('embed', 'first.bin', 'BF16', [rows, cols]);
  add('gate', 'second.bin', 'BF16', [rows, cols]);
  add('up', 'first.bin', 'BF16', [rows, cols]);
  add('norm', 'second.bin', 'F16', [cols]);
  add('tall', 'second.bin', 'F32', [cols, rows]);
  if (largeRows > 0) add('large', 'first.bin', 'F32', [largeRows, 1024]);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(bench.checkpoint, name), bytes);
  writeFileSync(join(bench.checkpoint, 'tokenizer.json'), '{"small": true}');

  const jobs: Job[] = [];
  const sizes = new Map<string, number>();
  const addJob = async (name: string, source: WeightSource, scheme: QuantizationArgs, file: string) => {
    const resolved = resolveSource(source, (each) => tensors.get(each));
    const outputs: Record<string, FileRange> = {};
    const parts = (await find('schemes', scheme.scheme))!.layout(resolved.rows, resolved.cols, scheme);
    for (const [part, { nbytes }] of Object.entries(parts)) {
      const offset = Math.ceil((sizes.get(file) ?? 0) / 64) * 64;
      outputs[part] = { file, offset, nbytes };
      sizes.set(file, offset + nbytes);
    }
    jobs.push({ name, source: resolved, scheme, outputs });
  };
  const rotary = { inverse_frequencies: [1, 0.3], attention_factor: 1, positions: 40, part: 'sin' as const };
  await addJob('gate', 'gate', INT4, 'model.onnx.data');
  await addJob('experts', { interleaveRows: ['gate', 'up'] }, { ...INT4, symmetric: false }, 'model.onnx.data');
  await addJob('embed', { concat: ['embed', { rows: 'up', from: 3, to: 20 }] }, INT4, 'model.onnx.data');
  await addJob('norm', { plus: 'norm', constant: 1 }, f32, 'model.onnx.data');
  await addJob('turned', { transpose: 'tall' }, { ...INT4, scale_dtype: 'F16' }, 'ends.data');
  if (largeRows > 0) await addJob('large', 'large', f32, 'ends.data');
  await addJob('sin', { rotary }, f32, 'ends.data');
  return {
    options: {} as Plan['options'],
    checkpoint: {
      dir: bench.checkpoint,
      files: Object.entries(files).map(([name, bytes]) => ({ name, size: bytes.length, headerSha256: name })),
      config: {},
    },
    graphs: [],
    files: [...sizes].map(([name, nbytes]) => ({ name, nbytes })),
    jobs,
    texts: [],
    unreadConfigKeys: [],
    copies: ['tokenizer.json'],
    totals: { parameters: 0, weightBytes: 0, sourceBytes: 0, bitsPerWeight: 0 },
  };
}

/** Copies an input file over itself so that its time of change is another. */
export function replaceInput(bench: Workbench, name: string): void {
  const path = join(bench.checkpoint, name);
  copyFileSync(path, `${path}.copy`);
  rmSync(path);
  copyFileSync(`${path}.copy`, path);
  rmSync(`${path}.copy`);
}
