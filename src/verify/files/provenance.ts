import { basename, join } from 'node:path';
import type { JsonObject } from '../../core/json.js';
import type { Provenance } from '../../core/verify-report.js';
import { sha256OfFile, sizeOfFile } from '../../formats/file-digest.js';
import { MANIFEST } from '../../formats/manifest.js';
import { isFile } from '../../formats/package-reader.js';
import { readJsonObject } from '../../formats/text.js';
import { loadOnnxRuntime } from '../../runtime/onnxruntime.js';
import type { Reference } from '../referees/open-reference.js';

/** What a verification was made of and with. `dir` is the package's or the checkpoint's. */
export async function provenanceOf(dir: string, reference: Reference): Promise<Provenance> {
  const file = join(dir, MANIFEST);
  const { env } = await loadOnnxRuntime();
  return {
    versions: { node: process.versions.node, 'onnxruntime-node': env.versions.node ?? env.versions.common },
    platform: `${process.platform} ${process.arch}`,
    manifestSha256: isFile(file) ? await sha256OfFile(file) : null,
    options: optionsOf(file),
    reference: await referenceFiles(reference),
  };
}

/** The options of a manifest; null where there are none. That it is damaged is a finding of the checks. */
function optionsOf(manifest: string): JsonObject | null {
  try {
    return (readJsonObject(manifest)?.options as JsonObject | undefined) ?? null;
  } catch {
    return null;
  }
}

async function referenceFiles({ stored, checkpoint }: Reference): Promise<Provenance['reference']> {
  const shards = checkpoint?.model.checkpoint.files ?? [];
  const files = shards.map(({ name, size, headerSha256 }) => ({
    name,
    size,
    sha256: headerSha256,
    of: 'header' as const,
  }));
  if (!stored) return files;
  const { file } = stored;
  return [...files, { name: basename(file), size: sizeOfFile(file), sha256: await sha256OfFile(file), of: 'file' }];
}
