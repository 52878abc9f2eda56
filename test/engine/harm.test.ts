import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EnvironmentError, HalfbyteError, InvalidInputError, UsageError } from '../../src/core/errors.js';
import { collect } from '../../src/engine/execute.js';
import { takeLock } from '../../src/engine/lock.js';
import { openOutput, temporaryName } from '../../src/engine/output.js';
import { type FileSystem, realFileSystem } from '../../src/sources/file-system.js';
import { KillingDisk } from './failing-disk.js';
import { smallPlan, Workbench } from './small-plan.js';

async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it went well');
}

const interrupted = (bench: Workbench, plan: Awaited<ReturnType<typeof smallPlan>>) =>
  failureOf(bench.write(plan, { fs: new KillingDisk(28).fs }));

/** Whether something stands in place of a file of an interrupted run: nobody else's file is written to. */
for (const kind of ['link', 'hard link', 'pipe'] as const) {
  for (const name of ['package/model.onnx.data', 'journal-whole', 'package', 'plan.json']) {
    if ((kind !== 'link' && name === 'package') || (kind === 'pipe' && process.platform === 'win32')) continue;
    test(`a ${kind} in place of ${name} of an interrupted run is refused, and what it means stays as it is`, async () => {
      const bench = new Workbench();
      const plan = await smallPlan(bench);
      await interrupted(bench, plan);
      const state = temporaryName(bench.output);
      const precious = join(bench.dir, 'precious');
      mkdirSync(precious);
      const file = join(precious, 'model.onnx.data');
      writeFileSync(file, 'years of work');
      const path = join(state, name);
      rmSync(path, { recursive: true, force: true });
      if (kind === 'link') symlinkSync(name === 'package' ? precious : file, path);
      else if (kind === 'hard link') linkSync(file, path);
      else await once(spawn('mkfifo', [path]), 'exit');
      const error = await failureOf(bench.write(plan));
      assert.instance(error, InvalidInputError);
      assert.ok(error.message.includes(path), error.message);
      assert.is(readFileSync(file, 'utf8'), 'years of work');
      assert.equal(readdirSync(precious), ['model.onnx.data']);
      // As the message says; a journal that is gone leaves files that nothing says whose they are.
      rmSync(name.startsWith('journal') ? state : path, { recursive: true, force: true });
      await bench.write(plan);
      bench.close();
    });
  }
}

test('what no run leaves in the directory of an interrupted run is named, and stays', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  const state = temporaryName(bench.output);
  for (const name of ['thesis.txt', 'package/thesis.txt', 'replaced/thesis.txt', 'notes/thesis.txt']) {
    const path = join(state, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, 'years of work');
    const error = await failureOf(bench.write(plan));
    assert.instance(error, InvalidInputError, name);
    assert.ok(error.message.startsWith(join(state, name.split('/')[0] ?? '')), error.message);
    assert.is(readFileSync(path, 'utf8'), 'years of work');
    rmSync(state, { recursive: true });
  }
  await interrupted(bench, plan);
  writeFileSync(join(state, 'thesis.txt'), 'years of work');
  assert.instance(await failureOf(bench.write(plan)), InvalidInputError);
  rmSync(join(state, 'thesis.txt'));
  await bench.write(plan);
  bench.close();
});

test('a package that a killed run put aside stays when something else has got its name', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  await bench.write(plan);
  const old = Workbench.files(bench.output);
  const state = temporaryName(bench.output);
  // Killed between the two renames of a replacement.
  await failureOf(bench.write(plan, { force: true, fs: new KillingDisk(28).fs }));
  const aside = join(state, 'replaced');
  renameSync(bench.output, aside);
  mkdirSync(bench.output);
  const error = await failureOf(bench.write(plan, { force: true }));
  assert.instance(error, UsageError);
  assert.match(error.message, /has come while the package that stood there before is in .*replaced/);
  assert.equal(Workbench.files(aside), old);
  rmSync(bench.output, { recursive: true });
  await bench.write(plan, { force: true });
  assert.equal(readdirSync(bench.dir).sort(), ['checkpoint', 'package']);
  bench.close();
});

test('a link that comes while a run goes on is not written through', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  const file = join(bench.dir, 'precious');
  writeFileSync(file, 'years of work');
  const data = join(temporaryName(bench.output), 'package', 'model.onnx.data');
  let isSwapped = false;
  const fs: FileSystem = {
    ...realFileSystem,
    openSync: ((path: string, ...rest: [number, number]) => {
      // the first opening makes the file, the second writes into it
      if (String(path) === data && existsSync(data) && !isSwapped) {
        isSwapped = true;
        rmSync(data);
        symlinkSync(file, data);
      }
      return realFileSystem.openSync(path, ...rest);
    }) as FileSystem['openSync'],
  };
  const error = await failureOf(bench.write(plan, { fs }));
  assert.ok(isSwapped);
  assert.instance(error, InvalidInputError);
  assert.match(error.message, /a link stands in place of a file of this run/);
  assert.is(readFileSync(file, 'utf8'), 'years of work');
  bench.close();
});

