import { schemeText } from '../../core/scheme-text.js';
import type { VerifySubject } from '../../core/verify-report.js';
import type { Package } from '../../formats/package-reader.js';
import { layoutOf } from '../../model/logical-tensors.js';
import type { ReferenceCheckpoint } from '../referees/reference-checkpoint.js';
import { manifestOf } from './package-manifest.js';
import { schemeSizes } from './scheme-sizes.js';
import { schemeOf } from './tensor-scheme.js';

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
