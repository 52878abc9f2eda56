import type { ProgressListener } from '../../core/progress.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import type { Check } from '../../core/verify-report.js';
import type { LogicalTensor, RowSource } from '../../core/weights.js';
import { find } from '../../registry.js';
import { InputFiles } from '../../sources/input-files.js';
import { tileRows } from '../../sources/open-rows.js';
import { openRows } from '../../sources/read.js';
import { stopIfAsked } from './stop.js';
import type { WeightPair } from './weight-checks.js';

const FLOATS: Record<string, string> = { F64: 'f32', F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** Every tensor of a checkpoint beside the reference's of the same name; tensors that stand in one of them are missing. */
export async function checkpointPairs(
  own: ReadonlyMap<string, LogicalTensor>,
  reference: ReadonlyMap<string, LogicalTensor>,
): Promise<{ pairs: WeightPair[]; missing: string[] }> {
  const pairs: WeightPair[] = [];
  const missing = [...own.keys()].filter((name) => !reference.has(name));
  for (const { name, shape, source } of reference.values()) {
    const found = own.get(name);
    const isAlike = found?.source.rows === source.rows && found.source.cols === source.cols;
    if (!found || !isAlike) missing.push(name);
    else
      pairs.push({ name, shape, reference: source, actual: { source: found.source, scheme: await schemeOf(found) } });
  }
  return { pairs, missing };
}

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

/** Whether all numbers of a checkpoint are numbers, where there is nothing to hold them to. */
export async function checkFinite(
  own: ReadonlyMap<string, LogicalTensor>,
  { onProgress, signal }: { onProgress: ProgressListener; signal?: AbortSignal },
): Promise<Check> {
  const files = new InputFiles();
  let done = 0;
  const base = { id: 'weights', group: 'weights' as const };
  try {
    for (const { name, source } of own.values()) {
      stopIfAsked(signal);
      const rows = await openRows(source, files);
      const step = Math.min(rows.rows, tileRows(rows.cols, rows.quantum));
      const buffer = new Float32Array(step * rows.cols);
      for (let from = 0; from < rows.rows; from += step) {
        const count = Math.min(step, rows.rows - from);
        const values = buffer.subarray(0, count * rows.cols);
        rows.readFloat32(from, count, values);
        const at = values.findIndex((value) => !Number.isFinite(value));
        if (at < 0) continue;
        const place = `row ${from + Math.floor(at / rows.cols)}, column ${at % rows.cols}`;
        return { ...base, verdict: 'fail', message: `${name}: ${values[at]} at ${place}.`, where: name };
      }
      onProgress({ stage: 'weights', done: ++done, total: own.size, label: name });
    }
  } finally {
    files.close();
  }
  return { ...base, verdict: 'pass', message: `All ${own.size} tensors can be read and hold numbers alone.` };
}
