import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InvalidInputError } from '../core/errors.js';
import { GGML_TYPES } from '../core/gguf.js';
import type { Checkpoint, Dtype, TensorRef } from '../core/types.js';
import { configOf } from './gguf-config.js';
import { type GgufHeader, readGgufHeader } from './gguf-reader.js';

const DTYPES: Record<string, Dtype> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };
const ENDING = '.gguf';

/** The GGUF file that a path means: itself, or the one in a directory without config.json; undefined for others. */
export function ggufFileAt(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && path.endsWith(ENDING)) return path;
  if (!found?.isDirectory() || existsSync(join(path, 'config.json'))) return undefined;
  const files = readdirSync(path).filter((name) => name.endsWith(ENDING));
  if (files.length > 1) {
    throw new InvalidInputError(
      `${path}: holds ${files.length} GGUF files, ${files.slice(0, 3).join(', ')}${files.length > 3 ? ' ...' : ''}.`,
      'give the path of the file that you mean.',
    );
  }
  return files.length === 1 ? join(path, files[0]) : undefined;
}

/**
 * A GGUF file as a checkpoint: config.json from its metadata, tensors by their names in the file. Blocks of codes are
 * tensors of bytes [.., bytes of a row]; quantization_config.types says what they are. No tokenizer is made of the
 * metadata: `companions` are those beside the file. Throws InvalidInputError for architectures that are not known here.
 */
export function openGgufCheckpoint(file: string, companions: string[]): Checkpoint {
  const header = readGgufHeader(file);
  const split = header.metadata['split.count'];
  if (split && 'value' in split && Number(split.value) > 1) {
    throw new InvalidInputError(
      `${file}: is one of ${split.value} files of a split model.`,
      'merge them with llama-gguf-split --merge first.',
    );
  }
  const values = (name: string) => floatsOf(file, header, name);
  const config = configOf(file, header, values);
  // the factors of the rope are settings, which config.json has
  const weights = header.tensors.filter(({ name }) => !/^rope_(freqs|factors_long|factors_short)\.weight$/.test(name));
  const types = Object.fromEntries(weights.map(({ name, type }) => [name, type]));
  return {
    dir: dirname(file),
    config: { ...config, quantization_config: { quant_method: 'gguf', types } },
    generationConfig: {},
    tensors: new Map(weights.map((tensor) => [tensor.name, refOf(file, tensor)])),
    files: [{ name: basename(file), size: header.size, headerSha256: header.headerSha256 }],
    companions,
  };
}

function refOf(file: string, { name, type, shape, offset, nbytes }: GgufHeader['tensors'][number]): TensorRef {
  const { block, bytes } = GGML_TYPES[type];
  const stored = DTYPES[type] ? shape : [...shape.slice(0, -1), ((shape.at(-1) as number) / block) * bytes];
  return { name, dtype: DTYPES[type] ?? 'U8', shape: stored, file, offset, nbytes };
}

/** The values of a small float32 tensor; undefined where the file has none of this name. */
function floatsOf(file: string, { tensors }: GgufHeader, name: string): number[] | undefined {
  const tensor = tensors.find((each) => each.name === name);
  if (!tensor) return undefined;
  if (tensor.type !== 'f32' || tensor.nbytes > 1 << 16) {
    throw new InvalidInputError(
      `${file}: tensor "${name}" is ${tensor.type} [${tensor.shape}]; needed is a short list of f32.`,
      'start from the original checkpoint.',
    );
  }
  const bytes = new Uint8Array(tensor.nbytes);
  const descriptor = openSync(file, 'r');
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
