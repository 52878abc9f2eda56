import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint, CheckpointFile, TensorRef } from '../core/checkpoint.js';
import { InvalidInputError } from '../core/errors.js';
import type { Json, JsonObject } from '../core/json.js';
import { quoted } from '../core/printable.js';
import { ggufFileAt, openGgufCheckpoint } from './gguf/checkpoint.js';
import { isInput, LARGEST } from './input-file.js';
import { refusePointerFile } from './lfs-pointer.js';
import { SETTINGS_FILES, withQuantizationSettings } from './quantization-settings.js';
import { readSafetensorsHeader } from './safetensors.js';
import { readJsonObject } from './text.js';
import { textModel } from './text-config.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** Small files that a package takes over unchanged when the checkpoint has them. */
const COMPANIONS = [
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
  'merges.txt',
  'special_tokens_map.json',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
];

/**
 * Opens a checkpoint directory in Hugging Face layout, a GGUF file or a directory that holds one, from configs and safetensors headers; no weight byte is read.
 * Throws InvalidInputError that names the file.
 */
export function openCheckpoint(dir: string): Checkpoint {
  const container = ggufFileAt(dir);
  if (container) return openGgufCheckpoint(container, companionsOf(dirname(container)));
  if (!(statSync(dir, { throwIfNoEntry: false })?.isDirectory() ?? false)) {
    // a name on the Hub rather than a path
    const isRepository = /^[\w.-]+\/[\w.-]+$/.test(dir) && !dir.startsWith('.');
    throw new InvalidInputError(
      `${dir}: there is no such directory; a checkpoint is a directory with config.json and safetensors files.`,
      isRepository ? `download it first: git clone https://huggingface.co/${dir} (with Git LFS).` : 'check the path.',
    );
  }
  const config = readJsonObject(join(dir, 'config.json'));
  if (!config) {
    throw new InvalidInputError(`${dir}: has no config.json.`, 'give the directory of a Hugging Face checkpoint.');
  }
  const { tensors, files, notes } = openWeights(dir, config);
  const settled = withQuantizationSettings(dir, config, tensors);
  return {
    dir,
    ...settled,
    tensors,
    ...textModel(settled.config, tensors),
    generationConfig: readJsonObject(join(dir, 'generation_config.json')) ?? {},
    files,
    companions: companionsOf(dir),
    notes,
  };
}

function companionsOf(dir: string): string[] {
  const found = COMPANIONS.filter((name) => isInput(join(dir, name)));
  for (const name of found) refusePointerFile(join(dir, name));
  return found;
}

/** Files by which a model says under which terms it may be passed on. */
const LICENCE = /^(licen[cs]e|notice|copying|use_policy)/i;

/** Licences and notices in a checkpoint's directory: who passes the model on passes them on. */
export function licencesOf(dir: string): string[] {
  const names = readdirSync(dir).filter((name) => LICENCE.test(name));
  return names.filter((name) => statSync(join(dir, name), { throwIfNoEntry: false })?.isFile()).sort();
}

