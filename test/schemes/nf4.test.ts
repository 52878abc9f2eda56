import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import type { Packed, QuantizationArgs } from '../../src/core/scheme.js';
import nf4, { NF4_BOUNDS, NF4_VALUES } from '../../src/schemes/nf4.js';

function quantize(values: Float32Array, cols: number, args = nf4.defaults): Packed {
  const parts = nf4.layout(values.length / cols, cols, args);
  const out = Object.fromEntries(Object.entries(parts).map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
  nf4.quantize(values, cols, args, out);
  return out;
}

const codes = (packed: Packed) => [...packed.codes].flatMap((byte) => [byte >> 4, byte & 15]);

test('the bounds are the means of neighbouring values', () => {
  for (const [code, bound] of NF4_BOUNDS.entries()) {
    assert.ok(Math.abs(bound - (NF4_VALUES[code] + NF4_VALUES[code + 1]) / 2) < 1e-7, `${code}`);
  }
});

test('every value has its code, high nibble first, a bound belongs to the code below it', () => {
  const scaled = NF4_VALUES.map((x) => x * 2);
  assert.equal(
    codes(quantize(scaled, 16)),
    Array.from({ length: 16 }, (_, code) => code),
  );
  const onBounds = Float32Array.of(...NF4_BOUNDS, 1);
  assert.equal(
    codes(quantize(onBounds, 16)),
    Array.from({ length: 16 }, (_, code) => code),
  );
  const above = Float32Array.of(...NF4_BOUNDS.map((x) => x + Math.abs(x) * 2 ** -22), 1);
  assert.equal(codes(quantize(above, 16)), [...Array.from({ length: 15 }, (_, code) => code + 1), 15]);
});

test('blocks run over the ends of rows; zeros and a last odd value keep their places', () => {
  // three rows of 43: blocks are values 0-63, 64-127 and 128
  const values = Float32Array.from({ length: 129 }, (_, i) => (i < 64 ? (i === 50 ? -4 : 1) : i === 128 ? -3 : 0));
  const packed = quantize(values, 43);
  assert.equal(new Float32Array(packed.scales.slice().buffer), Float32Array.of(4, 0, 3));
  const found = codes(packed);
  assert.is(found[50], 0);
  assert.is(found[0], 10); // 0.25 is nearest to 0.2461
  assert.ok(found.slice(64, 128).every((code) => code === 7));
  assert.equal(found.slice(128), [0, 0]);
});

test('no other code is nearer, and row quanta make the same bytes as the whole', () => {
  const finite = fc.integer({ min: -5000, max: 5000 }).map((n) => Math.fround(n / 1000));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.infiniteStream(finite), (cols, stream) => {
      const rows = 130;
      const values = Float32Array.from({ length: rows * cols }, () => stream.next().value);
      const packed = quantize(values, cols);
      const restored = new Float32Array(values.length);
      nf4.dequantize(packed, rows, cols, nf4.defaults, restored);
      const scales = new Float32Array(packed.scales.slice().buffer);
      for (const [i, x] of values.entries()) {
        const scale = scales[Math.floor(i / 64)];
        const nearest = Math.min(...NF4_VALUES.map((value) => Math.abs(value * scale - x)));
        assert.ok(Math.abs(restored[i] - x) <= nearest + scale * 1e-6, `${x} -> ${restored[i]}`);
      }
      const quantum = nf4.rowQuantum(nf4.defaults);
      const first = quantize(values.subarray(0, quantum * cols), cols);
      assert.equal(first.codes, packed.codes.subarray(0, (quantum * cols) / 2));
      assert.equal(first.scales, packed.scales.subarray(0, first.scales.length));
    }),
    { numRuns: 50 },
  );
});

test('settings that it does not have are refused', () => {
  const wrong: Partial<QuantizationArgs>[] = [
    { symmetric: false },
    { strategy: 'channel' },
    { group_size: 32 },
    { scale_dtype: 'F16' },
    { algorithm: 'mse' },
  ];
  for (const each of wrong) {
    assert.throws(
      () => nf4.check({ ...nf4.defaults, ...each }),
      (error: Error) => error instanceof UsageError,
    );
  }
});

test.run();
