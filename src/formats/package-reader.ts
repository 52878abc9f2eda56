import { statSync } from 'node:fs';
import { isAbsolute, join, normalize, sep } from 'node:path';
import * as z from 'zod';
import { InvalidInputError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import { LARGEST } from './input-file.js';
import { MANIFEST } from './manifest.js';
import { readJsonObject } from './text.js';

const tokenId = z.int().nonnegative();
const count = z.int().positive();
const names = z.record(z.string(), z.string());

const pipelineStage = z.looseObject({
  filename: z.string(),
  inputs: z.array(z.string()),
  outputs: z.array(z.string()),
  run_on_prompt: z.boolean().default(true),
  run_on_token_gen: z.boolean().default(true),
  is_lm_head: z.boolean().default(false),
});
const pipelineStages = z.record(z.string(), pipelineStage);

const slidingWindow = z.looseObject({
  window_size: count,
  pad_value: z.number().default(0),
  alignment: z.enum(['left', 'right']).default('right'),
  slide_inputs: z.boolean().default(true),
  slide_key_value_cache: z.boolean().default(true),
});

/**
 * genai_config.json as ONNX Runtime GenAI reads it (its src/config.h), as far as running a decoder needs it; other keys
 * stay as they are. Defaults are that reader's.
 */
const genaiConfig = z.looseObject({
  model: z.looseObject({
    type: z.string(),
    bos_token_id: tokenId.nullish(),
    eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
    pad_token_id: tokenId.nullish(),
    context_length: count,
    vocab_size: count,
    decoder: z.looseObject({
      filename: z.string().optional(),
      num_hidden_layers: count.optional(),
      num_key_value_heads: count.optional(),
      head_size: count.optional(),
      hidden_size: count.optional(),
      inputs: names.default({}),
      outputs: names.default({}),
      session_options: z.looseObject({ intra_op_num_threads: count.optional() }).default({}),
      sliding_window: slidingWindow.optional(),
      /** Written as one object of stages or as a list of them; read as one list in order. */
      pipeline: z.union([pipelineStages, z.array(pipelineStages)]).optional(),
    }),
  }),
  search: z
    .looseObject({
      max_length: count.optional(),
      do_sample: z.boolean().default(false),
      temperature: z.number().nonnegative().default(1),
      top_k: z.int().nonnegative().default(50),
      top_p: z.number().min(0).max(1).default(0),
      repetition_penalty: z.number().positive().default(1),
      num_beams: count.default(1),
      past_present_share_buffer: z.boolean().default(false),
    })
    .prefault({}),
});

/** What is read back of halfbyte.json; whoever needs more of it reads `manifest`. */
const manifestGraphs = z.looseObject({
  graphs: z.array(z.looseObject({ file: z.string(), operators: z.record(z.string(), count) })).default([]),
});

export type GenaiConfig = z.infer<typeof genaiConfig>;
export type GenaiSearch = GenaiConfig['search'];
export type PipelineStage = z.infer<typeof pipelineStage> & { name: string };

/** A package directory: its settings, and what halfbyte says of how it was made (null in a package of another tool). */
export interface Package {
  dir: string;
  genai: GenaiConfig;
  manifest: JsonObject | null;
}

/**
 * Opens a package directory: reads genai_config.json and halfbyte.json and checks them; graphs and weights stay closed.
 * Throws InvalidInputError that names the file and the key.
 */
export function openPackage(dir: string): Package {
  if (!isDirectory(dir)) {
    throw new InvalidInputError(
      `${dir}: there is no such directory; a package is a directory with genai_config.json and model.onnx.`,
      'check the path, or make a package with halfbyte convert.',
    );
  }
  const json = readJsonObject(join(dir, 'genai_config.json'));
  if (json === undefined) {
    const isCheckpoint = readJsonObject(join(dir, 'config.json')) !== undefined;
    throw new InvalidInputError(
      `${dir}: this is not a package: it has no genai_config.json.`,
      isCheckpoint
        ? `it looks like a checkpoint: convert it first with halfbyte convert ${dir} -o <package>.`
        : 'give the directory that halfbyte convert wrote.',
    );
  }
  const parsed = genaiConfig.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const key = issue?.path.length ? issue.path.join('.') : 'the file';
    throw new InvalidInputError(
      `${join(dir, 'genai_config.json')}: ${key}: ${issue?.message ?? 'not as expected'}.`,
      'convert the checkpoint again, or correct this key.',
    );
  }
  return { dir, genai: parsed.data, manifest: readJsonObject(join(dir, MANIFEST), LARGEST.lists) ?? null };
}

/** Whether a directory looks like a package rather than a checkpoint. */
export function isPackage(dir: string): boolean {
  return isDirectory(dir) && isFile(join(dir, 'genai_config.json'));
}

/** Ids that end a text, in the order of genai_config.json: one or a list there, always a list here. */
export function endOfTextIds(genai: GenaiConfig): number[] {
  return [genai.model.eos_token_id ?? []].flat();
}

/** The stages of a `decoder-pipeline` package in the order in which they run. */
export function pipelineStagesOf(genai: GenaiConfig): PipelineStage[] {
  return [genai.model.decoder.pipeline ?? []]
    .flat()
    .flatMap((stages) => Object.entries(stages).map(([name, stage]) => ({ ...stage, name })));
}

/** How many nodes of each operator a graph of the package has; null where halfbyte.json does not say. */
export function operatorsOf(opened: Package, file: string): Readonly<Record<string, number>> | null {
  const parsed = manifestGraphs.safeParse(opened.manifest ?? {});
  return parsed.data?.graphs.find((graph) => graph.file === file)?.operators ?? null;
}

/** The path of a file that the package names. Throws InvalidInputError where the name leaves the directory or is not there. */
export function packageFile(opened: Package, name: string): string {
  const path = normalize(name);
  if (leavesPackage(path)) {
    throw new InvalidInputError(
      `${join(opened.dir, 'genai_config.json')}: the file name "${name}" leaves the package.`,
      'use packages only from sources that you trust.',
    );
  }
  const file = join(opened.dir, path);
  if (!isFile(file)) {
    throw new InvalidInputError(
      `${file}: this file is missing; genai_config.json names it.`,
      'copy the package again, with all its files.',
    );
  }
  return file;
}

/** Size of a file that lies in the package; undefined where it does not, or where the name leaves the directory. */
export function sizeInPackage(opened: Pick<Package, 'dir'>, name: string): number | undefined {
  const path = normalize(name);
  if (leavesPackage(path)) return undefined;
  const stat = statSync(join(opened.dir, path), { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : undefined;
}

/** Whether a normalized name is none of a file inside the package; no file has a zero byte in its name. */
const leavesPackage = (path: string): boolean =>
  isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`) || path.includes('\0');

/** Whether there is a directory of this name. */
export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Whether there is a file of this name. */
export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