/** Configs, code and licences that belong to a model besides its companions; not its weights and their indexes. */
export function accompanyingFiles(dir: string): string[] {
  const isWritten = (name: string) =>
    ['config.json', 'halfbyte.json', ...SETTINGS_FILES].includes(name) || name.endsWith('.index.json');
  const belongs = /\.(json|jinja|py|txt|model)$/;
  const names = readdirSync(dir, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return names
    .map(({ name }) => name)
    .filter((name) => (belongs.test(name) || LICENCE.test(name)) && !isWritten(name))
    .sort();
}

type Weights = { tensors: Map<string, TensorRef>; files: CheckpointFile[]; notes?: string[] };

/** As transformers chooses: the file that config.json names, model.safetensors, then an index. */
function openWeights(dir: string, config: JsonObject): Weights {
  const { transformers_weights: named = null } = config;
  if (named !== null) return openNamed(dir, named);
  const [isSingle, isSharded] = [SINGLE, INDEX].map((name) => isInput(join(dir, name)));
  if (!isSingle && isSharded) return openShards(dir);
  const weights = openSingle(dir, isSingle ? SINGLE : loneSafetensors(dir));
  if (!isSharded || [...indexOf(dir).values()].every((name) => name === SINGLE)) return weights;
  const note = `${SINGLE} stands beside ${INDEX}: ${SINGLE} is read, as transformers does, and not the shards of the index.`;
  return { ...weights, notes: [note] };
}

function openSingle(dir: string, name: string): Weights {
  const { tensors, size, headerSha256 } = readSafetensorsHeader(join(dir, name));
  return { tensors, files: [{ name, size, headerSha256 }] };
}

function openNamed(dir: string, name: Json): Weights {
  if (typeof name !== 'string' || !name.endsWith('.safetensors') || !isInput(join(dir, basename(name)))) {
    throw new InvalidInputError(
      `${dir}: config.json has the weights in "transformers_weights" ${JSON.stringify(name)}; needed is a safetensors file beside it.`,
      'download this file, or remove the key where the weights are in model.safetensors.',
    );
  }
  checkFileName(name);
  return openSingle(dir, name);
}

/** A directory without the usual names may hold exactly one safetensors file. */
function loneSafetensors(dir: string): string {
  const names = readdirSync(dir);
  const found = names.filter((name) => name.endsWith('.safetensors') && name !== 'golden.safetensors');
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    throw new InvalidInputError(
      `${dir}: has ${found.length} safetensors files but no ${INDEX} that says which tensor is where.`,
      `download ${INDEX} as well.`,
    );
  }
  const other = names.find((name) => /\.(bin|pt|pth|gguf)$/.test(name));
  throw new InvalidInputError(
    `${dir}: has no ${SINGLE} and no ${INDEX}${other ? `; ${other} is of another format` : ''}.`,
    other ? 'download the safetensors files of this model, or save it with save_pretrained.' : 'download the weights.',
  );
}

/** Every name of the index must be in its file, and every tensor of every file in the index. */
function openShards(dir: string): Weights {
  const map = indexOf(dir);
  const tensors = new Map<string, TensorRef>();
  const files: CheckpointFile[] = [];
  const names = [...new Set(map.values())].sort();
  names.forEach(checkFileName);
  for (const name of names) {
    if (!isInput(join(dir, name))) {
      throw new InvalidInputError(`${dir}: shard ${name} is missing; ${INDEX} names it.`, 'download this shard.');
    }
    const shard = readSafetensorsHeader(join(dir, name));
    files.push({ name, size: shard.size, headerSha256: shard.headerSha256 });
    for (const [key, ref] of shard.tensors) {
      const place = map.get(key);
      if (place !== name) {
        const elsewhere = place === undefined ? 'does not name it' : `says that it is in ${place}`;
        throw new InvalidInputError(
          `${name}: holds tensor ${quoted(key)}, but ${INDEX} ${elsewhere}.`,
          'download the index and all shards of one version.',
        );
      }
      tensors.set(key, ref);
    }
  }
  for (const [key, name] of map) {
    if (!tensors.has(key)) {
      throw new InvalidInputError(
        `${INDEX}: tensor ${quoted(key)} is not in ${name}, where the index has it.`,
        'download the index and all shards of one version.',
      );
    }
  }
  return { tensors, files };
}

/** A shard is a file of the checkpoint's own directory, whatever an untrusted index says. */
function checkFileName(name: string): void {
  if (name !== basename(name) || name.includes('\\') || name.includes('\0') || name === '..' || name === '.') {
    throw new InvalidInputError(
      `${INDEX}: the file name ${quoted(name)} leaves the checkpoint's directory.`,
      'use checkpoints only from sources that you trust.',
    );
  }
}

const indexOf = (dir: string) => weightMap(readJsonObject(join(dir, INDEX), LARGEST.lists) as JsonObject);

function weightMap(index: JsonObject): Map<string, string> {
  const map = index.weight_map;
  if (
    typeof map !== 'object' ||
    map === null ||
    Array.isArray(map) ||
    Object.values(map).some((each) => typeof each !== 'string')
  ) {
    throw new InvalidInputError(
      `${INDEX}: "weight_map" must map tensor names to file names.`,
      'download the index again.',
    );
  }
  return new Map(Object.entries(map as Record<string, string>));
}
