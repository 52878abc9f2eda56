import { own } from '../core/own.js';
import type { QuantizationArgs } from '../core/scheme.js';

/** Types of stored scales by their numbers in assembly/stored_grids.ts. */
export const SCALE_KINDS: Record<QuantizationArgs['scale_dtype'], number> = own({
  F32: 0,
  F16: 1,
  BF16: 2,
  F8_E8M0: 3,
  F8_E4M3: 4,
});

/** How the grids of a scheme lie over the rows and columns of a matrix. */
export interface GridExtent {
  /** Rows and columns that share a scale. */
  blockRows: number;
  blockCols: number;
  /** Codes that a row takes, padding of its last group included. */
  rowCodes: number;
  /** Zero points that a row takes, where there are any: those of groups start on a whole byte. */
  zeroStride: number;
}

const ALL_ROWS = 2 ** 31;

/** `bits` are those of a zero point. */
export function gridExtent(args: QuantizationArgs, cols: number, bits: number): GridExtent {
  const { strategy, block_structure } = args;
  if (strategy === 'group') {
    const blockCols = args.group_size as number;
    const groups = Math.ceil(cols / blockCols);
    const zeroStride = (Math.ceil((groups * bits) / 8) * 8) / bits;
    return { blockRows: 1, blockCols, rowCodes: groups * blockCols, zeroStride };
  }
  const whole = { blockCols: cols, rowCodes: cols, zeroStride: 1 };
  if (strategy === 'channel') return { ...whole, blockRows: 1 };
  if (strategy === 'tensor') return { ...whole, blockRows: ALL_ROWS };
  const [blockRows, blockCols] = block_structure as [number, number];
  return { ...whole, blockRows, blockCols };
}

/** What is put over a byte of codes or zero points, where they are two's complement. */
export const flipOf = ({ signed }: QuantizationArgs, bits: number): number => (signed ? (bits === 4 ? 0x88 : 0x80) : 0);
