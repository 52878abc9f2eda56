import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Packed, QuantizationArgs } from '../../src/core/scheme.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { find, ids } from '../../src/registry.js';

const kernels = loadKernels();
const MARGIN = 32;
const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;

function bitsOfValues(values: Float32Array): number[] {
  return Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (bits, i) =>
    Number.isNaN(values[i]) ? 0x7fc00000 : bits,
  );
}

/** Rows from `first` on of parts with these bytes, by kernel and by twin. */
async function sameAsTwin(
  rows: number,
  cols: number,
  args: QuantizationArgs,
  bytes: (nbytes: number) => Uint8Array,
  first = 0,
) {
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
  const nbytes = 4 * (rows - first) * cols;
  kernels.reserve(to + nbytes + MARGIN - kernels.heapBase);
  for (const [part, content] of Object.entries(parts)) kernels.bytes(addresses[part], content.length).set(content);
  kernels.bytes(next, nbytes + 2 * MARGIN).fill(0xa5);
  kernels.openDecoder(args, cols)(addresses, first, rows - first, to);
  const expected = new Float32Array(rows * cols);
  scheme.dequantize(parts, rows, cols, args, expected);
  const { buffer } = kernels.bytes(0, 0);
  assert.equal(
    bitsOfValues(new Float32Array(buffer, to, (rows - first) * cols)),
    bitsOfValues(expected.subarray(first * cols)),
    `[${rows}, ${cols}] from ${first} ${JSON.stringify(args)}`,
  );
  for (const at of [next, to + nbytes]) assert.ok(kernels.bytes(at, MARGIN).every((byte) => byte === 0xa5));
}

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 12 }),
  cols: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(64, 128, 255, 256, 300, 512)),
  first: fc.nat(11),
});
const base = { symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' } as const;
const anyScale = fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const);

const integers = fc.record({
  scheme: fc.constantFrom('int4', 'int8'),
  strategy: fc.constantFrom('group' as const, 'channel' as const),
  group_size: fc.constantFrom(16, 32, 64, 128, 256),
  symmetric: fc.boolean(),
  signed: fc.boolean(),
  scale_dtype: anyScale,
  algorithm: fc.constant('rtn' as const),
});
const blocks = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }));
const floats = fc.record({
  scheme: fc.constantFrom('fp8_e4m3', 'fp8_e5m2'),
  strategy: fc.constantFrom('tensor' as const, 'channel' as const, 'block' as const),
  block_structure: blocks,
  symmetric: fc.constant(true),
  scale_dtype: fc.constantFrom('F32' as const, 'BF16' as const, 'F8_E8M0' as const),
  algorithm: fc.constant('rtn' as const),
});
const DEFAULTS = await Promise.all(ids('schemes').map(async (id) => (await find('schemes', id))!.defaults));
const others: fc.Arbitrary<QuantizationArgs> = fc.oneof(
  fc.constantFrom(...DEFAULTS.filter(({ scheme }) => !/^(int|fp8)/.test(scheme))),
  fc
    .constantFrom(64, 128, 256)
    .map((group_size) => ({ ...base, scheme: 'nf4', strategy: 'group' as const, group_size })),
);

for (const [name, settings] of [
  ['integers', integers],
  ['8-bit floats', floats],
  ['other schemes', others],
] as const) {
  test(`${name}: any codes and scales equal the twin, from any row on`, async () => {
    await fc.assert(
      fc.asyncProperty(sizes, settings, fc.infiniteStream(fc.nat(255)), async ({ rows, cols, first }, args, stream) => {
        const bytes = (nbytes: number) => Uint8Array.from({ length: nbytes }, () => stream.next().value);
        await sameAsTwin(rows, cols, args, bytes, first % rows);
      }),
      { numRuns: 250 },
    );
  });
}

for (const scheme of ['fp8_e4m3', 'fp8_e5m2']) {
  test(`${scheme}: every code times scales of every kind equals the twin`, async () => {
    const everyCode = Uint8Array.from({ length: 256 }, (_, code) => code);
    for (const scale of [1, -0.0371, 2 ** -140, 3e38, 0, Number.POSITIVE_INFINITY, Number.NaN]) {
      const scales = new Uint8Array(Float32Array.of(scale).buffer);
      await sameAsTwin(1, 256, { ...base, scheme, strategy: 'tensor' }, (nbytes) =>
        nbytes === 256 ? everyCode : scales,
      );
    }
  });
}

test('every scale of one byte equals the twin', async () => {
  const everyCode = Uint8Array.from({ length: 256 }, (_, code) => code);
  for (const scheme of ['mxfp4', 'nvfp4']) {
    const { defaults } = (await find('schemes', scheme))!;
    const cols = 256 * (defaults.group_size as number);
    const global = new Uint8Array(Float32Array.of(37.5).buffer);
    const bytes = (nbytes: number) =>
      nbytes === 256 ? everyCode : nbytes === 4 ? global : new Uint8Array(nbytes).fill(0x1f);
    await sameAsTwin(1, cols, defaults, bytes);
  }
});

test('every scheme has a kernel that decodes it', () => {
  for (const args of DEFAULTS) assert.ok(kernels.dequantizes(args), args.scheme);
  assert.not(kernels.dequantizes({ ...base, scheme: 'fp8_e4m3', strategy: 'group', group_size: 32 }));
  assert.not(kernels.dequantizes({ ...base, scheme: 'constructor', strategy: 'tensor' }));
});

test.run();
