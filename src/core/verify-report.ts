/**
 * What `verify` says: plain data, the `--json` document (docs/verify.md; its schema is made by
 * `report/verify-schema.ts`), and all that the report writers read. JSON has null where a number is not finite.
 */

import type { JsonObject } from './json.js';

export type Verdict = 'pass' | 'fail' | 'ambiguous';

/**
 * What a check is about. `integrity`: files, digests, configs, graphs as data. `weights`: the package's numbers against
 * the checkpoint's. `structure`: what the graph computes, against the reference engine on the same numbers.
 * `reference`: whether referees agree with each other. `gate`: what the command line asked for.
 */
export type CheckGroup = 'integrity' | 'weights' | 'structure' | 'reference' | 'gate';

/** One thing that was judged. */
export interface Check {
  id: string;
  group: CheckGroup;
  verdict: Verdict;
  /** One sentence for people: what was found, and where it failed also what was needed. */
  message: string;
  /** The measured number and the limit that it was held to, where there are such. */
  measured?: number;
  limit?: number;
  unit?: string;
  /** File of the package or name of the tensor, layer or config key that the finding is about. */
  where?: string;
}

export interface Interval {
  low: number;
  high: number;
}

/** A metric over the positions of a token set, with its 95 % bootstrap interval (blocks of 16 positions). */
export interface MetricValue {
  id: string;
  value: number;
  interval: Interval | null;
  unit: string;
  better: 'lower' | 'higher';
}

/** A token and its probability. */
export interface Candidate {
  id: number;
  text: string | null;
  probability: number;
}

/** A position at which the two runs say different things. */
export interface Disagreement {
  sequence: number;
  position: number;
  /** The token at the position and, where it is known, the one that follows. */
  token: { id: number; text: string | null };
  next: { id: number; text: string | null } | null;
  kl: number;
  reference: Candidate[];
  actual: Candidate[];
}

/** Package and referee on the same token ids. */
export interface Comparison {
  /** Name of the token set: `input_ids`, `long.input_ids`, `text`, `ids`, `random`. */
  set: string;
  referee: 'golden' | 'engine' | 'command';
  sequences: number;
  tokens: number;
  metrics: MetricValue[];
  /** KL divergence at each position, sequences end to end. */
  kl: number[];
  /** Length of each sequence. */
  lengths: number[];
  /** Root mean square of the logits' error over that of the reference's logits. */
  relativeError: number;
  /** By how much the mean KL may be larger than it comes out, where the reference keeps its best logits alone. */
  klBound?: number;
  /** Positions whose most likely tokens differ while the reference's two logits are within 4e-4 of each other. */
  ties?: number;
  /** The positions with the greatest KL among those at which the most likely token differs, at most 40. */
  disagreements: Disagreement[];
  /** All positions at which it differs, counted as in `kl`. */
  differing?: number[];
}

/** The token ids of each set, and what a tokenizer says of those that occur in them. */
export interface ComparedTokens {
  sets: { name: string; sequences: number[][] }[];
  /** Text by id; empty without a tokenizer. */
  texts: Record<string, string>;
}

export interface PerplexityResult {
  text: string;
  windows: number;
  windowTokens: number;
  predictions: number;
  value: number;
  interval: Interval;
  /** Of the reference on the same windows; null where it was not asked. */
  reference: number | null;
}

export interface DecodeResult {
  set: string;
  tokens: number;
  /** Greatest difference of a logit between one prefill and a token at a time (or chunks) through the cache. */
  maxAbsDifference: number;
  /** Position of it. */
  position: number;
}

export interface GreedyResult {
  tokens: number;
  equalTokens: number;
  /** Index of the first new token that differs; null where all are equal. */
  firstDivergence: number | null;
  expected: number[];
  actual: number[];
  /** What the two best logits of the package were apart where the runs part; null where all are equal. */
  gap: number | null;
}

