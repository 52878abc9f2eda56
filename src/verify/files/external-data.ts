import type { FileRange } from '../../core/checkpoint.js';
import type { Check } from '../../core/verify-report.js';
import { type Package, sizeInPackage } from '../../formats/package-reader.js';

/** Whether the bytes that a graph's initializers name are inside their files, and none reaches into another's. */
export function checkExternalData(opened: Package, graphFile: string, external: Record<string, FileRange>): Check {
  const base = { id: `external data ${graphFile}`, group: 'integrity' as const };
  const fail = (where: string, message: string): Check => ({ ...base, verdict: 'fail', message, where });
  for (const [name, { file, offset, nbytes }] of Object.entries(external)) {
    const size = sizeInPackage(opened, file);
    if (size === undefined)
      return fail(file, `${graphFile}: "${name}" is in ${file}, which the package does not have.`);
    if (!(offset >= 0 && offset + nbytes <= size)) {
      const span = `bytes ${offset} to ${offset + nbytes}`;
      return fail(file, `${graphFile}: "${name}" takes ${span} of ${file}, which has ${size}.`);
    }
  }
  const places = Object.entries(external).sort(([, a], [, b]) => a.offset - b.offset || a.nbytes - b.nbytes);
  const last = new Map<string, [name: string, place: FileRange]>();
  for (const [name, place] of places) {
    const before = last.get(place.file);
    // Tied tables take the very same bytes.
    const isSame = before?.[1].offset === place.offset && before[1].nbytes === place.nbytes;
    if (before && !isSame && before[1].offset + before[1].nbytes > place.offset) {
      return fail(name, `${graphFile}: "${before[0]}" and "${name}" take bytes of ${place.file} that overlap.`);
    }
    last.set(place.file, [name, place]);
  }
  return {
    ...base,
    verdict: 'pass',
    where: graphFile,
    message: `The ${places.length} initializers of ${graphFile} with external data lie inside their files.`,
  };
}
