import type { Pass, ValueRange } from './graph.js';
import type { JsonObject } from './json.js';
import type { Finding, LintedPackage } from './lint.js';
import type { ConvertOptions } from './options.js';

/** One graph of a package: its file, its data file, and the passes that turn the drawn graph into it. */
export interface TargetStage {
  file: string;
  dataFile: string;
  passes: Pass[];
  /** Bytes of a data file; what goes beyond goes to `<dataFile>_1`, `_2` and so on. */
  maxDataBytes?: number;
  /** Set where the package is a pipeline of graphs. */
  pipeline?: PipelineSettings;
}

/** How ONNX Runtime GenAI runs a graph of a pipeline; left out is what its reader takes as default. */
export interface PipelineSettings {
  name: string;
  run_on_prompt?: boolean;
  run_on_token_gen?: boolean;
  is_lm_head?: boolean;
  session_options?: JsonObject;
}

/** A device: which operators and schemes it runs, and by which ordered passes a drawn graph becomes its graphs. */
export interface Target {
  /** Settings that stand where the command line says nothing. */
  defaults: Partial<ConvertOptions>;
  /** Opset version by domain ('' is ai.onnx). */
  opsets: Record<string, number>;
  /** Operators that the device runs, as `MatMul` or `com.microsoft.MatMulNBits`. */
  operators: ReadonlySet<string>;
  /** Throws a UsageError where settings do not fit the device. */
  check(options: ConvertOptions): void;
  /** Positions to serve where the command line does not say; default: all that the model has. */
  contextLength?(modelLimit: number, prefill: number): number;
  /**
   * The stages of a package whose drawn graphs are `names` (`decoder`, and those of `extraGraphs`). `ranges` are
   * those of a calibration, by names of the drawn graph; without them integer activations get placeholders.
   */
  stages(options: ConvertOptions, drawn: string, ranges?: Record<string, ValueRange>): TargetStage[];
  /** The package is read by transformers.js, too: it gets a config.json for it. */
  transformersJs?: boolean;
  /** What the device would refuse, run elsewhere or get wrong in a package's graphs. */
  lint?(subject: LintedPackage): Finding[];
}
