import type { Graph, GraphNode, Initializer } from '../core/graph.js';

/** Operators whose result has the highest rank of their inputs. */
const BROADCAST = ['Where', 'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'MatMul', 'FusedMatMul'];

/** Ranks of the values of a lowered graph; what cannot be told is left out. */
export function ranksOf(graph: Graph): Map<string, number> {
  const ranks = new Map<string, number>();
  const constants = new Map<string, Initializer>(graph.initializers.map((each) => [each.name, each]));
  for (const { name, shape } of [...graph.inputs, ...graph.initializers]) ranks.set(name, shape.length);
  for (const node of graph.nodes) {
    const rank = outputRank(node, ranks, constants);
    if (rank !== undefined) for (const output of node.outputs) if (!ranks.has(output)) ranks.set(output, rank);
  }
  return ranks;
}

const highest = (ranks: (number | undefined)[]) =>
  ranks.includes(undefined) ? undefined : Math.max(...(ranks as number[]));

/** Rank of a node's results; the shapes and axes that it reads must be constants. */
function outputRank(
  { op, attributes, inputs }: GraphNode,
  ranks: ReadonlyMap<string, number>,
  constants: ReadonlyMap<string, Initializer>,
): number | undefined {
  const first = ranks.get(inputs[0]);
  /** Elements of a constant list: a shape of so many dimensions, so many axes. */
  const lengthOf = (name: string | undefined) => constants.get(name ?? '')?.shape[0];
  const more = (by: number | undefined) => (first === undefined || by === undefined ? undefined : first + by);
  if (BROADCAST.includes(op)) return highest(inputs.map((name) => ranks.get(name)));
  const indices = ranks.get(inputs[1]);
  const axes = Array.isArray(attributes.axes) ? attributes.axes.length : lengthOf(inputs[1]);
  switch (op) {
    case 'Reshape':
      return lengthOf(inputs[1]);
    case 'ConstantOfShape':
      return lengthOf(inputs[0]);
    case 'Expand':
      return highest([first, lengthOf(inputs[1])]);
    case 'Unsqueeze':
      return more(axes);
    case 'Squeeze':
      return more(axes && -axes);
    case 'Gather':
      return more(indices === undefined ? undefined : indices - 1);
    case 'Shape':
      return 1;
    case 'Flatten':
    case 'NonZero':
      return 2;
    default:
      return op.startsWith('Reduce') || op.startsWith('Arg') ? undefined : first;
  }
}
