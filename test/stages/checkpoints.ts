import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { logicalTensors } from '../../src/model/logical-tensors.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { openRows } from '../../src/sources/read.js';
import { type QuantizeResult, type QuantizeSettings, quantize } from '../../src/stages/quantize.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';

/** The values of every logical tensor of a checkpoint, whatever it wears. */
export async function valuesOf(dir: string): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  const files = new InputFiles();
  try {
    for (const { name, source } of (await logicalTensors(openCheckpoint(dir))).values()) {
      const out = new Float32Array(source.rows * source.cols);
      (await openRows(source, files)).readFloat32(0, source.rows, out);
      values.set(name, out);
    }
  } finally {
    files.close();
  }
  return values;
}

/** A directory of its own for each test file, into which checkpoints are dressed. `remove` ends it. */
export function dressingRoom() {
  const work = mkdtempSync(join(tmpdir(), 'halfbyte-dressed-'));
  const notes: string[] = [];
  let count = 0;
  return {
    work,
    /** What the last quantization told besides. */
    notes,
    async quantize(
      checkpoint: string,
      request: QuantizeRequest,
      settings: Partial<QuantizeSettings> = {},
    ): Promise<QuantizeResult & { dir: string }> {
      const dir = settings.output ?? join(work, `${request.layout}-${count++}`);
      const { signal } = new AbortController();
      notes.length = 0;
      const complete = { dryRun: false, workers: 0, ...settings, output: dir };
      const result = await quantize(
        checkpoint,
        request,
        complete,
        () => {},
        signal,
        (text) => notes.push(text),
      );
      return { ...result, dir };
    },
    remove: () => rmSync(work, { recursive: true, force: true }),
  };
}
