import type { CalibrationOrigin } from './calibration.js';
import type { CheckpointFile, FileRange } from './checkpoint.js';
import type { Graph } from './graph.js';
import type { JsonObject } from './json.js';
import type { Finding } from './lint.js';
import type { MatrixKind } from './matrix-kinds.js';
import type { ConvertOptions, QuantizeOptions } from './options.js';
import type { QuantizationArgs } from './scheme.js';
import type { PipelineSettings } from './target.js';
import type { RowSource } from './weights.js';

/** Part of a plan: one source goes through one scheme into byte ranges of package files. Plain data. */
export interface Job {
  /** The weight's name in the graph. */
  name: string;
  source: RowSource;
  scheme: QuantizationArgs;
  /** Layout that packs the scheme's parts; its parts are the outputs then. */
  layout?: string;
  /** The source's codes and scales stand on the scheme's grid already and are kept; it is of kind `packed`. */
  keepCodes?: boolean;
  /** What rounding takes from the weights is measured on the way. */
  measured?: boolean;
  /** Part name to where it goes: `file` is a name inside the package. */
  outputs: Record<string, FileRange>;
}

/** A data file of the package whose bytes come from jobs; its size is final. */
export interface PlannedFile {
  name: string;
  nbytes: number;
}

/** A lowered graph and where the bytes of each of its weight initializers will be, by initializer name. */
export interface PlannedGraph {
  file: string;
  graph: Graph;
  external: Record<string, FileRange>;
  pipeline?: PipelineSettings;
}

export interface PlanTotals {
  parameters: number;
  weightBytes: number;
  sourceBytes: number;
  bitsPerWeight: number;
}

/** Bytes of a data file that no job makes, as the header of a safetensors file. */
export interface Inlay {
  file: string;
  offset: number;
  base64: string;
}

/** What the engine executes: everything is known before a weight byte is read. */
export interface WritePlan {
  options: ConvertOptions | QuantizeOptions;
  checkpoint: { dir: string; files: CheckpointFile[]; config: JsonObject };
  files: PlannedFile[];
  jobs: Job[];
  inlays?: Inlay[];
  /** Small text files written as they stand. */
  texts: { name: string; content: string }[];
  /** Files copied unchanged from the checkpoint. */
  copies: string[];
  totals: PlanTotals;
}

/** The plan of a package. */
export interface Plan extends WritePlan {
  options: ConvertOptions;
  /** Graph files by name inside the package. */
  graphs: PlannedGraph[];
  /** What the passes found: fusions that did not fire. */
  findings?: Finding[];
  /** What the ranges of integer activations come from. */
  calibration?: CalibrationOrigin;
  /** Keys of config.json that the architecture neither reads nor knows to be harmless. */
  unreadConfigKeys: string[];
}

/** The plan of a dressed checkpoint. */
export interface QuantizePlan extends WritePlan {
  options: QuantizeOptions;
  /** What becomes of each logical tensor. */
  tensors: PlannedTensor[];
}

/** What becomes of a tensor: `keeps` codes of another layout, `rounds` to a grid, or goes `unquantized`. */
export interface PlannedTensor {
  name: string;
  shape: number[];
  scheme: QuantizationArgs;
  fate: 'keeps' | 'rounds' | 'unquantized';
  nbytes: number;
  /** What it is to the model, of tensors that a checkpoint names. */
  kind?: MatrixKind | undefined;
}
