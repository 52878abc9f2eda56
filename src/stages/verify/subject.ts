import type { Checkpoint } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import type { Graph } from '../../core/graph.js';
import type { JsonObject } from '../../core/json.js';
import { schemeText } from '../../core/scheme-text.js';
import type { VerifySubject } from '../../core/verify-report.js';
import type { Manifest } from '../../formats/manifest.js';
import type { Package } from '../../formats/package-reader.js';
import { layoutOf } from '../coverage.js';
import { drawGraphs, type Model, openModel } from '../model.js';
import { schemeOf } from './checkpoint-weights.js';
import type { ReferenceCheckpoint } from './engine.js';
import { schemeSizes } from './scheme-sizes.js';

/** The manifest of a package, null in a package of another tool. */
export const manifestOf = (opened: Package): Manifest | null => opened.manifest as unknown as Manifest | null;

/** The model that a config draws, without its weights; `names` are those of its weights, where they are known. */
export function modelOfConfig(
  dir: string,
  config: JsonObject,
  generationConfig: JsonObject = {},
  names: string[] = [],
): Promise<Model> {
  const checkpoint: Checkpoint = {
    dir,
    config,
    generationConfig,
    tensors: new Map(),
    files: [],
    companions: [],
  };
  return openModel(checkpoint, undefined, names);
}

/** The model that a package was made of, without its weights. */
export const modelOfPackage = ({ dir }: Package, { checkpoint, tensors }: Manifest): Promise<Model> =>
  modelOfConfig(dir, checkpoint.config, {}, Object.values(tensors).flatMap(Object.keys));

/** The decoder's graph as drawn, for so many positions. */
export function drawnDecoder(model: Model, contextLength: number): Graph {
  return drawGraphs(model, contextLength).decoder;
}

/** A package as the report introduces it. */
export function describePackage(opened: Package): VerifySubject {
  const manifest = manifestOf(opened);
  const base = { kind: 'package' as const, path: opened.dir, model: opened.genai.model.type };
  if (!manifest) {
    return {
      ...base,
      target: 'unknown',
      schemes: {},
      accuracyLevel: null,
      parameters: null,
      weightBytes: null,
      bitsPerWeight: null,
      files: [],
    };
  }
  const schemes: Record<string, number> = {};
  for (const { scheme } of Object.values(manifest.tensors).flatMap((each) => Object.values(each))) {
    schemes[schemeText(scheme)] = (schemes[schemeText(scheme)] ?? 0) + 1;
  }
  return {
    ...base,
    model: String(manifest.checkpoint.config.model_type),
    target: manifest.options.target,
    schemes,
    accuracyLevel: manifest.options.accuracyLevel,
    parameters: manifest.totals.parameters,
    weightBytes: manifest.totals.weightBytes,
    bitsPerWeight: manifest.totals.bitsPerWeight,
    sizes: schemeSizes(manifest.tensors),
    files: manifest.files.map(({ name, size }) => ({ name, size })),
  };
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

/** A checkpoint as the report introduces it; `own` is null where it cannot be opened. */
export async function describeCheckpoint(dir: string, own: ReferenceCheckpoint | null): Promise<VerifySubject> {
  const base = { kind: 'checkpoint' as const, path: dir, accuracyLevel: null };
  if (!own) {
    const nothing = { parameters: null, weightBytes: null, bitsPerWeight: null };
    return { ...base, ...nothing, model: 'unknown', target: 'unknown', schemes: {}, files: [] };
  }
  const { model, logical } = own;
  const schemes: Record<string, number> = {};
  for (const tensor of logical.values()) {
    const scheme = schemeText(await schemeOf(tensor));
    schemes[scheme] = (schemes[scheme] ?? 0) + 1;
  }
  const parameters = [...logical.values()].reduce((sum, { source }) => sum + source.rows * source.cols, 0);
  const weightBytes = [...model.checkpoint.tensors.values()].reduce((sum, { nbytes }) => sum + nbytes, 0);
  return {
    ...base,
    model: model.config.model_type,
    target: (await layoutOf(model.checkpoint)).id,
    schemes,
    parameters,
    weightBytes,
    bitsPerWeight: (8 * weightBytes) / parameters,
    files: model.checkpoint.files.map(({ name, size }) => ({ name, size })),
  };
}
