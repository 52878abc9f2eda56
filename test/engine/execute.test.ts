import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EnvironmentError, InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { Plan } from '../../src/core/plan.js';
import { xxh64 } from '../../src/core/xxh64.js';
import { collect } from '../../src/engine/execute.js';
import { BEST_BUFFER, parseSize, planMemory } from '../../src/engine/memory.js';
import { openOutput, temporaryName } from '../../src/engine/output.js';
import { parseShard, unitsOfShard } from '../../src/engine/shard.js';
import { find } from '../../src/registry.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { openRows } from '../../src/sources/read.js';
import { smallPlan, Workbench } from './small-plan.js';

const MIB = 2 ** 20;

test('the bytes are what the schemes make of the sources, and the digests are those of the bytes', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  const { digests } = await bench.write(plan);
  const files = new InputFiles();
  for (const job of plan.jobs) {
    const { rows, cols } = job.source;
    const scheme = (await find('schemes', job.scheme.scheme))!;
    const values = new Float32Array(rows * cols);
    (await openRows(job.source, files)).readFloat32(0, rows, values);
    const parts = Object.entries(scheme.layout(rows, cols, job.scheme));
    const expected = Object.fromEntries(parts.map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
    scheme.quantize(values, cols, job.scheme, expected);
    for (const [part, { file, offset, nbytes }] of Object.entries(job.outputs)) {
      const written = readFileSync(join(bench.output, file)).subarray(offset, offset + nbytes);
      assert.ok(written.equals(expected[part]), `${job.name} ${part}`);
    }
  }
  files.close();
  for (const { name, nbytes } of plan.files) {
    const bytes = readFileSync(join(bench.output, name));
    assert.is(bytes.length, nbytes);
    let end = 0;
    for (const chunk of digests.files[name]) {
      assert.ok(chunk.offset >= end, 'in order');
      assert.ok(
        bytes.subarray(end, chunk.offset).every((byte) => byte === 0),
        'zeros between parts',
      );
      end = chunk.offset + chunk.nbytes;
      assert.is(chunk.digest, xxh64(bytes.subarray(chunk.offset, end)).toString(16).padStart(16, '0'));
    }
    assert.is(end, nbytes);
  }
  bench.close();
});

test('workers, memory and shards change no byte', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench, 700, 256, 2500);
  const paths: string[] = [];
  const output = (name: string) => {
    paths.push(join(bench.dir, name));
    return paths[paths.length - 1];
  };
  const { digests } = await bench.write(plan, { output: output('inline') });
  assert.ok(digests.files['ends.data'].length > 4, 'a job of several units');
  await bench.write(plan, { output: output('one'), workers: 1 });
  await bench.write(plan, { output: output('three'), workers: 3 });
  const memory = () => process.memoryUsage.rss() + 24 * MIB;
  await bench.write(plan, { output: output('little memory'), maxMemory: memory() });
  for (const count of [1, 2, 3]) {
    const path = output(`shards-${count}`);
    for (let index = count; index >= 1; index--) {
      const { complete } = await bench.write(plan, { output: path, shard: { index, count } });
      assert.not(complete);
    }
    await merge(path);
  }
  const [first, ...others] = paths.map((path) => Workbench.files(path));
  assert.equal(Object.keys(first), ['ends.data', 'halfbyte.json', 'model.onnx.data']);
  for (const [i, files] of others.entries()) {
    delete files['tokenizer.json'];
    for (const name of Object.keys(first)) assert.ok(files[name] === first[name], `${paths[i + 1]}: ${name}`);
  }
  bench.close();
});

/** What `merge` does, without graphs. */
async function merge(path: string): Promise<void> {
  const output = openOutput(path, { force: false, inputs: [], merge: true });
  try {
    const { plan, identity } = output.readPlan()!;
    const result = await collect(plan, identity, output, { workers: 0 });
    output.writeFile('halfbyte.json', Workbench.manifest(plan as Plan, result));
    output.commit();
  } finally {
    output.release();
  }
}

async function failureOf(work: () => Promise<unknown>): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it went well');
}

test('merge tells what is missing and what is damaged, and the shard that runs again repairs it', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  const shard = (index: number) => bench.write(plan, { shard: { index, count: 3 } });
  assert.match((await failureOf(() => merge(bench.output))).message, /no parts to merge/);
  await shard(1);
  await shard(3);
  const missing = await failureOf(() => merge(bench.output));
  assert.instance(missing, InvalidInputError);
  assert.match(missing.message, /\d of \d parts of the work are missing: of shard [\d/, ]+; the first of weight "/);
  await shard(2);
  const data = join(temporaryName(bench.output), 'package', 'ends.data');
  const bytes = readFileSync(data);
  const whole = Buffer.from(bytes);
  bytes[3] ^= 8;
  writeFileSync(data, bytes);
  const damaged = await failureOf(() => merge(bench.output));
  assert.instance(damaged, InvalidInputError);
  assert.match(damaged.message, /weight "turned" are not what the shard that wrote them noted/);
  for (const index of [1, 2, 3]) await shard(index);
  await merge(bench.output);
  assert.ok(readFileSync(join(bench.output, 'ends.data')).equals(whole));
  assert.ok(existsSync(join(bench.output, 'tokenizer.json')), 'shards bring the small files');
  bench.close();
});

