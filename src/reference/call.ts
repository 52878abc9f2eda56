import type { GraphNode } from '../core/graph.js';
import type { Gemm } from './gemm.js';
import type { Sequences } from './sequences.js';
import { readWhole, type WeightRows } from './weights.js';

/** A value of the graph for every token: float32 [tokens, width], row-major. */
export interface Activation {
  width: number;
  data: Float32Array;
}

/** How far a routing decision was from another outcome, in the units of the Router's `choice`. */
export interface RoutingMargin {
  node: string;
  among: 'experts' | 'groups';
  sequence: number;
  position: number;
  /** Least of the chosen minus greatest of the others; Infinity where nothing is left to choose. */
  margin: number;
}

/** What one node is evaluated with: its attributes, activations, weights, and the tokens that it is evaluated for. */
export interface OperatorCall {
  node: GraphNode;
  tokens: number;
  sequences: Sequences;
  gemm: Gemm;
  /** The activation at this input; undefined where the input is a weight or left out. */
  activations: (Activation | undefined)[];
  /** The opened weight at this input; undefined where the input is an activation or left out. */
  weights: (WeightRows | undefined)[];
  onRoutingMargin?: ((margin: RoutingMargin) => void) | undefined;
}

export type Operator = (call: OperatorCall) => Activation | Activation[] | Promise<Activation | Activation[]>;

/** The activation at input `index`, which the operator requires. */
export function activation(call: OperatorCall, index: number): Activation {
  const found = call.activations[index];
  if (!found) throw new Error(`${call.node.name}: input ${index} of ${call.node.op} is no activation`);
  return found;
}

/** The weight at input `index`, which the operator requires. */
export function weight(call: OperatorCall, index: number): WeightRows {
  const found = call.weights[index];
  if (!found) throw new Error(`${call.node.name}: input ${index} of ${call.node.op} is no weight`);
  return found;
}

/** The values of a small weight at input `index`, or undefined where the input is left out. */
export async function vector(call: OperatorCall, index: number): Promise<Float32Array | undefined> {
  const found = call.weights[index];
  return found && readWhole(found);
}

/** A numeric attribute; without `fallback` its absence is a defect of the graph. */
export function number(call: OperatorCall, name: string, fallback?: number): number {
  const found = call.node.attributes[name] ?? fallback;
  if (typeof found === 'number') return found;
  if (typeof found === 'object' && 'float' in found) return found.float;
  throw new Error(`${call.node.name}: ${call.node.op} has no number "${name}"`);
}

/** A text attribute. */
export function text(call: OperatorCall, name: string): string {
  const found = call.node.attributes[name];
  if (typeof found !== 'string') throw new Error(`${call.node.name}: ${call.node.op} has no text "${name}"`);
  return found;
}