async function shards(bench: Workbench) {
  const plan = await smallPlan(bench);
  for (const index of [1, 2]) await bench.write(plan, { shard: { index, count: 2 } });
  return plan;
}

async function merge(bench: Workbench): Promise<void> {
  const output = openOutput(bench.output, { force: false, inputs: [], merge: true });
  try {
    const { plan, identity } = output.readPlan()!;
    await collect(plan, identity, output, { workers: 0 });
    output.commit();
  } finally {
    output.release();
  }
}

test('merge refuses data files that grew, that were cut and that are gone', async () => {
  const bench = new Workbench();
  await shards(bench);
  const data = join(temporaryName(bench.output), 'package', 'ends.data');
  const whole = readFileSync(data);
  appendFileSync(data, 'more');
  assert.match((await failureOf(merge(bench))).message, /ends\.data: has \d+ bytes; \d+ were written/);
  writeFileSync(data, whole.subarray(1));
  assert.match((await failureOf(merge(bench))).message, /ends\.data: has \d+ bytes; \d+ were written/);
  rmSync(data);
  assert.instance(await failureOf(merge(bench)), EnvironmentError);
  writeFileSync(data, whole);
  await merge(bench);
  bench.close();
});

test('merge says that a plan is damaged: cut, doubled, or with another number', async () => {
  const bench = new Workbench();
  await shards(bench);
  const path = join(temporaryName(bench.output), 'plan.json');
  const whole = readFileSync(path, 'utf8');
  for (const text of [
    whole.slice(0, whole.length / 2),
    whole + whole,
    'null',
    '{}',
    whole.replace(/"nbytes":\d/, '"nbytes":9'),
    '['.repeat(100_000),
  ]) {
    writeFileSync(path, text);
    const error = await failureOf(merge(bench));
    assert.instance(error, InvalidInputError, text.slice(0, 40));
    assert.match(error.message, /plan\.json: is not the plan that a shard leaves/);
  }
  writeFileSync(path, whole);
  await merge(bench);
  bench.close();
});

test('lines of a journal that are no units, and locks that hold something else', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  await interrupted(bench, plan);
  const state = temporaryName(bench.output);
  appendFileSync(
    join(state, 'journal-whole'),
    'null\n{"unit":0,"digests":[null]}\n{"unit":1e99}\n{"unit":1,"digests":{}}\n[]\n',
  );
  for (const text of ['null', '[]', '{"pid":"1"}', '{"pid":-1,"host":"x","token":"y"}', '', 'x'.repeat(1e6)]) {
    writeFileSync(join(state, 'lock-whole'), text);
    takeLock(join(state, 'lock-whole'), 'x', realFileSystem)();
  }
  await bench.write(plan);
  bench.close();
});

test('a data file that is removed while a run goes on is missed at the end', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  let isGone = false;
  const onProgress = ({ done, total }: { done: number; total: number }) => {
    if (isGone || done < total) return;
    isGone = true;
    rmSync(join(temporaryName(bench.output), 'package', 'model.onnx.data'));
  };
  const error = await failureOf(bench.write(plan, { onProgress }));
  assert.instance(error, EnvironmentError);
  assert.match(error.message, /model\.onnx\.data: another process removed this file/);
  assert.not.ok(existsSync(bench.output));
  await bench.write(plan);
  assert.ok(statSync(join(bench.output, 'model.onnx.data')).size > 0);
  bench.close();
});

test('a directory that comes into the place of the output is not replaced, and finished work stays', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  const onProgress = () => {
    mkdirSync(bench.output, { recursive: true });
    writeFileSync(join(bench.output, 'thesis'), 'years of work');
  };
  const error = await failureOf(bench.write(plan, { onProgress }));
  assert.instance(error, HalfbyteError);
  assert.is(readFileSync(join(bench.output, 'thesis'), 'utf8'), 'years of work');
  renameSync(bench.output, join(bench.dir, 'elsewhere'));
  assert.ok((await bench.write(plan)).keptBytes > 0);
  bench.close();
});

