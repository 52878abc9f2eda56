import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Graph } from '../../src/core/graph.js';
import type { Plan } from '../../src/core/plan.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { logicalTensorsOf } from '../../src/model/logical-tensors.js';
import { drawGraphs, openModel, servedPositions } from '../../src/model/model.js';
import { type EvaluationOptions, evaluate } from '../../src/reference/evaluate.js';
import { storedWeights } from '../../src/reference/stored-weights.js';
import type { WeightLookup } from '../../src/reference/weights.js';
import { find } from '../../src/registry.js';
import { InputFiles } from '../../src/sources/input-files.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { plan } from '../../src/stages/plan.js';
import { writePackage } from '../../src/stages/write.js';

export const fixturePath = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));

/** A folder for packages and checkpoints of one test file. */
export function workFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'halfbyte-families-'));
  let packages = 0;
  return {
    path: (name: string) => join(folder, name),
    /** Converts a checkpoint; returns the package's directory and the plan that made it. */
    async convert(checkpoint: string, request: ConvertRequest): Promise<{ dir: string; plan: Plan }> {
      const planned = await plan(openCheckpoint(checkpoint), request);
      const dir = join(folder, `package-${packages++}`);
      await writePackage(planned, dir, { workers: 0 }, () => {}, new AbortController().signal);
      return { dir, plan: planned };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A checkpoint's drawn graphs and how to evaluate one by the reference engine, with other weights than stored if asked. */
export async function openForReference(dir: string) {
  const checkpoint = openCheckpoint(dir);
  const model = await openModel(checkpoint);
  const graphs = drawGraphs(model, servedPositions(model.config));
  const logical = await logicalTensorsOf(model);
  const run = async (
    graph: Graph,
    ids: number[][],
    options?: EvaluationOptions,
    change: (stored: WeightLookup) => WeightLookup = (stored) => stored,
  ) => {
    const files = new InputFiles();
    try {
      return await evaluate(graph, change(storedWeights(graph, logical, files)), ids, options);
    } finally {
      files.close();
    }
  };
  return { model, graphs, run };
}

/** The weights of a drawn graph after a round trip through the schemes that a lowered graph gives them. */
export function dequantized(drawn: Graph, lowered: Graph): (stored: WeightLookup) => WeightLookup {
  return (stored) => async (name) => {
    const rows = await stored(name);
    if (drawn.weights[name].role === 'float') return rows;
    // gate and up of QMoE are one weight, row by row in turns
    const fused = lowered.weights[name.replace(/[^.]*\.weight$/, 'gate_up.weight')];
    const isHalf = /\.(gate_proj|up_proj|w1|w3)\.weight$/.test(name);
    const args = (isHalf && fused ? fused : lowered.weights[name]).scheme;
    const scheme = args && (await find('schemes', args.scheme));
    if (!args || !scheme) throw new Error(`${name} has no scheme`);
    const values = new Float32Array(rows.rows * rows.cols);
    await rows.readFloat32(0, rows.rows, values);
    const layout = Object.entries(scheme.layout(rows.rows, rows.cols, args));
    const packed = Object.fromEntries(layout.map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
    scheme.quantize(values, rows.cols, args, packed);
    scheme.dequantize(packed, rows.rows, rows.cols, args, values);
    const { rows: count, cols } = rows;
    return {
      rows: count,
      cols,
      readFloat32: (from, height, out) => out.set(values.subarray(from * cols, (from + height) * cols)),
    };
  };
}
