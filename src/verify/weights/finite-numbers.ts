import { stopIfAsked } from '../../core/interruption.js';
import type { ProgressListener } from '../../core/progress.js';
import type { Check } from '../../core/verify-report.js';
import type { LogicalTensor } from '../../core/weights.js';
import { InputFiles } from '../../sources/input-files.js';
import { tileRows } from '../../sources/open-rows.js';
import { openRows } from '../../sources/read.js';

/** Whether all numbers of a checkpoint are numbers, where there is nothing to hold them to. */
export async function checkFinite(
  own: ReadonlyMap<string, LogicalTensor>,
  { onProgress, signal }: { onProgress: ProgressListener; signal?: AbortSignal | undefined },
): Promise<Check> {
  const files = new InputFiles();
  let done = 0;
  const base = { id: 'weights', group: 'weights' as const };
  try {
    for (const { name, source } of own.values()) {
      stopIfAsked(signal, 'verifying');
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
