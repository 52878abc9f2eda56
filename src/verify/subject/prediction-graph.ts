import { PREDICTION_GRAPH } from '../../blocks/prediction.js';
import type { Graph } from '../../core/graph.js';
import type { Manifest } from '../../formats/manifest.js';
import type { Package } from '../../formats/package-reader.js';
import { drawGraphs, type Model } from '../../model/model.js';
import { DRAFT_FILE } from '../../runtime/speculate.js';
import { PackageWeights } from './package-weights.js';

/** A package's graph of multi-token prediction as drawn, and its own numbers. */
export interface Prediction {
  graph: Graph;
  weights: PackageWeights;
}

/** Null where the model has no such graph or the package does not bring it. */
export function predictionOf(opened: Package, manifest: Manifest, model: Model): Prediction | null {
  const graph: Graph | undefined = drawGraphs(model, manifest.options.contextLength)[PREDICTION_GRAPH];
  if (!graph || !manifest.tensors[DRAFT_FILE]) return null;
  return { graph, weights: new PackageWeights(opened.dir, manifest, graph, [DRAFT_FILE]) };
}
