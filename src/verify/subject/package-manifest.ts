import { InvalidInputError } from '../../core/errors.js';
import type { Graph } from '../../core/graph.js';
import type { Manifest } from '../../formats/manifest.js';
import type { Package } from '../../formats/package-reader.js';
import { drawGraphs, type Model, modelOfConfig } from '../../model/model.js';

/** The manifest of a package, null in a package of another tool. */
export const manifestOf = (opened: Package): Manifest | null => opened.manifest as unknown as Manifest | null;

/** The model that a package was made of, without its weights. */
export const modelOfPackage = ({ dir }: Package, { checkpoint, tensors }: Manifest): Promise<Model> =>
  modelOfConfig(dir, checkpoint.config, {}, Object.values(tensors).flatMap(Object.keys));

/** The decoder's graph as drawn, for so many positions. */
export function drawnDecoder(model: Model, contextLength: number): Graph {
  return drawGraphs(model, contextLength).decoder;
}

/** Throws InvalidInputError where the manifest is not one that this version reads. */
export function checkManifest(opened: Package): void {
  const manifest = manifestOf(opened);
  if (!manifest) return;
  const isWhole =
    manifest.format_version === 1 &&
    [manifest.options, manifest.checkpoint?.config, manifest.tensors, manifest.totals].every(
      (each) => typeof each === 'object' && each !== null,
    ) &&
    Array.isArray(manifest.files);
  if (isWhole) return;
  throw new InvalidInputError(
    `${opened.dir}/halfbyte.json: is not a manifest of format version 1.`,
    'convert the checkpoint again with this version.',
  );
}