test('shards of different work are refused', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  await bench.write(plan, { shard: { index: 1, count: 2 } });
  const error = await failureOf(() => bench.write(plan, { shard: { index: 2, count: 2 }, settings: { sha256: true } }));
  assert.instance(error, UsageError);
  assert.match(error.message, /holds parts of another conversion/);
  await bench.write(plan, { shard: { index: 2, count: 2 } });
  await merge(bench.output);
  bench.close();
});

test('two processes do not write the same package', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  const first = openOutput(bench.output, { force: false, inputs: [] });
  for (const options of [{}, { shard: { index: 1, count: 2 } }, { merge: true }]) {
    const error = await failureOf(() => bench.write(plan, options));
    assert.instance(error, EnvironmentError);
    assert.match(error.message, /being written/);
  }
  first.release();
  assert.not(existsSync(temporaryName(bench.output)));
  // The lock of a process that is gone does not count; that of one that lives does.
  const lock = (pid: number, host: string) => {
    const output = openOutput(bench.output, { force: false, inputs: [] });
    output.begin('work', () => {});
    output.release();
    writeFileSync(join(temporaryName(bench.output), 'lock-whole'), JSON.stringify({ pid, host, token: 'other' }));
  };
  lock(process.ppid, hostname());
  assert.match((await failureOf(() => bench.write(plan))).message, /being written by process/);
  writeFileSync(join(temporaryName(bench.output), 'lock-whole'), '{"pid": 1, "host": "elsewhere", "token": "x"}');
  assert.match((await failureOf(() => bench.write(plan))).message, /being written by process 1 on elsewhere/);
  const then = new Date(Date.now() - 120_000);
  utimesSync(join(temporaryName(bench.output), 'lock-whole'), then, then);
  await bench.write(plan);
  bench.close();
});

test('names that lead out of a package are refused', () => {
  const bench = new Workbench();
  const output = openOutput(bench.output, { force: false, inputs: [] });
  for (const name of ['../a', '/a', 'a/../../b', '']) {
    assert.throws(
      () => output.writeFile(name, ''),
      (error: Error) => error instanceof InvalidInputError,
    );
  }
  output.writeFile('graphs/decoder.onnx', 'x');
  assert.ok(existsSync(join(output.dir, 'graphs', 'decoder.onnx')));
  output.release();
  bench.close();
});

test('a ceiling of memory is shared out, and refused with the smallest figure that works', () => {
  const needs = { largestRow: MIB, scratch: 0 };
  assert.equal(planMemory(2, undefined, 60 * MIB, needs), { workers: 2, bufferBytes: BEST_BUFFER });
  assert.equal(planMemory(2, undefined, 60 * MIB, { largestRow: 9 * MIB, scratch: 0 }).bufferBytes, 9 * MIB);
  assert.is(planMemory(8, 130 * MIB, 60 * MIB, needs).workers, 3);
  for (let ceiling = 60 * MIB; ; ceiling += MIB) {
    let dealt: ReturnType<typeof planMemory>;
    try {
      dealt = planMemory(4, ceiling, 60 * MIB, needs);
    } catch (error) {
      assert.instance(error, UsageError);
      assert.match((error as UsageError).report, /Try this: --max-memory 80MiB\./);
      continue;
    }
    assert.is(ceiling, 77 * MIB);
    assert.equal(dealt, { workers: 0, bufferBytes: MIB });
    break;
  }
});

test('sizes', () => {
  assert.is(parseSize('200MiB'), 200 * MIB);
  assert.is(parseSize('1.5 GB'), 1.5e9);
  assert.is(parseSize('300m'), 300e6);
  assert.is(parseSize('5000000'), 5e6);
  for (const text of ['', 'much', '-1MB', '0', '12 XB', '1e9', '5iB']) {
    assert.throws(
      () => parseSize(text),
      (error: Error) => error instanceof UsageError,
      text,
    );
  }
});

test('shards cover all units once, in runs of about the same bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      (bytes, count) => {
        const shards = Array.from({ length: count }, (_, i) => unitsOfShard(bytes, { index: i + 1, count }));
        assert.equal(
          shards.flat(),
          bytes.map((_, i) => i),
        );
        const total = bytes.reduce((sum, each) => sum + each, 0);
        for (const units of shards) {
          const size = units.reduce((sum, unit) => sum + bytes[unit], 0);
          assert.ok(size <= total / count + 1000, `${size} of ${total}`);
        }
      },
    ),
  );
});

test('--shard from the command line and from the environment', () => {
  assert.equal(parseShard('2/5'), { index: 2, count: 5 });
  const slurm = { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_MIN: '4', SLURM_ARRAY_TASK_COUNT: '8' };
  assert.equal(parseShard('auto', slurm), { index: 4, count: 8 });
  assert.equal(parseShard('auto', { JOB_COMPLETION_INDEX: '0', JOB_COMPLETIONS: '3' }), { index: 1, count: 3 });
  const refused: [string, NodeJS.ProcessEnv, RegExp][] = [
    ['0/5', {}, /needed is i\/n/],
    ['6/5', {}, /needed is i\/n/],
    ['half', {}, /needed is i\/n/],
    ['auto', {}, /neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX/],
    ['auto', { JOB_COMPLETION_INDEX: '1' }, /JOB_COMPLETION_INDEX=1 JOB_COMPLETIONS=,/],
    ['auto', { ...slurm, SLURM_ARRAY_TASK_COUNT: '2' }, /names no part/],
  ];
  for (const [text, environment, message] of refused) {
    assert.throws(
      () => parseShard(text, environment),
      (error: Error) => error instanceof UsageError && message.test(error.message),
    );
  }
});

test.run();
