import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { DTYPE_BITS, type Dtype, float32ToBf16, float32ToF16, widen } from '../../src/core/dtype.js';
import type { Kernels } from '../../src/core/kernels.js';
import { NonFiniteWeight, type Packed, type QuantizationArgs } from '../../src/core/scheme.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { find } from '../../src/registry.js';

/** A matrix as a checkpoint stores it. */
export interface StoredMatrix {
  dtype: Dtype;
  rows: number;
  cols: number;
  bytes: Uint8Array;
}

/** Bytes on either side of a part that no kernel may touch. */
const MARGIN = 32;
const MARGIN_BYTE = 0xa5;

/** Stores float32 values as a dtype. */
export function stored(dtype: Dtype, rows: number, cols: number, values: ArrayLike<number>): StoredMatrix {
  const array =
    dtype === 'BF16'
      ? Uint16Array.from(values, float32ToBf16)
      : dtype === 'F16'
        ? Uint16Array.from(values, float32ToF16)
        : Float32Array.from(values);
  return { dtype, rows, cols, bytes: new Uint8Array(array.buffer) };
}

export function valuesOf({ dtype, rows, cols, bytes }: StoredMatrix): Float32Array {
  const values = new Float32Array(rows * cols);
  widen(dtype, bytes, values);
  return values;
}

/** Parts, or the refusal of a value. */
type Outcome = Packed | { row: number; column: number; value: number };

function attempt(quantize: () => Packed): Outcome {
  try {
    return quantize();
  } catch (error) {
    if (!(error instanceof NonFiniteWeight)) throw error;
    return { row: error.row, column: error.column, value: error.value };
  }
}

const shared = loadKernels();

export async function byTwin(matrix: StoredMatrix, args: QuantizationArgs): Promise<Outcome> {
  const scheme = (await find('schemes', args.scheme))!;
  return attempt(() => {
    const packed: Packed = {};
    for (const [part, { nbytes }] of Object.entries(scheme.layout(matrix.rows, matrix.cols, args))) {
      packed[part] = new Uint8Array(nbytes);
    }
    scheme.quantize(valuesOf(matrix), matrix.cols, args, packed);
    return packed;
  });
}

export async function byKernel(
  matrix: StoredMatrix,
  args: QuantizationArgs,
  kernels: Kernels = shared,
): Promise<Outcome> {
  const { dtype, rows, cols, bytes } = matrix;
  const scheme = (await find('schemes', args.scheme))!;
  const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;
  const layout = Object.entries(scheme.layout(rows, cols, args));
  const size = layout.reduce((sum, [, { nbytes }]) => sum + aligned(nbytes) + 2 * MARGIN, aligned(bytes.length));
  kernels.reserve(size);
  const input = kernels.heapBase;
  kernels.bytes(input, size).fill(MARGIN_BYTE);
  kernels.bytes(input, bytes.length).set(bytes);
  const addresses: Record<string, number> = {};
  let next = input + aligned(bytes.length);
  for (const [part, { nbytes }] of layout) {
    addresses[part] = next + MARGIN;
    next += aligned(nbytes) + 2 * MARGIN;
  }
  return attempt(() => {
    kernels.quantize(dtype, input, rows, cols, args, addresses);
    const packed: Packed = {};
    for (const [part, { nbytes }] of layout) {
      packed[part] = kernels.bytes(addresses[part], nbytes).slice();
      for (const at of [addresses[part] - MARGIN, addresses[part] + nbytes]) {
        const margin = kernels.bytes(at, MARGIN);
        assert.ok(
          margin.every((byte) => byte === MARGIN_BYTE),
          `${part}: written outside of its bytes`,
        );
      }
    }
    assert.equal(kernels.bytes(input, bytes.length), bytes, 'the input is left as it was');
    return packed;
  });
}

export async function sameAsTwin(matrix: StoredMatrix, args: QuantizationArgs): Promise<void> {
  assert.ok(shared.supports(matrix.dtype, args), `${args.scheme} of ${matrix.dtype} has a kernel`);
  assert.equal(await byKernel(matrix, args), await byTwin(matrix, args), JSON.stringify(args));
}

const exponent = (dtype: Dtype) => (dtype === 'F16' ? 0x7c00 : dtype === 'BF16' ? 0x7f80 : 0x7f800000);

/** Finite codes of a dtype, from all of them: subnormals, both zeros and the largest included. */
const anyCode = (dtype: Dtype) =>
  fc
    .integer({ min: 0, max: 2 ** DTYPE_BITS[dtype] - 1 })
    .map((code) => ((code & exponent(dtype)) === exponent(dtype) ? (code & ~exponent(dtype)) >>> 0 : code));

const fromNumbers = (dtype: Dtype, numbers: fc.Arbitrary<number>) =>
  numbers.map((x) => {
    const { bytes } = stored(dtype, 1, 1, [x]);
    return bytes.length === 2 ? bytes[0] | (bytes[1] << 8) : new Uint32Array(bytes.buffer)[0];
  });

/** A row of one kind: weights as models have them, ties on a grid of sixteenths, all alike, one sign, any finite code. */
function rowCodes(dtype: Dtype, cols: number): fc.Arbitrary<number[]> {
  const row = (element: fc.Arbitrary<number>) => fc.array(element, { minLength: cols, maxLength: cols });
  const weights = fromNumbers(dtype, fc.double({ min: -0.1, max: 0.1, noNaN: true }));
  const ties = fromNumbers(
    dtype,
    fc.integer({ min: -256, max: 256 }).map((n) => n / 32),
  );
  const positive = fromNumbers(dtype, fc.double({ min: 0, max: 3, noNaN: true }));
  const specials = fc.constantFrom(0, 2 ** (DTYPE_BITS[dtype] - 1), 1, exponent(dtype) - 1);
  const tiny = fc.integer({ min: 0, max: 40 });
  return fc.oneof(
    row(weights),
    row(ties),
    row(positive),
    row(specials),
    row(tiny),
    row(anyCode(dtype)),
    row(fc.oneof({ weight: 30, arbitrary: weights }, { weight: 1, arbitrary: anyCode(dtype) })),
    anyCode(dtype).map((code) => new Array<number>(cols).fill(code)),
  );
}

/** Matrices of up to `maxRows` rows whose rows are of different kinds. */
export function matrices(dtype: Dtype, maxRows: number, cols: fc.Arbitrary<number>): fc.Arbitrary<StoredMatrix> {
  return fc.tuple(fc.integer({ min: 1, max: maxRows }), cols).chain(([rows, width]) =>
    fc.array(rowCodes(dtype, width), { minLength: rows, maxLength: rows }).map((codes) => {
      const all = codes.flat();
      const array = dtype === 'F32' ? Uint32Array.from(all) : Uint16Array.from(all);
      return { dtype, rows, cols: width, bytes: new Uint8Array(array.buffer) };
    }),
  );
}
