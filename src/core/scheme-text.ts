import type { QuantizationArgs } from './scheme.js';

/** A scheme in a few words, as `int4 group 32` or `fp8_e4m3 block 128x128`. */
export function schemeText(args: QuantizationArgs): string {
  const { scheme, group_size, block_structure, strategy, symmetric, scale_dtype } = args;
  if (scheme === 'f32' || scheme === 'f16' || scheme === 'bf16') return scheme;
  const extent =
    strategy === 'group'
      ? `group ${group_size}`
      : strategy === 'block'
        ? `block ${block_structure?.join('x')}`
        : strategy;
  return `${scheme} ${extent}${symmetric ? '' : ' asymmetric'}${scale_dtype === 'F32' ? '' : ` ${scale_dtype} scales`}`;
}
