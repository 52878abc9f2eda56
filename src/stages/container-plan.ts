import { UsageError } from '../core/errors.js';
import type { GgufMetadata } from '../core/gguf.js';
import { matchesGlob } from '../core/glob.js';
import type {
  Checkpoint,
  ContainedTensor,
  Container,
  Inlay,
  Job,
  JsonObject,
  LogicalTensor,
  PlannedTensor,
  QuantizationArgs,
  QuantizeOptions,
  QuantizePlan,
} from '../core/types.js';
import { storedBytes } from '../engine/units.js';
import { layoutGguf } from '../formats/gguf.js';
import { ggufMetadata } from '../formats/gguf-metadata.js';
import { find } from '../registry.js';
import { resolveSource } from '../sources/resolve.js';
import { completeConfig } from './complete-config.js';
import { tokenizerMetadata } from './container-tokenizer.js';

const FILE = 'model.gguf';

interface Contained extends PlannedTensor {
  tensor: ContainedTensor;
}

/**
 * The plan of a model in one GGUF file: settings and tokenizer in its header, every tensor under its name there, in
 * the scheme that the container gives it. Everything is decided from headers and small files.
 */
export async function planContainer(
  checkpoint: Checkpoint,
  logical: ReadonlyMap<string, LogicalTensor>,
  container: Container,
  options: QuantizeOptions,
): Promise<{ plan: QuantizePlan; notes: string[] }> {
  const config = await completeConfig(checkpoint);
  const { tensors: found, arch, notes } = container.tensors(config, logical);
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
  const metadata = ggufMetadata(arch, config, tokenizer.metadata, container.fileType(wanted));
  const { files, jobs, inlays } = placed(contained, metadata, logical);
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
function schemeOf(
  tensor: ContainedTensor,
  wanted: string,
  container: Container,
  options: QuantizeOptions,
  config: JsonObject,
): string {
  const names = [tensor.name, ...('from' in tensor.content ? tensor.content.from : [])];
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

/** The file with its header in place, a job for each tensor that the checkpoint stores, and the bytes of the others. */
function placed(
  contained: Contained[],
  metadata: GgufMetadata,
  logical: ReadonlyMap<string, LogicalTensor>,
): { files: { name: string; nbytes: number }[]; jobs: Job[]; inlays: Inlay[] } {
  const layout = layoutGguf(
    metadata,
    contained.map(({ name, shape, scheme }) => ({ name, shape, type: scheme.scheme })),
  );
  const inlay = (offset: number, bytes: Uint8Array): Inlay => ({
    file: FILE,
    offset,
    base64: Buffer.from(bytes).toString('base64'),
  });
  const inlays = [inlay(0, layout.header)];
  const jobs: Job[] = [];
  for (const { tensor, name, scheme, nbytes } of contained) {
    const place = layout.places.get(name);
    if (place?.nbytes !== nbytes) throw new Error(`tensor ${name} has ${nbytes} bytes, ${place?.nbytes} are planned`);
    const { content } = tensor;
    if ('values' in content) {
      inlays.push(inlay(place.offset, new Uint8Array(Float32Array.from(content.values).buffer)));
      continue;
    }
    const source = resolveSource(content.source, (each) => logical.get(each));
    jobs.push({ name, source, scheme, outputs: { codes: { file: FILE, ...place } } });
  }
  return { files: [{ name: FILE, nbytes: layout.nbytes }], jobs, inlays };
}
