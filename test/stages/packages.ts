import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Graph } from '../../src/core/graph.js';
import type { Manifest } from '../../src/formats/manifest.js';
import { openPackage } from '../../src/formats/package-reader.js';
import { drawGraphs } from '../../src/model/model.js';
import { evaluate } from '../../src/reference/evaluate.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { convert } from '../../src/stages/convert.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { modelOfPackage } from '../../src/verify/subject/package-manifest.js';
import { PackageWeights } from '../../src/verify/subject/package-weights.js';
import { fixture } from '../reference/fixtures.js';

/** A directory of its own for each test file, with packages made on first demand. `remove` ends it. */
export function packages() {
  const work = mkdtempSync(join(tmpdir(), 'halfbyte-packages-'));
  const made = new Map<string, Promise<string>>();
  let others = 0;
  return {
    work,
    /** Converts a fixture in this thread and returns the package's directory. */
    of(name: string, request: ConvertRequest): Promise<string> {
      const key = JSON.stringify([name, request]);
      const output = join(work, `${name}-${made.size}`);
      const known = made.get(key) ?? makePackage(fixture(name), output, request);
      made.set(key, known);
      return known;
    },
    /** Converts any checkpoint. */
    make: (checkpoint: string, request: ConvertRequest) =>
      makePackage(checkpoint, join(work, `package-${others++}`), request),
    remove: () => rmSync(work, { recursive: true, force: true }),
  };
}

export async function makePackage(checkpoint: string, output: string, request: ConvertRequest): Promise<string> {
  const { signal } = new AbortController();
  await convert(checkpoint, request, { output, dryRun: false, workers: 0 }, () => {}, signal);
  return output;
}

/** Logits of the reference engine on a package's own dequantized weights, [tokens, vocabulary]. */
export async function dequantizedLogits(dir: string, sequences: number[][]): Promise<Float32Array> {
  const opened = openPackage(dir);
  const manifest = opened.manifest as unknown as Manifest;
  const model = await modelOfPackage(opened, manifest);
  const drawn: Graph = drawGraphs(model, manifest.options.contextLength).decoder;
  const files = new InputFiles();
  try {
    return (await evaluate(drawn, new PackageWeights(dir, manifest, drawn).lookup(files), sequences)).logits;
  } finally {
    files.close();
  }
}
