import type { Fusion, Graph, GraphNode, Pass } from '../core/graph.js';
import { producers } from './rewrite.js';

/** A pass: its function, and beside it what it says of itself. */
export const pass = (stated: Omit<Pass, 'apply'>, apply: Pass['apply']): Pass => ({ ...stated, apply });

/** A place where two operators stand that a pass makes one. */
export interface Unfused {
  pass: string;
  fusion: Fusion;
  first: GraphNode;
  second: GraphNode;
}

/** An operator with its domain, as `Target.operators` has it: `halfbyte.Linear`, `com.microsoft.MatMulNBits`, `MatMul`. */
export const operatorOf = ({ domain, op }: GraphNode): string => (domain === '' ? op : `${domain}.${op}`);

function countsOf({ nodes }: Graph): Map<string, number> {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const operator = operatorOf(node);
    counts.set(operator, (counts.get(operator) ?? 0) + 1);
  }
  return counts;
}

/** Pairs that a fusion is for and that stand in a graph as two operators. */
function unfusedBy({ name, fuses = [] }: Pass, graph: Graph): Unfused[] {
  if (fuses.length === 0) return [];
  const made = producers(graph);
  return graph.nodes.flatMap((second) =>
    fuses
      .filter((fusion) => fusion.second === operatorOf(second))
      .flatMap((fusion) => {
        const makers = second.inputs.map((input) => made.get(input));
        const first = makers.find((maker) => maker && operatorOf(maker) === fusion.first && !fusion.except?.(maker));
        return first ? [{ pass: name, fusion, first, second }] : [];
      }),
  );
}

/**
 * Runs passes in their order and holds each to what it states: one that runs too early, leaves what it takes away or
 * brings in what it does not name is a defect and throws. Returns the graph and every fusion that did not fire.
 */
export function runPasses(drawn: Graph, passes: readonly Pass[]): { graph: Graph; unfused: Unfused[] } {
  let graph = drawn;
  let counts = countsOf(graph);
  const unfused: Unfused[] = [];
  for (const each of passes) {
    const early = each.requires?.find((operator) => counts.has(operator));
    if (early) throw new Error(`pass ${each.name}: runs before a pass that takes away ${early}`);
    graph = each.apply(graph);
    const after = countsOf(graph);
    const left = each.removes.find((operator) => after.has(operator));
    if (left) throw new Error(`pass ${each.name}: states that it takes away ${left}, and leaves some`);
    for (const [operator, count] of after) {
      if (count <= (counts.get(operator) ?? 0) || each.leaves.includes(operator)) continue;
      throw new Error(`pass ${each.name}: brings in ${operator}, which it does not state`);
    }
    counts = after;
    unfused.push(...unfusedBy(each, graph));
  }
  return { graph, unfused };
}
