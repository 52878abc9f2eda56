import type { QuantizationArgs } from '../../core/scheme.js';
import type { RowSource } from '../../core/weights.js';
import { find } from '../../registry.js';

const FLOATS: Record<string, string> = { F64: 'f32', F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** The number format of a tensor: its layout's grid where that is one of a scheme, else what the layout is called. */
export async function schemeOf({ source }: { source: RowSource }): Promise<QuantizationArgs> {
  const plain = { strategy: 'tensor', symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' } as const;
  if (source.kind === 'packed') {
    const layout = await find('layouts', source.layout);
    // Nothing says by which search a checkpoint's codes were found.
    const grid = layout?.grid?.(source);
    return grid ? { ...grid, algorithm: 'mse' } : { ...plain, scheme: source.layout };
  }
  if (source.kind === 'tensor') return { ...plain, scheme: FLOATS[source.ref.dtype] ?? source.ref.dtype.toLowerCase() };
  return 'source' in source ? schemeOf(source) : { ...plain, scheme: 'f32' };
}
