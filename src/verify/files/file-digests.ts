import { join } from 'node:path';
import type { Kernels } from '../../core/kernels.js';
import type { Check } from '../../core/verify-report.js';
import { DIGEST_ALGORITHM, DIGEST_STATE_BYTES, Digest } from '../../engine/digest.js';
import type { ChunkDigest, Manifest } from '../../formats/manifest.js';
import { type Package, sizeInPackage } from '../../formats/package-reader.js';
import { loadKernels } from '../../kernels/kernels.js';
import { InputFiles } from '../../sources/input-files.js';

const PIECE = 1 << 20;

/** The files that the manifest lists: there, of their size, with their digests. One check a file, naming damaged tensors. */
export async function checkFiles(
  opened: Pick<Package, 'dir'>,
  manifest: Pick<Manifest, 'digest_algorithm' | 'files' | 'tensors'>,
): Promise<Check[]> {
  if (manifest.digest_algorithm !== DIGEST_ALGORITHM) {
    const message = `halfbyte.json has ${manifest.digest_algorithm} digests; this version knows ${DIGEST_ALGORITHM}.`;
    return [{ id: 'files', group: 'integrity', verdict: 'fail', message, where: 'halfbyte.json' }];
  }
  const kernels = await loadKernels();
  const files = new InputFiles();
  try {
    return manifest.files.map((file) => {
      const base = { id: `file ${file.name}`, group: 'integrity' as const, where: file.name };
      const size = sizeInPackage(opened, file.name);
      const fail = (message: string): Check => ({ ...base, verdict: 'fail', message: `${file.name}: ${message}` });
      if (size === undefined) return fail('is missing; halfbyte.json lists it.');
      if (size !== file.size) return fail(`has ${size} bytes; halfbyte.json says ${file.size}.`);
      const beyond = file.chunks.find(
        ({ offset, nbytes, segments, stride }) => endOf(offset, nbytes, segments, stride) > size,
      );
      if (beyond)
        return fail(`has ${size} bytes; halfbyte.json describes some from ${beyond.offset} on that it lacks.`);
      const path = join(opened.dir, file.name);
      const damaged = file.chunks.filter((chunk) => digestOf(kernels, files, path, chunk) !== chunk.digest);
      if (damaged.length > 0) return fail(damageText(file.name, damaged, manifest));
      return { ...base, verdict: 'pass', message: `${file.name} has its size and its digests.` };
    });
  } finally {
    files.close();
  }
}

function digestOf(kernels: Kernels, files: InputFiles, path: string, chunk: ChunkDigest): string {
  const { offset, nbytes, segments = 1, stride = 0 } = chunk;
  const buffer = kernels.heapBase + DIGEST_STATE_BYTES;
  kernels.reserve(DIGEST_STATE_BYTES + PIECE);
  const digest = new Digest(kernels, kernels.heapBase);
  const length = nbytes / segments;
  for (let segment = 0; segment < segments; segment++) {
    for (let done = 0; done < length; done += PIECE) {
      const count = Math.min(PIECE, length - done);
      files.read(path, offset + segment * stride + done, kernels.bytes(buffer, count));
      digest.update(buffer, count);
    }
  }
  return digest.finish();
}

/** Where the last piece of a chunk ends. */
const endOf = (offset: number, nbytes: number, segments = 1, stride = 0): number =>
  offset + (segments - 1) * stride + nbytes / segments;

function damageText(file: string, damaged: ChunkDigest[], manifest: Pick<Manifest, 'tensors'>): string {
  const tensors = damaged.flatMap((chunk) => tensorsAt(file, chunk, manifest));
  const names = [...new Set(tensors)];
  const { offset, nbytes } = damaged[0];
  const place = damaged.length === 1 ? `bytes ${offset} to ${offset + nbytes}` : `${damaged.length} runs of bytes`;
  const listed = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
  return `${place} differ from what was written${names.length > 0 ? `: ${listed}` : ''}.`;
}

function tensorsAt(file: string, chunk: ChunkDigest, manifest: Pick<Manifest, 'tensors'>): string[] {
  const end = endOf(chunk.offset, chunk.nbytes, chunk.segments, chunk.stride);
  return Object.values(manifest.tensors).flatMap((tensors) =>
    Object.entries(tensors).flatMap(([name, { parts }]) =>
      Object.entries(parts)
        .filter(([, part]) => part.file === file && part.offset < end && part.offset + part.nbytes > chunk.offset)
        .map(([part]) => `${name} (${part})`),
    ),
  );
}
