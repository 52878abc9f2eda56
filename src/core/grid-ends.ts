import type { QuantizationArgs } from './types.js';

/** How the ends of a scheme's grid are found: bytes of codes that stand for its two ends, and its last step. */
export interface GridEnds {
  codes: [number, number];
  /** Half of the step before an end over the range from end to end. */
  halfStep: number;
}

const FLOAT_ENDS: Record<string, GridEnds> = {
  // steps of 32 up to 448, of 8192 up to 57344, of 2 up to 6
  fp8_e4m3: { codes: [0xfe, 0x7e], halfStep: 16 / 896 },
  fp8_e5m2: { codes: [0xfb, 0x7b], halfStep: 4096 / 114688 },
  mxfp4: { codes: [0xff, 0x77], halfStep: 1 / 12 },
  nvfp4: { codes: [0xff, 0x77], halfStep: 1 / 12 },
};

/** The ends of a grid; undefined for schemes whose scale leaves no value beyond them, and for those not known here. */
export function gridEnds({ scheme, signed }: QuantizationArgs): GridEnds | undefined {
  if (scheme === 'int4') return { codes: signed ? [0x88, 0x77] : [0, 0xff], halfStep: 0.5 / 15 };
  if (scheme === 'int8') return { codes: signed ? [0x80, 0x7f] : [0, 0xff], halfStep: 0.5 / 255 };
  return Object.hasOwn(FLOAT_ENDS, scheme) ? FLOAT_ENDS[scheme] : undefined;
}

/** Schemes that cannot saturate: a value beyond their range is refused, or their scale is the greatest magnitude. */
const UNBOUNDED = ['f32', 'f16', 'bf16', 'nf4'];

/** Whether saturation is known for a scheme. */
export const countsSaturation = (args: QuantizationArgs): boolean =>
  UNBOUNDED.includes(args.scheme) || gridEnds(args) !== undefined;
