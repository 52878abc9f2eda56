import { closeSync, lstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UsageError } from '../core/errors.js';
import { MANIFEST } from '../formats/manifest.js';
import { isInside, realPlace } from './directory.js';
import { checkWritable } from './writable.js';

/** A file that a command is asked to write, and the flag that asks for it. */
export interface OutputFile {
  flag: string;
  path: string;
}

export interface FilesDemand {
  /** Replace files that are not ours, too. */
  force: boolean;
  /** Files and directories that the command reads. */
  inputs: readonly string[];
  /** Whether a file that halfbyte wrote before is replaced without `force`; default true. */
  replacesOwn?: boolean;
}

/**
 * Whether files may be written, before the work that ends with writing them: each a place of its own, in a folder that can be
 * written to, and never in place of an input, of a file of a checkpoint or package, or of what is no regular file; in
 * place of a file that halfbyte did not write only with `force`. Throws UsageError or EnvironmentError.
 */
export function checkOutputFiles(files: readonly OutputFile[], demand: FilesDemand): void {
  const places = new Map<string, OutputFile>();
  for (const file of files) {
    const { flag, path } = file;
    if (path === '')
      throw new UsageError(`${flag} is empty.`, 'give the name of a file; a variable in its place may be unset.');
    const what = `${flag} ${path}`;
    const place = placeOf(path);
    const twin = places.get(place);
    if (twin)
      throw new UsageError(`${what}: ${twin.flag} ${twin.path} writes the same file.`, 'give each a name of its own.');
    places.set(place, file);
    checkWritable(dirname(place), what);
    checkFile(what, place, demand);
  }
}

/** A file's place with the links of its folders followed, its own name as it is. */
const placeOf = (path: string): string => join(realPlace(dirname(path)), basename(path));

function checkFile(what: string, place: string, { force, inputs, replacesOwn = true }: FilesDemand): void {
  const found = lstatSync(place, { throwIfNoEntry: false });
  if (!found) return;
  if (found.isDirectory()) throw new UsageError(`${what}: is a directory.`, 'give the name of a file.');
  if (!found.isFile())
    throw new UsageError(`${what}: is a link, a device or the like, which is never replaced.`, 'give another name.');
  for (const input of inputs) {
    const read = statSync(input, { throwIfNoEntry: false });
    if (read?.isFile() && read.ino === found.ino && read.dev === found.dev) {
      throw new UsageError(`${what}: would replace its own input ${input}.`, 'give another name.');
    }
    if (read?.isDirectory() && isInside(place, realPlace(input)) && !isOurs(place)) {
      throw new UsageError(`${what}: is a file of the input ${input}.`, 'give another name.');
    }
  }
  if (isOurs(place)) {
    if (force || replacesOwn) return;
    throw new UsageError(`${what}: the output exists already.`, '--force to replace it, or another name.');
  }
  const kind = modelFile(place);
  if (kind)
    throw new UsageError(`${what}: is ${kind}, which is never replaced, with --force neither.`, 'give another name.');
  if (!force) {
    throw new UsageError(`${what}: exists, and halfbyte did not write it.`, '--force to replace it, or another name.');
  }
}

/** How files that halfbyte writes begin, apart from packages and checkpoints. */
const OURS: [ending: RegExp, begin: RegExp][] = [
  [/\.json$/i, /^\s*\{\s*"formatVersion":\s*\d+,\s*"tool":\s*\{\s*"name":\s*"halfbyte"/],
  [/\.xml$/i, /^<\?xml[^>]*>\s*<testsuites [^>]*name="halfbyte verify /],
  [/\.html$/i, /^<!doctype html>[\s\S]{0,200}<meta name="generator" content="halfbyte">/],
  // The 8 bytes of a safetensors file before its header, whose first entry are the metadata.
  [/$/, /^[\s\S]{8}\{"__metadata__":\{"format":"pt","(?:saved_by":"halfbyte |calibration":"\{\\"format_version)/],
];

/** Whether a file is a report, a calibration or a saved reference that halfbyte wrote: each says so where it begins. */
function isOurs(file: string): boolean {
  const begin = beginOf(file);
  return OURS.some(([ending, pattern]) => ending.test(file) && pattern.test(begin));
}

/** What a file is to a model, in words; undefined where it is none of its files. */
function modelFile(file: string): string | undefined {
  const begin = beginOf(file);
  if (begin.startsWith('GGUF')) return 'a GGUF file';
  if (/^[\s\S]{8}\{\s*"/.test(begin) && /\.safetensors$/i.test(file)) return 'a file of tensors';
  if (/\.(onnx|gguf)$/i.test(file)) return 'a model';
  const names = new Set(readdirSync(dirname(file)));
  if (names.has(MANIFEST) || names.has('genai_config.json')) return 'a file of a package or checkpoint';
  const holdsWeights = [...names].some((name) => /\.(safetensors|gguf|onnx|bin)$/i.test(name));
  return names.has('config.json') && holdsWeights ? 'a file of a checkpoint' : undefined;
}

function beginOf(file: string): string {
  const bytes = Buffer.alloc(400);
  const descriptor = openSync(file, 'r');
  try {
    return bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(descriptor);
  }
}