/** What one prompt window of a pipeline is off what the package's own weights give. */
export interface WindowError {
  set: string;
  sequence: number;
  /** Number of the window in its sequence, its first position and its tokens. */
  index: number;
  from: number;
  tokens: number;
  relativeError: number;
  maxAbsDifference: number;
}

/** Error of the hidden states after one layer (0: the embedding). */
export interface LayerError {
  index: number;
  name: string;
  relativeError: number;
  maxAbsDifference: number;
  cosine: number;
}

/** One weight of the drawn graph: the package's numbers against the checkpoint's. */
export interface TensorError {
  name: string;
  layer: number | null;
  scheme: string;
  shape: number[];
  sqnrDb: number | null;
  floorDb: number | null;
  cosine: number;
  maxAbsDifference: number;
  /** Greatest error of a group over the step that the group's own range asks for; null for float schemes. */
  worstGroupSteps: number | null;
  verdict: Verdict;
}

/** An explanation of a failure that was tried out. */
export interface Hypothesis {
  id: string;
  statement: string;
  /** Error with and without the assumed mistake: the smaller the first against the second, the likelier. */
  errorIfSo: number;
  errorOtherwise: number;
  likely: boolean;
}

export interface Localisation {
  /** First layer at which the error jumps; null where none does. */
  firstLayer: number | null;
  /** One sentence a finding, worst first. */
  findings: string[];
  worstTensors: string[];
  hypotheses: Hypothesis[];
}

/** What the weights of one scheme take; tables of positions and bytes that several graphs share count once or not at all. */
export interface SchemeSize {
  scheme: string;
  weights: number;
  parameters: number;
  nbytes: number;
}

export interface VerifySubject {
  kind: 'package' | 'checkpoint';
  path: string;
  model: string;
  /** `cpu`, `qnn`, ...; of a checkpoint its layout. */
  target: string;
  /** Schemes with how many weights have each. */
  schemes: Record<string, number>;
  accuracyLevel: number | null;
  parameters: number | null;
  weightBytes: number | null;
  bitsPerWeight: number | null;
  sizes?: SchemeSize[];
  files: { name: string; size: number }[];
}

/** What a report was made of and with: equal here and equal in `reproduce`, two reports are equal. */
export interface Provenance {
  /** Versions by name: node, onnxruntime-node. */
  versions: Record<string, string>;
  /** As `linux x64`: the last digits of float arithmetic are the processor's. */
  platform: string;
  /** SHA-256 of halfbyte.json, which has digests of all other files; null where there is none. */
  manifestSha256: string | null;
  /** What the package was made with. */
  options: JsonObject | null;
  /** Files of the reference: SHA-256 of a whole file of logits, of the headers of a checkpoint's shards. */
  reference: { name: string; size: number; sha256: string; of: 'file' | 'header' }[];
}

export interface VerifyReport {
  formatVersion: 1;
  tool: { name: 'halfbyte'; version: string };
  verdict: Verdict;
  /** Why, in one sentence. */
  summary: string;
  /** Whether `ambiguous` counts as failed. */
  strict: boolean;
  subject: VerifySubject;
  reference: { kind: 'golden' | 'checkpoint' | 'command'; path: string };
  checks: Check[];
  comparisons: Comparison[];
  tokens?: ComparedTokens;
  perplexity: PerplexityResult | null;
  decode: DecodeResult[];
  greedy: GreedyResult | null;
  /** Of pipelines alone. */
  windows?: WindowError[];
  /** What `layers` compares, as `package against its own weights`; absent where `layers` is empty. */
  layersOf?: string;
  layers: LayerError[];
  tensors: TensorError[];
  localisation: Localisation | null;
  /** Least margin of a routing decision in the reference run; null without routers. */
  routingMargin: number | null;
  notes: string[];
  /** The command line that gives this report again, without the flags that say how it is shown. */
  reproduce: string;
  provenance: Provenance;
}
