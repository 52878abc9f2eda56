import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cosineOf, type ErrorSums, sqnrOf } from '../../src/core/error-sums.js';
import type { Plan } from '../../src/core/plan.js';
import type { Packed } from '../../src/core/scheme.js';
import { collect } from '../../src/engine/execute.js';
import { openOutput } from '../../src/engine/output.js';
import { ErrorSums as PlainSums } from '../../src/metrics/math/error-sums.js';
import { find } from '../../src/registry.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { openRows } from '../../src/sources/read.js';
import { Killed, KillingDisk } from './failing-disk.js';
import { smallPlan, Workbench } from './small-plan.js';

/** A plan whose integer weights are measured, with a tensor of several units among them. */
async function measuredPlan(bench: Workbench, rows = 60, cols = 64, largeRows = 0): Promise<Plan> {
  const plan = await smallPlan(bench, rows, cols, largeRows);
  const bf16 = (await find('schemes', 'bf16'))!.defaults;
  const jobs = plan.jobs.map((job) => {
    if (job.name === 'large') {
      const { codes } = job.outputs;
      return { ...job, scheme: bf16, outputs: { codes: { ...codes, nbytes: codes.nbytes / 2 } }, measured: true };
    }
    return job.scheme.scheme === 'int4' ? { ...job, measured: true } : job;
  });
  return { ...plan, jobs };
}

test('the sums are those of the weights and of what the written bytes stand for', async () => {
  const bench = new Workbench();
  const plan = await measuredPlan(bench, 60, 64, 300);
  const { errors } = await bench.write(plan);
  const files = new InputFiles();
  for (const [index, { name, source, scheme: args, outputs, measured }] of plan.jobs.entries()) {
    const sums = errors.get(index);
    assert.is(sums !== undefined, measured === true, name);
    if (!sums) continue;
    const scheme = (await find('schemes', args.scheme))!;
    const [values, after] = [0, 1].map(() => new Float32Array(source.rows * source.cols));
    (await openRows(source, files)).readFloat32(0, source.rows, values);
    const packed: Packed = {};
    for (const [part, { file, offset, nbytes }] of Object.entries(outputs)) {
      packed[part] = readFileSync(join(bench.output, file)).subarray(offset, offset + nbytes);
    }
    scheme.dequantize(packed, source.rows, source.cols, args, after);
    const plain = new PlainSums().add(values, after);
    assert.ok(Math.abs(sqnrOf(sums) - plain.sqnrDb) < 1e-5, `${name}: ${sqnrOf(sums)} for ${plain.sqnrDb}`);
    assert.ok(Math.abs(cosineOf(sums) - plain.cosine) < 1e-8, name);
    assert.ok(Math.abs(sums.greatest / plain.greatest - 1) < 1e-6, name);
    assert.is(sums.zeroed, values.filter((x, i) => x !== 0 && after[i] === 0).length, name);
    const outliers = values.filter((x, i) => {
      const start = i - (i % source.cols);
      const row = values.subarray(start, start + source.cols);
      const rms = Math.sqrt(row.reduce((sum, each) => sum + each * each, 0) / source.cols);
      return Math.abs(x) > 6 * rms;
    });
    assert.is(sums.outliers, outliers.length, name);
    const sampled = sums.before.reduce((a, b) => a + b);
    assert.is(
      sums.after.reduce((a, b) => a + b),
      sampled,
    );
    assert.ok(sampled > 0 && sampled <= source.rows * source.cols, name);
  }
  files.close();
  bench.close();
});

test('workers, memory and shards change no bit of the sums', async () => {
  const bench = new Workbench();
  const plan = await measuredPlan(bench, 300, 128, 2500);
  const path = (name: string) => join(bench.dir, name);
  const first = await bench.write(plan, { output: path('inline') });
  const units = first.digests.files['ends.data'].length;
  assert.ok(units > 3, `a job of several units: ${units}`);
  const threads = await bench.write(plan, { output: path('threads'), workers: 2 });
  const maxMemory = process.memoryUsage.rss() + 24 * 2 ** 20;
  const little = await bench.write(plan, { output: path('little memory'), maxMemory });
  for (const index of [2, 1, 3]) await bench.write(plan, { output: path('shards'), shard: { index, count: 3 } });
  const output = openOutput(path('shards'), { force: false, inputs: [], merge: true });
  const { plan: stored, identity } = output.readPlan()!;
  const merged = await collect(stored, identity, output, { workers: 0 });
  output.release();
  for (const { errors } of [threads, little, merged]) assert.equal(listed(errors), listed(first.errors));
  bench.close();
});

test('killed at any call that changes the disk, the same command ends with the same sums', async () => {
  const bench = new Workbench();
  const plan = await measuredPlan(bench);
  const whole = new KillingDisk(Number.POSITIVE_INFINITY);
  const { errors } = await bench.write(plan, { output: join(bench.dir, 'undisturbed'), fs: whole.fs });
  let kept = 0;
  for (let killAt = 4; killAt <= whole.calls - 4; killAt += 3) {
    const output = join(bench.dir, `killed-${killAt}`);
    try {
      await bench.write(plan, { output, fs: new KillingDisk(killAt).fs });
      assert.unreachable('was not killed');
    } catch (error) {
      assert.instance(error, Killed);
    }
    const result = await bench.write(plan, { output });
    kept += result.keptBytes;
    assert.equal(listed(result.errors), listed(errors), `killed at call ${killAt}`);
  }
  assert.ok(kept > 0, 'finished work was kept');
  bench.close();
});

const listed = (errors: ReadonlyMap<number, ErrorSums>) => [...errors].sort(([a], [b]) => a - b);

test.run();
