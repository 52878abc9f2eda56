import { widen } from '../core/dtype.js';
import { NonFiniteWeight, type Packed, type QuantizationArgs } from '../core/scheme.js';

/** Codes of eight bits that are NaN: 0x7F and 0xFF of E4M3; those of E5M2 are above 0x7B, infinities among them. */
const isE4m3NaN = (code: number) => (code & 0x7f) === 0x7f;
const isE5m2NonFinite = (code: number) => (code & 0x7f) >= 0x7c;
const isE8m0NaN = (code: number) => code === 0xff;

const CODES: Record<string, (code: number) => boolean> = { fp8_e4m3: isE4m3NaN, fp8_e5m2: isE5m2NonFinite };
const BYTE_SCALES: Partial<Record<QuantizationArgs['scale_dtype'], (code: number) => boolean>> = {
  F8_E4M3: isE4m3NaN,
  F8_E8M0: isE8m0NaN,
};

/**
 * Codes and scales that are copied hold to what rounding holds to: parts of `rows` rows in which a code, a scale or the
 * scale of the tensor stands for no finite number. Throws NonFiniteWeight with the row of the first; its column is that
 * of the code, or the first that shares the scale.
 */
export function checkKeptParts(parts: Packed, rows: number, cols: number, args: QuantizationArgs): void {
  const isBadCode = CODES[args.scheme];
  const code = isBadCode ? parts.codes.findIndex(isBadCode) : -1;
  if (code >= 0) throw new NonFiniteWeight(Math.floor(code / cols), code % cols, Number.NaN);
  const { scales, global_scale: globalScale } = parts;
  if (globalScale) {
    const [scale] = floats('F32', globalScale);
    if (!(scale !== 0 && Number.isFinite(scale))) throw new NonFiniteWeight(0, 0, scale === 0 ? Number.NaN : scale);
  }
  if (!scales || scales.length === 0) return;
  const isBadByte = BYTE_SCALES[args.scale_dtype];
  const values = isBadByte ? undefined : floats(args.scale_dtype as 'F32' | 'F16' | 'BF16', scales);
  const bad = isBadByte ? scales.findIndex(isBadByte) : values?.findIndex((scale) => !Number.isFinite(scale));
  if (bad === undefined || bad < 0) return;
  const count = values?.length ?? scales.length;
  const value = values?.[bad] ?? Number.NaN;
  const size = args.group_size;
  // blocks of nf4 run on over the ends of rows
  if (args.strategy === 'group' && size && count !== rows * Math.ceil(cols / size)) {
    throw new NonFiniteWeight(Math.floor((bad * size) / cols), (bad * size) % cols, value);
  }
  const [height, width] = sharing(args, rows, cols, count);
  const across = Math.ceil(cols / width);
  throw new NonFiniteWeight(Math.floor(bad / across) * height, (bad % across) * width, value);
}

/** Rows and columns that share one of `count` scales. */
function sharing(
  { strategy, block_structure: block, group_size: size }: QuantizationArgs,
  rows: number,
  cols: number,
  count: number,
) {
  if (strategy === 'block' && block) return block;
  if (strategy === 'group' && size) return [1, Math.min(size, cols)];
  return [strategy === 'tensor' ? rows : Math.ceil(rows / count), cols];
}

function floats(dtype: 'F32' | 'F16' | 'BF16', bytes: Uint8Array): Float32Array {
  const out = new Float32Array(bytes.length / (dtype === 'F32' ? 4 : 2));
  widen(dtype, bytes, out);
  return out;
}
