import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Graph } from '../../src/core/graph.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { layoutOf, logicalTensorsOf } from '../../src/model/logical-tensors.js';
import { drawGraphs, openModel, servedPositions } from '../../src/model/model.js';
import { type Evaluation, type EvaluationOptions, evaluate } from '../../src/reference/evaluate.js';
import { storedWeights } from '../../src/reference/stored-weights.js';
import { ids } from '../../src/registry.js';
import { InputFiles } from '../../src/sources/input-files.js';

export const fixture = (path: string) => fileURLToPath(new URL(`../../fixtures/${path}`, import.meta.url));
export const json = (path: string): JsonObject => JSON.parse(readFileSync(fixture(path), 'utf8'));

/** Names of the fixtures with a golden whose family has a registered architecture and whose layout is registered. */
export async function supportedFixtures(): Promise<string[]> {
  const supported: string[] = [];
  for (const folder of readdirSync(fixture('.'), { withFileTypes: true })) {
    if (!folder.isDirectory()) continue;
    const files = readdirSync(fixture(folder.name));
    if (!files.includes('golden.safetensors') || !files.includes('config.json')) continue;
    const config = json(`${folder.name}/config.json`);
    if (!ids('architectures').includes(String(config.model_type))) continue;
    // An unquantized checkpoint is never left out: `plain` must take it.
    if (config.quantization_config) {
      const checkpoint = openCheckpoint(fixture(folder.name));
      if (!(await layoutOf(checkpoint).catch(() => undefined))) continue;
    }
    supported.push(folder.name);
  }
  return supported;
}

/** Draws a fixture's graphs and returns how to evaluate one of them by the reference engine. */
export async function openFixture(name: string) {
  const checkpoint = openCheckpoint(fixture(name));
  const model = await openModel(checkpoint);
  const graphs = drawGraphs(model, servedPositions(model.config));
  const logical = await logicalTensorsOf(model);
  const run = async (graph: Graph, inputIds: number[][], options?: EvaluationOptions): Promise<Evaluation> => {
    const files = new InputFiles();
    try {
      return await evaluate(graph, storedWeights(graph, logical, files), inputIds, options);
    } finally {
      files.close();
    }
  };
  return { model, graphs, run };
}
