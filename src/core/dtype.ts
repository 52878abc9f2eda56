/** Dtypes of the safetensors format, in the order of its enum (the writer sorts by it, descending). */
export const SAFETENSORS_DTYPES = [
  'BOOL',
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'U8',
  'I8',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
  'I16',
  'U16',
  'F16',
  'BF16',
  'I32',
  'U32',
  'F32',
  'C64',
  'F64',
  'I64',
  'U64',
] as const;

export type Dtype = (typeof SAFETENSORS_DTYPES)[number];

/** Element types of ONNX values, spelled as in onnx.proto's TensorProto.DataType. */
export type ElementType =
  | 'FLOAT'
  | 'UINT8'
  | 'INT8'
  | 'UINT16'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'BOOL'
  | 'FLOAT16'
  | 'BFLOAT16'
  | 'FLOAT8E4M3FN'
  | 'FLOAT8E5M2'
  | 'UINT4'
  | 'INT4'
  | 'FLOAT4E2M1'
  | 'FLOAT8E8M0';

/** Bits of one element of each safetensors dtype. */
export const DTYPE_BITS: Record<Dtype, number> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);
const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bits of a float32. */
export function bitsOf(x: number): number {
  float[0] = x;
  return word[0];
}

/** The float32 with these bits. */
export function floatOf(bits: number): number {
  word[0] = bits;
  return float[0];
}

export const bf16ToFloat32 = (code: number): number => floatOf(code << 16);

/** Round to nearest, ties to even; NaN stays a quiet NaN. */
export function float32ToBf16(x: number): number {
  const bits = bitsOf(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** A float of `exponentBits` and `mantissaBits` with bias 2^(exponentBits-1) - 1, without its specials. */
function minifloat(magnitude: number, mantissaBits: number, bias: number): number {
  const exponent = magnitude >> mantissaBits;
  const mantissa = magnitude & ((1 << mantissaBits) - 1);
  const scale = 2 ** -mantissaBits;
  return exponent === 0 ? mantissa * scale * 2 ** (1 - bias) : (1 + mantissa * scale) * 2 ** (exponent - bias);
}

export function f16ToFloat32(code: number): number {
  const magnitude = code & 0x7fff;
  const sign = code & 0x8000 ? -1 : 1;
  if (magnitude >= 0x7c00) return magnitude === 0x7c00 ? sign * Infinity : NaN;
  return sign * minifloat(magnitude, 10, 15);
}

/** The integer nearest to x >= 0, ties to even. */
function nearestEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest > 0.5 ? floor + 1 : floor;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Code of a finite magnitude, to nearest even; may run past the largest exponent, which the caller bounds. */
function encode(magnitude: number, mantissaBits: number, bias: number): number {
  if (magnitude === 0) return 0;
  const exponent = Math.max(((bitsOf(magnitude) >>> 23) & 0xff) - 127, 1 - bias);
  const units = nearestEven(magnitude * 2 ** (mantissaBits - exponent));
  // units below 2^mantissaBits are subnormal and code themselves; a carry moves into the exponent by itself
  return units + ((exponent + bias - 1) << mantissaBits);
}

/** IEEE half, to nearest even, overflow to infinity. */
export function float32ToF16(x: number): number {
  const sign = (bitsOf(x) >>> 16) & 0x8000;
  if (Number.isNaN(x)) return sign | 0x7e00;
  const magnitude = Math.abs(x);
  if (magnitude >= 65520) return sign | 0x7c00;
  return sign | encode(magnitude, 10, 15);
}

/** OCP E4M3 "fn": no infinity, NaN 0x7f. */
export function f8e4m3ToFloat32(code: number): number {
  const magnitude = code & 0x7f;
  if (magnitude === 0x7f) return NaN;
  return (code & 0x80 ? -1 : 1) * minifloat(magnitude, 3, 7);
}

/** Saturates at 448, ties to even; NaN to 0x7f. */
export function float32ToF8e4m3(x: number): number {
  const sign = (bitsOf(x) >>> 24) & 0x80;
  if (Number.isNaN(x)) return sign | 0x7f;
  return sign | Math.min(encode(Math.min(Math.abs(x), 448), 3, 7), 0x7e);
}

/** E5M2: IEEE-like, infinity 0x7c, NaN above. */
export function f8e5m2ToFloat32(code: number): number {
  const magnitude = code & 0x7f;
  const sign = code & 0x80 ? -1 : 1;
  if (magnitude >= 0x7c) return magnitude === 0x7c ? sign * Infinity : NaN;
  return sign * minifloat(magnitude, 2, 15);
}

/** Saturates at 57344, ties to even; NaN to 0x7f. */
export function float32ToF8e5m2(x: number): number {
  const sign = (bitsOf(x) >>> 24) & 0x80;
  if (Number.isNaN(x)) return sign | 0x7f;
  return sign | Math.min(encode(Math.min(Math.abs(x), 57344), 2, 15), 0x7b);
}

/** FNUZ forms: one more on the bias, no negative zero, 0x80 is NaN. */
const fnuz = (code: number, mantissaBits: number, bias: number): number =>
  code === 0x80 ? NaN : (code & 0x80 ? -1 : 1) * minifloat(code & 0x7f, mantissaBits, bias);

export const f8e4m3fnuzToFloat32 = (code: number): number => fnuz(code, 3, 8);
export const f8e5m2fnuzToFloat32 = (code: number): number => fnuz(code, 2, 16);

/** A power of two; 0xff is NaN. */
export const f8e8m0ToFloat32 = (code: number): number => (code === 0xff ? NaN : 2 ** (code - 127));

const BYTE_DECODERS: Partial<Record<Dtype, (code: number) => number>> = {
  F8_E4M3: f8e4m3ToFloat32,
  F8_E5M2: f8e5m2ToFloat32,
  F8_E4M3FNUZ: f8e4m3fnuzToFloat32,
  F8_E5M2FNUZ: f8e5m2fnuzToFloat32,
  F8_E8M0: f8e8m0ToFloat32,
};

/** Dtypes that `widen` reads. */
export const FLOAT_DTYPES: readonly Dtype[] = ['F64', 'F32', 'BF16', 'F16', ...(Object.keys(BYTE_DECODERS) as Dtype[])];

/** Stored floats, little-endian, to float32: `out` takes as many as it is long. Exact but for F64, which rounds. */
export function widen(dtype: Dtype, bytes: Uint8Array, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const byte = BYTE_DECODERS[dtype];
  if (byte) {
    const table = Float32Array.from({ length: 256 }, (_, code) => byte(code));
    for (let i = 0; i < out.length; i++) out[i] = table[bytes[i]];
  } else if (dtype === 'F32') {
    new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes.subarray(0, out.byteLength));
  } else if (dtype === 'BF16') {
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    let i = 0;
    // two at a time where byte order and address allow it: 1 ns a value, of a DataView 3
    if (isLittleEndian && bytes.byteOffset % 4 === 0) {
      const pairs = new Uint32Array(bytes.buffer, bytes.byteOffset, out.length >> 1);
      for (let pair = 0; pair < pairs.length; pair++, i += 2) {
        bits[i] = pairs[pair] << 16;
        bits[i + 1] = pairs[pair] & 0xffff0000;
      }
    }
    for (; i < bits.length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
  } else if (dtype === 'F16') {
    for (let i = 0; i < out.length; i++) out[i] = f16ToFloat32(view.getUint16(2 * i, true));
  } else if (dtype === 'F64') {
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
  } else {
    throw new Error(`${dtype} is no float`);
  }
}
