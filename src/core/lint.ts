import type { FileRange } from './checkpoint.js';
import type { Graph } from './graph.js';
import type { JsonObject } from './json.js';

/** Something that a device would refuse, run elsewhere or get wrong. */
export interface Finding {
  rule: string;
  severity: 'error' | 'warning' | 'note';
  /** File of the package, and the node in it where the finding has one. */
  file: string;
  node: string | null;
  message: string;
  advice: string;
  /** Where the rule comes from. */
  source: string;
}

/** A graph under inspection for a device: one that was planned, or one read from a file. */
export interface LintedGraph {
  file: string;
  graph: Graph;
  /** Where the bytes of external initializers are, by their name. */
  external: Record<string, FileRange>;
  /** Whether a device's own provider is asked to run it; the others stay on the CPU. */
  onDevice: boolean;
}

/** A package under inspection for a device. */
export interface LintedPackage {
  graphs: LintedGraph[];
  /** genai_config.json; null where there is none. */
  genai: JsonObject | null;
  /** Sizes of data files by name inside the package. */
  files: Record<string, number>;
}
