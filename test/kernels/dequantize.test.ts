import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Packed, QuantizationArgs } from '../../src/core/types.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { find } from '../../src/registry.js';

const kernels = loadKernels();
const MARGIN = 32;
const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;

function bitsOfValues(values: Float32Array): number[] {
  return Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (bits, i) =>
    Number.isNaN(values[i]) ? 0x7fc00000 : bits,
  );
}

async function sameAsTwin(rows: number, cols: number, args: QuantizationArgs, bytes: (nbytes: number) => Uint8Array) {
  const scheme = (await find('schemes', args.scheme))!;
  const parts: Packed = {};
  const addresses: Record<string, number> = {};
  let next = kernels.heapBase;
  for (const [part, { nbytes }] of Object.entries(scheme.layout(rows, cols, args))) {
    parts[part] = bytes(nbytes);
    addresses[part] = next;
    next += aligned(nbytes);
  }
  const to = next + MARGIN;
  const nbytes = 4 * rows * cols;
  kernels.reserve(to + nbytes + MARGIN - kernels.heapBase);
  for (const [part, content] of Object.entries(parts)) kernels.bytes(addresses[part], content.length).set(content);
  kernels.bytes(next, nbytes + 2 * MARGIN).fill(0xa5);
  kernels.dequantize(addresses, rows, cols, args, to);
  const expected = new Float32Array(rows * cols);
  scheme.dequantize(parts, rows, cols, args, expected);
  const { buffer } = kernels.bytes(0, 0);
  assert.equal(
    bitsOfValues(new Float32Array(buffer, to, rows * cols)),
    bitsOfValues(expected),
    `[${rows}, ${cols}] ${JSON.stringify(args)}`,
  );
  for (const at of [next, to + nbytes]) assert.ok(kernels.bytes(at, MARGIN).every((byte) => byte === 0xa5));
}

const strategies = fc.oneof(
  fc.constantFrom({ strategy: 'tensor' as const }, { strategy: 'channel' as const }),
  fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }))
    .map((block_structure) => ({ strategy: 'block' as const, block_structure })),
);

for (const scheme of ['fp8_e4m3', 'fp8_e5m2']) {
  const plain = { scheme, symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' } as const;

  test(`${scheme}: every code times scales of every kind equals the twin`, async () => {
    const everyCode = Uint8Array.from({ length: 256 }, (_, code) => code);
    for (const scale of [1, -0.0371, 2 ** -140, 3e38, 0, Number.POSITIVE_INFINITY, Number.NaN]) {
      const scales = new Uint8Array(Float32Array.of(scale).buffer);
      await sameAsTwin(1, 256, { ...plain, strategy: 'tensor' }, (nbytes) => (nbytes === 256 ? everyCode : scales));
    }
  });

  test(`${scheme}: any codes and scales of blocks, rows and tensors equal the twin`, async () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 70 }));
    await fc.assert(
      fc.asyncProperty(sizes, strategies, fc.infiniteStream(fc.nat(255)), async ([rows, cols], extent, stream) => {
        const bytes = (nbytes: number) => Uint8Array.from({ length: nbytes }, () => stream.next().value);
        await sameAsTwin(rows, cols, { ...plain, ...extent }, bytes);
      }),
      { numRuns: 200 },
    );
  });
}

test('scales of other types, groups and other schemes have no kernel', () => {
  const args: QuantizationArgs = {
    scheme: 'fp8_e4m3',
    strategy: 'channel',
    symmetric: true,
    scale_dtype: 'F32',
    algorithm: 'rtn',
  };
  assert.ok(kernels.dequantizes(args));
  assert.not(kernels.dequantizes({ ...args, scale_dtype: 'BF16' }));
  assert.not(kernels.dequantizes({ ...args, strategy: 'group', group_size: 32 }));
  assert.not(kernels.dequantizes({ ...args, scheme: 'int8' }));
});

test.run();
