export { decodeFp8 } from './decode_fp8';
export { decodeGgml } from './decode_ggml';
export { decodeIntegers } from './decode_integers';
export { decodeE2m1, decodeNf4 } from './decode_tables';
export { e2m1Groups } from './e2m1_groups';
export { addErrors } from './errors';
export { convertFloats } from './floats';
export { fp8Blocks, fp8Settings } from './fp8';
export { groupRanges } from './group_ranges';
export { ggmlBlocks, refusedIndex, refusedValue } from './ggml_blocks';
export { halfQuadraticGroups } from './half_quadratic_groups';
export { halfQuadraticRows } from './half_quadratic_rows';
export { integerSettings } from './integer_grids';
export { integerGroups } from './integer_groups';
export { integerRows } from './integer_rows';
export { searchSettings } from './search_settings';
export { nf4Blocks } from './nf4';
export { rotaryRows } from './rotary';
export { countSaturated, gridSettings } from './saturation';
export { scaleSettings } from './stored_grids';
export { TABLE as byteTable, widenBrains, widenBytes, widenDoubles, widenHalves } from './widen';
export { finishDigest, startDigest, updateDigest } from './xxh64';

/** First byte that belongs to the caller. */
export const heapBase: usize = (__heap_base + 15) & ~15;
