import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import type { Job } from '../../src/core/plan.js';
import type { PartSize } from '../../src/core/scheme.js';
import type { JobParts } from '../../src/engine/job-parts.js';
import { BEST_BUFFER } from '../../src/engine/memory.js';
import { memoryNeeds } from '../../src/engine/memory-needs.js';
import { bufferBytesOf, stepsOf } from '../../src/engine/steps.js';
import { find } from '../../src/registry.js';

/** Parts of rows with so many bytes each. */
const partsWith = (bytes: number[], isContiguous: boolean): JobParts =>
  ({
    isContiguous,
    sizes: (count: number) => Object.fromEntries(bytes.map((each, i) => [`part${i}`, { nbytes: each * count }])),
  }) as unknown as JobParts;

test('steps fit, cover the unit by whole quanta and are as long as they may be', () => {
  const cases = fc.record({
    bytes: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 3 }),
    isContiguous: fc.boolean(),
    quantum: fc.integer({ min: 1, max: 64 }),
    rowBytes: fc.integer({ min: 0, max: 40_000 }),
    count: fc.integer({ min: 1, max: 5000 }),
    bufferBytes: fc.integer({ min: 1 << 10, max: 4 << 20 }),
  });
  fc.assert(
    fc.property(cases, ({ bytes, isContiguous, quantum, rowBytes, count, bufferBytes }) => {
      const rows = { name: 'w', parts: partsWith(bytes, isContiguous), quantum, rowBytes };
      const least = isContiguous ? Math.min(count, quantum) : count;
      if (bufferBytesOf(rows, { read: least, written: least }) > bufferBytes) {
        assert.throws(
          () => stepsOf(rows, count, bufferBytes),
          (error: Error) => error instanceof UsageError,
        );
        return;
      }
      const { read, written } = stepsOf(rows, count, bufferBytes);
      if (!isContiguous) assert.equal([read, written], [count, count]);
      assert.ok(read === count || read % quantum === 0);
      assert.is(written % read, 0);
      assert.ok(bufferBytesOf(rows, { read, written: Math.min(written, count) }) <= bufferBytes);
      if (written >= count) return;
      assert.ok(bufferBytesOf(rows, { read, written: Math.min(written + read, count) }) > bufferBytes);
    }),
    { numRuns: 1000 },
  );
});

test('what a job in pieces needs is a unit of it, not all of its rows', async () => {
  const [rows, cols] = [8960, 1536];
  const int4 = (await find('schemes', 'int4'))!;
  const scheme = { ...int4.defaults, group_size: 128, symmetric: true };
  const parts: Record<string, PartSize> = (await find('layouts', 'gptq'))!.dressing!.parts(rows, cols, scheme);
  const nbytes = 2 * rows * cols;
  const ref = { name: 'w', dtype: 'BF16' as const, shape: [rows, cols], file: '/nowhere', offset: 0, nbytes };
  const job: Job = {
    name: 'w',
    source: { kind: 'tensor', ref, rows, cols },
    scheme,
    layout: 'gptq',
    measured: true,
    outputs: Object.fromEntries(
      Object.entries(parts).map(([part, size]) => [part, { file: part, offset: 0, nbytes: size.nbytes }]),
    ),
  };
  const needs = await memoryNeeds([job], BEST_BUFFER);
  assert.ok(needs.largestRow > 4 * cols && needs.largestRow < 24 << 20, `${needs.largestRow}`);
});

test.run();
