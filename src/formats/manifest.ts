import type { FileRange } from '../core/checkpoint.js';
import type { ErrorFigures } from '../core/error-figures.js';
import type { Weight } from '../core/graph.js';
import type { JsonObject } from '../core/json.js';
import type { Plan, QuantizePlan } from '../core/plan.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { checkpointSource } from '../core/weight-source.js';
import type { WeightSource } from '../core/weights.js';
import { operatorCounts } from '../graph/print.js';

/** Name of the manifest in every package. */
export const MANIFEST = 'halfbyte.json';

/** Digest of a run of bytes of a package file. */
export interface ChunkDigest {
  offset: number;
  nbytes: number;
  /** Set where the bytes are pieces of equal length, `stride` bytes apart, together `nbytes`. */
  segments?: number;
  stride?: number;
  digest: string;
}

/** A weight of the package: what it is made of, its scheme, and where each part's bytes are. */
export interface ManifestTensor {
  shape: number[];
  role: Weight['role'];
  scheme: QuantizationArgs;
  source: WeightSource;
  parts: Record<string, FileRange>;
}

/** halfbyte.json. Nothing in it depends on time, machine, path, workers or memory. */
export interface Manifest {
  format_version: 1;
  tool: { name: 'halfbyte'; version: string };
  options: Plan['options'];
  checkpoint: {
    config: JsonObject;
    /** Keys of config.json that the architecture neither reads nor knows to be harmless. */
    unread_config_keys?: string[];
    files: { name: string; size: number; header_sha256: string; sha256?: string | undefined }[];
  };
  totals: Plan['totals'];
  /** What the ranges of integer activations come from. */
  calibration?: Plan['calibration'];
  graphs: { file: string; operators: Record<string, number>; notes?: string[] }[];
  /** By graph file, then by the weight's name in that graph. */
  tensors: Record<string, Record<string, ManifestTensor>>;
  digest_algorithm: string;
  files: { name: string; size: number; sha256?: string; chunks: ChunkDigest[] }[];
}

/** The weights of each graph with their place, from the plan alone. */
export function manifestTensors(plan: Pick<Plan, 'graphs'>): Manifest['tensors'] {
  const tensors: Manifest['tensors'] = {};
  for (const { file, graph, external } of plan.graphs) {
    const entries: Record<string, ManifestTensor> = {};
    for (const { name, content } of graph.initializers) {
      if ('values' in content) continue;
      const weight = graph.weights[content.weight];
      entries[content.weight] ??= {
        shape: weight.shape,
        role: weight.role,
        scheme: weight.scheme as QuantizationArgs,
        source: checkpointSource(weight, graph.weights),
        parts: {},
      };
      entries[content.weight].parts[content.part] = external[name];
    }
    tensors[file] = entries;
  }
  return tensors;
}

/** halfbyte.json of a checkpoint that `quantize` wrote. */
export interface CheckpointManifest
  extends Pick<Manifest, 'format_version' | 'tool' | 'checkpoint' | 'totals' | 'digest_algorithm' | 'files'> {
  options: QuantizePlan['options'];
  /** `errors` is missing where they were not measured. */
  tensors: (QuantizePlan['tensors'][number] & { errors?: ErrorFigures })[];
}

/** The manifest of a finished package or checkpoint. `files` are its files with their digests. */
export function manifest(
  plan: Plan | QuantizePlan,
  version: string,
  digestAlgorithm: string,
  files: Manifest['files'],
  inputSha256?: ReadonlyMap<string, string>,
  /** What rounding took from tensors of a checkpoint, by name. */
  errors?: ReadonlyMap<string, ErrorFigures>,
): Manifest | CheckpointManifest {
  const head = { format_version: 1 as const, tool: { name: 'halfbyte' as const, version } };
  const checkpoint = {
    config: plan.checkpoint.config,
    ...('graphs' in plan && plan.unreadConfigKeys.length > 0 ? { unread_config_keys: plan.unreadConfigKeys } : {}),
    files: plan.checkpoint.files.map(({ name, size, headerSha256 }) => ({
      name,
      size,
      header_sha256: headerSha256,
      ...(inputSha256?.has(name) ? { sha256: inputSha256.get(name) } : {}),
    })),
  };
  const tail = {
    digest_algorithm: digestAlgorithm,
    files: [...files].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
  const { totals } = plan;
  if (!('graphs' in plan)) {
    const tensors = plan.tensors.map((tensor) => {
      const figures = errors?.get(tensor.name);
      return figures ? { ...tensor, errors: figures } : tensor;
    });
    return { ...head, options: plan.options, checkpoint, totals, tensors, ...tail };
  }
  const graphs = plan.graphs.map(({ file, graph }) => ({
    file,
    operators: operatorCounts(graph),
    ...(graph.notes ? { notes: graph.notes } : {}),
  }));
  const calibration = plan.calibration ? { calibration: plan.calibration } : {};
  const tensors = manifestTensors(plan);
  return { ...head, options: plan.options, checkpoint, totals, ...calibration, graphs, tensors, ...tail };
}
