import type { Checkpoint } from '../core/checkpoint.js';
import type { ContainedTensor, Container } from '../core/dressing.js';
import { UsageError } from '../core/errors.js';
import type { GgufMetadata } from '../core/gguf.js';
import { matchesGlob } from '../core/glob.js';
import type { JsonObject } from '../core/json.js';
import type { QuantizeOptions } from '../core/options.js';
import type { Inlay, Job, PlannedFile, PlannedTensor, QuantizePlan } from '../core/plan.js';
import type { QuantizationArgs } from '../core/scheme.js';
import type { LogicalTensor } from '../core/weights.js';
import { storedBytes } from '../engine/units.js';
import { ggufMetadata } from '../formats/gguf/metadata.js';
import { layoutGgufParts } from '../formats/gguf/parts.js';
import { withTiedTable } from '../model/logical-tensors.js';
import { find } from '../registry.js';
import { tokenizerMetadata } from '../runtime/container-tokenizer.js';
import { resolveSource } from '../sources/resolve.js';
import { completeConfig } from './complete-config.js';
import { refuseIdleGlobs } from './idle-flags.js';

const STEM = 'model';

interface Contained extends PlannedTensor {
  tensor: ContainedTensor;
}

/**
 * The plan of a model in a GGUF file, or in parts where it shall not be larger: settings and tokenizer in the first header,
 * every tensor under its name there, in the scheme that the container gives it. Everything is decided from headers and small files.
 */
export async function planContainer(
  checkpoint: Checkpoint,
  stored: ReadonlyMap<string, LogicalTensor>,
  container: Container,
  options: QuantizeOptions,
): Promise<{ plan: QuantizePlan; notes: string[] }> {
  const config = await completeConfig(checkpoint);
  const logical = withTiedTable(stored, config.tie_word_embeddings === true);
  const { tensors: found, arch, notes } = container.tensors(config, logical);
  refuseIdleGlobs(options, found.flatMap(namesOf));
  const wanted = options.mix ?? options.args.scheme;
  const contained: Contained[] = [];
  for (const tensor of found) {
    const id = schemeOf(tensor, wanted, container, options, config);
    const scheme = await argsOf(id);
    const isFloat = ['f32', 'f16', 'bf16'].includes(id);
    contained.push({
      tensor,
      name: tensor.name,
      shape: tensor.shape,
      scheme: scheme.args,
      fate: isFloat && id !== options.args.scheme ? 'unquantized' : 'rounds',
      nbytes: scheme.nbytes(tensor),
    });
  }
  if (!contained.some(({ fate }) => fate === 'rounds')) {
    throw new UsageError(
      'no tensor of this checkpoint would be quantized.',
      'check --only and --skip; "halfbyte inspect" lists the names.',
    );
  }

  const tokenizer = await tokenizerMetadata(checkpoint, config);
  const metadata = ggufMetadata(arch, config, tokenizer, container.fileType(wanted));
  const { files, jobs, inlays } = placed(
    contained,
    metadata,
    logical,
    options.maxShardBytes ?? Number.POSITIVE_INFINITY,
  );
  const weightBytes = contained.reduce((sum, { nbytes }) => sum + nbytes, 0);
  const parameters = contained.reduce((sum, { tensor }) => sum + tensor.rows * tensor.cols, 0);
  return {
    plan: {
      options,
      checkpoint: { dir: checkpoint.dir, files: checkpoint.files, config: checkpoint.config },
      files,
      jobs,
      inlays,
      texts: [],
      copies: [],
      totals: {
        parameters,
        weightBytes,
        sourceBytes: jobs.reduce((sum, { source }) => sum + storedBytes(source), 0),
        bitsPerWeight: parameters ? (8 * weightBytes) / parameters : 0,
      },
      tensors: contained.map(({ tensor: _, ...planned }) => planned),
    },
    notes: [...notes, ...tokenizer.notes],
  };
}

/** The command line names tensors as the checkpoint or as the file does. */
const namesOf = ({ name, content }: ContainedTensor): string[] => [name, ...('from' in content ? content.from : [])];

function schemeOf(
  tensor: ContainedTensor,
  wanted: string,
  container: Container,
  options: QuantizeOptions,
  config: JsonObject,
): string {
  const names = namesOf(tensor);
  const matches = (glob: string) => names.some((name) => matchesGlob(name, glob));
  const override = options.overrides.findLast(({ pattern }) => matches(pattern));
  if (override) return container.fitting(override.scheme.scheme, tensor);
  const isChosen = options.only.length === 0 || options.only.some(matches);
  if (isChosen && !options.skip.some(matches)) return container.schemeOf(tensor, wanted, config);
  return container.schemeOf(tensor, 'bf16', config);
}

async function argsOf(id: string): Promise<{ args: QuantizationArgs; nbytes(tensor: ContainedTensor): number }> {
  const scheme = await find('schemes', id);
  if (!scheme) throw new Error(`scheme ${id} is not registered`);
  const args = scheme.defaults;
  return { args, nbytes: ({ rows, cols }) => scheme.layout(rows, cols, args).codes.nbytes };
}

/** The files with their headers in place, a job for each tensor that the checkpoint stores, and the bytes of the others. */
function placed(
  contained: Contained[],
  metadata: GgufMetadata,
  logical: ReadonlyMap<string, LogicalTensor>,
  maxBytes: number,
): { files: PlannedFile[]; jobs: Job[]; inlays: Inlay[] } {
  const stored = contained.map(({ name, shape, scheme }) => ({ name, shape, type: scheme.scheme }));
  const { files, places, headers } = layoutGgufParts(STEM, metadata, stored, maxBytes);
  const inlays = [...headers];
  const jobs: Job[] = [];
  for (const { tensor, name, scheme, nbytes } of contained) {
    const place = places.get(name);
    if (place?.nbytes !== nbytes) throw new Error(`tensor ${name} has ${nbytes} bytes, ${place?.nbytes} are planned`);
    const { content } = tensor;
    if ('values' in content) {
      const bytes = Buffer.from(Float32Array.from(content.values).buffer);
      inlays.push({ file: place.file, offset: place.offset, base64: bytes.toString('base64') });
      continue;
    }
    const source = resolveSource(content.source, (each) => logical.get(each));
    jobs.push({ name, source, scheme, outputs: { codes: place } });
  }
  return { files, jobs, inlays };
}
