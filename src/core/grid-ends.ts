import { own } from './own.js';
import type { QuantizationArgs } from './scheme.js';

/** The two ends of a scheme's grid and its last step. */
export interface GridEnds {
  /** The first and the last value in units of the scale, less the zero point where there is one. */
  values: [number, number];
  /** Half of the step before an end over the range from end to end. */
  halfStep: number;
}

const ENDS: Record<string, GridEnds> = own({
  int4: { values: [0, 15], halfStep: 0.5 / 15 },
  int8: { values: [0, 255], halfStep: 0.5 / 255 },
  // steps of 32 up to 448, of 8192 up to 57344, of 2 up to 6
  fp8_e4m3: { values: [-448, 448], halfStep: 16 / 896 },
  fp8_e5m2: { values: [-57344, 57344], halfStep: 4096 / 114688 },
  mxfp4: { values: [-6, 6], halfStep: 1 / 12 },
  nvfp4: { values: [-6, 6], halfStep: 1 / 12 },
});

/** The ends of a grid; undefined for schemes whose scale leaves no value beyond them, and for those not known here. */
export const gridEnds = ({ scheme }: QuantizationArgs): GridEnds | undefined =>
  Object.hasOwn(ENDS, scheme) ? ENDS[scheme] : undefined;

/** Schemes that cannot saturate: a value beyond their range is refused, or their scale is the greatest magnitude. */
const UNBOUNDED = ['f32', 'f16', 'bf16', 'nf4'];

/** Whether saturation is known for a scheme. */
export const countsSaturation = (args: QuantizationArgs): boolean =>
  UNBOUNDED.includes(args.scheme) || gridEnds(args) !== undefined;
