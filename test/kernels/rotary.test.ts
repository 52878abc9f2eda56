import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadKernels } from '../../src/kernels/kernels.js';
import { fillRotary } from '../../src/sources/rotary.js';

test('rotary tables of the kernel equal those of the twin bit for bit', () => {
  const kernels = loadKernels();
  kernels.reserve(1 << 20);
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 0, max: 2 ** 20 - 64 }),
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0.5, max: 2, noNaN: true }),
      fc.constantFrom('cos' as const, 'sin' as const),
      (inverse_frequencies, from, count, attention_factor, part) => {
        const cols = inverse_frequencies.length;
        const expected = new Float32Array(count * cols);
        fillRotary({ inverse_frequencies, attention_factor, positions: from + count, part }, from, count, expected);
        const [frequencies, out] = [kernels.heapBase, kernels.heapBase + 4096];
        const floats = (address: number, length: number) => {
          const view = kernels.bytes(address, 4 * length);
          return new Float32Array(view.buffer, view.byteOffset, length);
        };
        floats(frequencies, cols).set(inverse_frequencies);
        kernels.rotary(frequencies, cols, from, count, Math.fround(attention_factor), part, out);
        assert.equal(
          [...new Uint32Array(floats(out, count * cols).slice().buffer)],
          [...new Uint32Array(expected.buffer)],
        );
      },
    ),
    { numRuns: 500, seed: 1 },
  );
});

test.run();
