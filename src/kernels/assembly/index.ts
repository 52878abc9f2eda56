export { e2m1Groups } from './e2m1_groups';
export { errorSettings } from './error_grids';
export { measureRows } from './error_calls';
export { scaledFloats } from './dequantize';
export { convertFloats } from './floats';
export { fp8Blocks } from './fp8';
export { ggmlBlocks, refusedIndex, refusedValue } from './ggml_blocks';
export { halfQuadraticGroups } from './half_quadratic_groups';
export { halfQuadraticRows } from './half_quadratic_rows';
export { integerSettings } from './integer_grids';
export { integerGroups } from './integer_groups';
export { integerRows } from './integer_rows';
export { searchSettings } from './search_settings';
export { nf4Blocks } from './nf4';
export { rotaryRows } from './rotary';
export { TABLE as byteTable, widenBrains, widenBytes, widenDoubles, widenHalves } from './widen';
export { finishDigest, startDigest, updateDigest } from './xxh64';

/** First byte that belongs to the caller. */
export const heapBase: usize = (__heap_base + 15) & ~15;
