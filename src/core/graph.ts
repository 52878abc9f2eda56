import type { ElementType } from './dtype.js';
import type { QuantizationArgs } from './scheme.js';
import type { WeightSource } from './weights.js';

/** A dimension: a number, or the name of a symbolic one. */
export type Dim = number | string;

export interface ValueInfo {
  name: string;
  dtype: ElementType;
  shape: Dim[];
}

/** Integers are numbers without a fraction; `{ float: x }` marks a float attribute whatever its value. */
export type Attribute = number | string | number[] | { float: number } | { floats: number[] };

/**
 * One operator. Domain '' is ai.onnx, 'com.microsoft' the contrib operators, 'halfbyte' the semantic operators of
 * `graph/operators.ts`, which the reference engine evaluates and the targets' passes lower. '' omits an input or output.
 */
export interface GraphNode {
  name: string;
  op: string;
  domain: '' | 'com.microsoft' | 'halfbyte';
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

/**
 * A constant of the graph. `values` are small numbers written into the model, all of them or one for every element;
 * `weight` and `part` name one part of a packed weight, whose bytes go to the data file.
 */
export interface Initializer {
  name: string;
  dtype: ElementType;
  shape: number[];
  content: { values: number[] } | { weight: string; part: string };
}

/** Role of a weight, which decides the scheme that it gets: see `--weights`, `--embeddings`, `--lm-head`. */
export type WeightRole = 'embedding' | 'lm_head' | 'matrix' | 'float';

/** A weight of the graph by name: where it comes from, its logical shape, and, once assigned, its scheme. */
export interface Weight {
  name: string;
  source: WeightSource;
  shape: number[];
  role: WeightRole;
  scheme?: QuantizationArgs;
}

/** Nodes and names, never bytes. Nodes stand in an order in which each follows its inputs. */
export interface Graph {
  name: string;
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  nodes: GraphNode[];
  initializers: Initializer[];
  /** Weights that semantic nodes name as inputs and initializers take parts of. */
  weights: Record<string, Weight>;
  /** Known types and shapes of values in between, by name. */
  values: Record<string, ValueInfo>;
  /** Values after the embedding, after each layer and after the final norm: what transformers calls hidden_states. */
  hiddenStates: string[];
  /** Opset version per domain, empty until lowered. */
  opsets: Record<string, number>;
  /** What a pass decided where a target offers more than one form, for the manifest. */
  notes?: string[];
  /** Calibrated ranges of values and of small weights, by name; passes that rename or derive values keep them true. */
  ranges?: Record<string, ValueRange>;
}

/** The least and the greatest value that something takes. */
export interface ValueRange {
  min: number;
  max: number;
}

/** Two operators that a pass makes one where the second reads the first's result. Operators as in `Pass`. */
export interface Fusion {
  first: string;
  second: string;
  /** What takes in both. */
  into: string;
  /** Places that `into` has no form for. */
  except?(first: GraphNode): boolean;
}

/**
 * A rewrite from graph to graph, and what it says of itself. Operators are named as a target names them
 * (`MatMul`, `com.microsoft.MatMulNBits`), those of a drawing `halfbyte.Linear`.
 */
export interface Pass {
  /** Its file, or what it is called there. */
  name: string;
  /** Operators of which none may be left when it runs: other passes take them away before. */
  requires?: readonly string[];
  /** Operators that it takes away: none is left. */
  removes: readonly string[];
  /** Operators that it leaves in their place. Of all others there are as many as before, or fewer. */
  leaves: readonly string[];
  fuses?: readonly Fusion[];
  apply(graph: Graph): Graph;
}
