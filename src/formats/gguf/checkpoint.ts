import { closeSync, existsSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint, TensorRef } from '../../core/checkpoint.js';
import type { Dtype } from '../../core/dtype.js';
import { InvalidInputError } from '../../core/errors.js';
import { GGML_TYPES } from '../../core/gguf.js';
import { own } from '../../core/own.js';
import { openInput } from '../input-file.js';
import { configOf } from './config.js';
import { ggufPartName, ggufPartOf, readGgufParts } from './parts.js';
import type { GgufHeader } from './reader.js';

const DTYPES: Record<string, Dtype> = own({ f32: 'F32', f16: 'F16', bf16: 'BF16' });
const ENDING = '.gguf';

/**
 * The GGUF file that a path means: itself, or the one in a directory without config.json; of a model in several files
 * the first. Undefined for others.
 */
export function ggufFileAt(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && path.endsWith(ENDING)) return join(dirname(path), firstPart(basename(path)));
  if (!found?.isDirectory() || existsSync(join(path, 'config.json'))) return undefined;
  const files = readdirSync(path).filter((name) => name.endsWith(ENDING));
  const models = [...new Set(files.map(firstPart))];
  if (models.length > 1) {
    throw new InvalidInputError(
      `${path}: holds ${models.length} GGUF models, ${models.slice(0, 3).join(', ')}${models.length > 3 ? ' ...' : ''}.`,
      'give the path of the file that you mean.',
    );
  }
  return models.length === 1 ? join(path, models[0]) : undefined;
}

/** The first file of the model that a file belongs to, by its name. */
function firstPart(name: string): string {
  const named = ggufPartOf(name);
  return named ? ggufPartName(named.stem, 1, named.count) : name;
}

/**
 * A model in GGUF files, of which `file` is the first, as a checkpoint: config.json from its metadata, tensors by their
 * names in the files. Blocks of codes are tensors of bytes [.., bytes of a row]; quantization_config.types says what they
 * are. No tokenizer is made of the metadata: `companions` are those beside the file. Throws InvalidInputError for
 * architectures that are not known here.
 */
export function openGgufCheckpoint(file: string, companions: string[]): Checkpoint {
  const parts = readGgufParts(file);
  const all = parts.flatMap(({ file, header }) => header.tensors.map((tensor) => ({ ...tensor, file })));
  const whole = { ...parts[0].header, tensors: all };
  const config = configOf(file, whole, (name) => floatsOf(all.find((tensor) => tensor.name === name)));
  // the factors of the rope are settings, which config.json has
  const weights = all.filter(({ name }) => !/^rope_(freqs|factors_long|factors_short)\.weight$/.test(name));
  const types = own(Object.fromEntries(weights.map(({ name, type }) => [name, type])));
  return {
    dir: dirname(file),
    config: { ...config, quantization_config: { quant_method: 'gguf', types } },
    generationConfig: {},
    tensors: new Map(weights.map((tensor) => [tensor.name, refOf(tensor)])),
    files: parts.map(({ file, header: { size, headerSha256 } }) => ({ name: basename(file), size, headerSha256 })),
    companions,
  };
}

type PlacedTensor = GgufHeader['tensors'][number] & { file: string };

function refOf({ name, type, shape, file, offset, nbytes }: PlacedTensor): TensorRef {
  const { block, bytes } = GGML_TYPES[type];
  const stored = DTYPES[type] ? shape : [...shape.slice(0, -1), ((shape.at(-1) as number) / block) * bytes];
  return { name, dtype: DTYPES[type] ?? 'U8', shape: stored, file, offset, nbytes };
}

/** The values of a small float32 tensor, if there is one. */
function floatsOf(tensor: PlacedTensor | undefined): number[] | undefined {
  if (!tensor) return undefined;
  const { file } = tensor;
  if (tensor.type !== 'f32' || tensor.nbytes > 1 << 16) {
    throw new InvalidInputError(
      `${file}: tensor "${tensor.name}" is ${tensor.type} [${tensor.shape}]; needed is a short list of f32.`,
      'start from the original checkpoint.',
    );
  }
  const bytes = new Uint8Array(tensor.nbytes);
  const { descriptor } = openInput(file);
  try {
    let done = 0;
    while (done < bytes.byteLength) {
      const count = readSync(descriptor, bytes, done, bytes.byteLength - done, tensor.offset + done);
      if (count === 0) break;
      done += count;
    }
  } finally {
    closeSync(descriptor);
  }
  return [...new Float32Array(bytes.buffer)];
}
