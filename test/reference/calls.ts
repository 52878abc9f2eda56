import type { Attribute } from '../../src/core/graph.js';
import type { SemanticOperator } from '../../src/graph/operators.js';
import type { Activation, OperatorCall, RoutingMargin } from '../../src/reference/call.js';
import { openGemm } from '../../src/reference/gemm.js';
import { OPERATORS } from '../../src/reference/operators.js';
import { layOut } from '../../src/reference/sequences.js';
import type { WeightRows } from '../../src/reference/weights.js';

/** A matrix of numbers as a weight; `read` lists the row ranges that were asked for. */
export interface KnownRows extends WeightRows {
  values: Float32Array;
  read: [from: number, count: number][];
}

export function rowsOf(values: ArrayLike<number>, cols: number): KnownRows {
  const data = Float32Array.from(values);
  const read: [number, number][] = [];
  return {
    rows: data.length / cols,
    cols,
    values: data,
    read,
    readFloat32(from, count, out) {
      if (out.length !== count * cols) throw new Error(`${out.length} values for ${count} rows of ${cols}`);
      read.push([from, count]);
      out.set(data.subarray(from * cols, (from + count) * cols));
    },
  };
}

export const activationOf = (values: ArrayLike<number>, width: number): Activation => ({
  width,
  data: Float32Array.from(values),
});

/** Repeatable numbers in [-1, 1) that no operator under test could produce itself. */
export function noise(count: number, seed: number): number[] {
  let state = seed * 7919 + 17;
  return Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  });
}

const gemm = await openGemm(1);

/** Evaluates one operator on sequences of these lengths (default: one sequence of all tokens). */
export async function run(
  op: SemanticOperator,
  inputs: (Activation | WeightRows | undefined)[],
  attributes: Record<string, Attribute> = {},
  { lengths, ids, margins }: { lengths?: number[] | undefined; ids?: number[]; margins?: RoutingMargin[] } = {},
): Promise<Activation[]> {
  const first = inputs.find((each): each is Activation => each !== undefined && 'data' in each);
  const tokens = ids?.length ?? first!.data.length / first!.width;
  const spans = lengths ?? [tokens];
  const sequences = layOut(ids ? [ids] : spans.map((length) => new Array(length).fill(0)), Infinity);
  const call: OperatorCall = {
    node: { name: op, op, domain: 'halfbyte', inputs: inputs.map((_, i) => `${i}`), outputs: ['y'], attributes },
    tokens,
    sequences,
    gemm,
    activations: inputs.map((each) => (each && 'data' in each ? each : undefined)),
    weights: inputs.map((each) => (each && 'rows' in each ? each : undefined)),
    onRoutingMargin: margins && ((margin) => margins.push(margin)),
  };
  const result = await OPERATORS[op](call);
  return Array.isArray(result) ? result : [result];
}

/** Greatest absolute difference; NaN for different lengths. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}
