import { isAbsolute, normalize, sep } from 'node:path';
import * as z from 'zod';
import { InvalidInputError } from '../core/errors.js';
import type { CheckpointManifest, Manifest } from './manifest.js';

const size = z.int().nonnegative();
/** Rows and columns of blocks, columns of groups: no scheme has more in one. */
const extent = z
  .int()
  .positive()
  .max(1 << 24);
/** A file of the package itself. */
const ownName = z.string().min(1).refine(isInside, 'leaves the package');

const scheme = z.looseObject({
  scheme: z.string(),
  strategy: z.string(),
  group_size: extent.optional(),
  block_structure: z.tuple([extent, extent]).optional(),
  symmetric: z.boolean(),
  scale_dtype: z.string(),
  algorithm: z.string(),
});

const chunk = z
  .looseObject({
    offset: size,
    nbytes: size,
    segments: z.int().positive().optional(),
    stride: size.optional(),
    digest: z.string(),
  })
  // More pieces than bytes would be looked at for nothing.
  .refine(({ segments = 1, nbytes }) => segments <= Math.max(1, nbytes), 'has more segments than bytes');

const file = z.looseObject({ name: ownName, size, sha256: z.string().optional(), chunks: z.array(chunk) });
const inputFile = z.looseObject({ name: z.string(), size, header_sha256: z.string(), sha256: z.string().optional() });

const tensor = z.looseObject({
  shape: z.array(size).max(8),
  role: z.string(),
  scheme,
  source: z.union([z.string(), z.looseObject({})]),
  parts: z.record(z.string(), z.looseObject({ file: ownName, offset: size, nbytes: size })),
});

const head = {
  format_version: z.literal(1),
  tool: z.looseObject({ name: z.literal('halfbyte'), version: z.string() }),
  checkpoint: z.looseObject({
    config: z.looseObject({}),
    unread_config_keys: z.array(z.string()).optional(),
    files: z.array(inputFile),
  }),
  totals: z.looseObject({ parameters: z.number(), weightBytes: z.number(), bitsPerWeight: z.number() }),
  digest_algorithm: z.string(),
  files: z.array(file).min(1),
};

const override = z.looseObject({ pattern: z.string(), scheme });

const packageManifest = z.looseObject({
  ...head,
  options: z.looseObject({
    target: z.string(),
    weights: scheme,
    embeddings: scheme,
    lmHead: scheme,
    only: z.array(z.string()),
    skip: z.array(z.string()),
    overrides: z.array(override),
    accuracyLevel: z.number(),
    contextLength: z.int().positive(),
    prefill: z.number(),
    activations: z.string(),
  }),
  calibration: z.looseObject({ text: z.string(), tokens: z.number(), ids_sha256: z.string() }).optional(),
  graphs: z.array(
    z.looseObject({ file: ownName, operators: z.record(z.string(), size), notes: z.array(z.string()).optional() }),
  ),
  tensors: z.record(z.string(), z.record(z.string(), tensor)),
});

const checkpointManifest = z.looseObject({
  ...head,
  tensors: z
    .array(
      z.looseObject({
        fate: z.string(),
        scheme,
        errors: z.looseObject({ exact: z.boolean() }).optional(),
      }),
    )
    .optional(),
});

/** What a checkpoint's manifest says of its files, of what it was made of and of its tensors. */
export type CheckpointRecord = Pick<Manifest, 'digest_algorithm' | 'files' | 'checkpoint'> &
  Partial<Pick<CheckpointManifest, 'tensors'>>;

const checked = new WeakSet<object>();

/**
 * halfbyte.json of a package, of which every field is what it is said to be. Throws InvalidInputError that names the
 * file and the key.
 */
export const packageManifestOf = (value: object, path: string): Manifest => check(value, path, packageManifest);

/** The same of a checkpoint, as far as its files and where it comes from. */
export const checkpointManifestOf = (value: object, path: string): CheckpointRecord =>
  check<CheckpointRecord>(value, path, checkpointManifest);

function check<T extends object = Manifest>(value: object, path: string, schema: z.ZodType): T {
  if (checked.has(value)) return value as T;
  const { success, error } = schema.safeParse(value);
  if (success) {
    checked.add(value);
    return value as T;
  }
  const [issue] = error.issues;
  const key = issue.path.length > 0 ? `"${issue.path.map(String).join('.').slice(0, 200)}"` : 'the whole';
  throw new InvalidInputError(
    `${path}: is not a manifest of format version 1: ${key}: ${issue.message}.`,
    'copy the package again with all its files, or convert the checkpoint again with this version.',
  );
}

function isInside(name: string): boolean {
  const path = normalize(name);
  return !isAbsolute(path) && path !== '.' && path !== '..' && !path.startsWith(`..${sep}`) && !name.includes('\0');
}