test('an input that is overwritten in place while it is read is an error, with shards too', async () => {
  for (const shard of [undefined, { index: 1, count: 1 }]) {
    const bench = new Workbench();
    const plan = await smallPlan(bench);
    const path = join(bench.checkpoint, 'second.bin');
    const onProgress = () => {
      writeFileSync(path, readFileSync(path));
      utimesSync(path, new Date(2e12), new Date(2e12));
    };
    const error = await failureOf(bench.write(plan, { shard, onProgress }));
    assert.instance(error, InvalidInputError);
    assert.match(error.message, /second\.bin: was written to while it was read/);
    assert.not.ok(existsSync(bench.output));
    if (shard) assert.match((await failureOf(merge(bench))).message, /are missing|no parts/);
    bench.close();
  }
});

test('two that replace one output at once: each ends well or says that the other writes, and one is there, whole', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  await bench.write(plan);
  const whole = Workbench.files(bench.output);
  // Every call of the first that changes the disk gives the second a chance to begin, and to end, right there.
  const count = new KillingDisk(Number.POSITIVE_INFINITY);
  await bench.write(plan, { force: true, fs: count.fs });
  for (let at = 1; at <= count.calls; at++) {
    let calls = 0;
    let second: Promise<Error | undefined> | undefined;
    const fs = { ...realFileSystem } as Record<string, unknown>;
    for (const name of [
      'writeSync',
      'ftruncateSync',
      'mkdirSync',
      'writeFileSync',
      'renameSync',
      'rmSync',
      'rmdirSync',
    ] as const) {
      const real = realFileSystem[name] as (...args: unknown[]) => unknown;
      fs[name] = (...args: unknown[]) => {
        if (++calls === at)
          second = bench.write(plan, { force: true }).then(
            () => undefined,
            (error) => error,
          );
        return real(...args);
      };
    }
    const first = await bench.write(plan, { force: true, fs: fs as unknown as FileSystem }).then(
      () => undefined,
      (error) => error,
    );
    for (const error of [first, await second])
      assert.ok(!error || error instanceof EnvironmentError, `${at}: ${error}`);
    assert.ok(!first || !(await second), `at call ${at} one of the two ends well`);
    assert.ok(JSON.stringify(Workbench.files(bench.output)) === JSON.stringify(whole), `at call ${at}`);
  }
  assert.equal(readdirSync(bench.dir).sort(), ['checkpoint', 'package']);
  bench.close();
});

test('a mount point is filled: nothing beside it is written, and a kill in between is made good', async () => {
  const bench = new Workbench();
  const plan = await smallPlan(bench);
  await bench.write(plan, { output: join(bench.dir, 'undisturbed') });
  const whole = Workbench.files(join(bench.dir, 'undisturbed'));
  /** The output is another disk, as docker run -v makes it: neither it nor files can be renamed over its border. */
  const mounted = (output: string, base: FileSystem): FileSystem => ({
    ...base,
    statSync: ((path: string, options: object) => {
      const found = realFileSystem.statSync(path, options as { throwIfNoEntry: false });
      return found && String(path) === output ? Object.assign(found, { dev: found.dev + 1 }) : found;
    }) as FileSystem['statSync'],
    rmdirSync: ((path: string) => {
      if (String(path) === output) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY', syscall: 'rmdir' });
      realFileSystem.rmdirSync(path);
    }) as FileSystem['rmdirSync'],
    renameSync: ((from: string, to: string) => {
      if (from.startsWith(output) !== to.startsWith(output) || from === output || to === output) {
        throw Object.assign(new Error('EXDEV'), { code: 'EXDEV', syscall: 'rename' });
      }
      base.renameSync(from, to);
    }) as FileSystem['renameSync'],
  });
  const count = new KillingDisk(Number.POSITIVE_INFINITY);
  const first = join(bench.dir, 'first');
  mkdirSync(first);
  await bench.write(plan, { output: first, fs: mounted(first, count.fs) });
  assert.equal(Workbench.files(first), whole);
  assert.equal(
    readdirSync(bench.dir).filter((name) => name.includes('halfbyte-tmp')),
    [],
  );
  for (let killAt = count.calls - 12; killAt <= count.calls; killAt++) {
    const output = join(bench.dir, `killed-${killAt}`);
    mkdirSync(output);
    await failureOf(bench.write(plan, { output, fs: mounted(output, new KillingDisk(killAt).fs) }));
    const again = await bench.write(plan, { output, fs: mounted(output, realFileSystem) }).catch((error) => error);
    if (again instanceof Error) assert.instance(again, UsageError, `${killAt}: ${again}`);
    const files = Workbench.files(output);
    assert.equal(Object.keys(files), Object.keys(whole), `killed at call ${killAt}`);
    for (const name of Object.keys(whole)) assert.ok(files[name] === whole[name], `killed at call ${killAt}: ${name}`);
  }
  bench.close();
});

test.run();
