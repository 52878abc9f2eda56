import { join } from 'node:path';
import type { Graph } from '../../core/graph.js';
import { MANIFEST, type Manifest } from '../../formats/manifest.js';
import { packageManifestOf } from '../../formats/manifest-reader.js';
import type { Package } from '../../formats/package-reader.js';
import { drawGraphs, type Model, modelOfConfig } from '../../model/model.js';

/** The manifest of a package, checked; null in a package of another tool. Throws InvalidInputError that names the key. */
export const manifestOf = ({ manifest, dir }: Package): Manifest | null =>
  manifest && packageManifestOf(manifest, join(dir, MANIFEST));

/** The model that a package was made of, without its weights. */
export const modelOfPackage = ({ dir }: Package, { checkpoint, tensors }: Manifest): Promise<Model> =>
  modelOfConfig(dir, checkpoint.config, {}, Object.values(tensors).flatMap(Object.keys));

/** The decoder's graph as drawn, for so many positions. */
export function drawnDecoder(model: Model, contextLength: number): Graph {
  return drawGraphs(model, contextLength).decoder;
}
