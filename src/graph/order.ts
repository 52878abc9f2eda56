import type { GraphNode } from '../core/graph.js';

/** The nodes in an order in which each follows its inputs, otherwise as they stand; of equal names the first stays. */
export function inOrder(nodes: GraphNode[]): GraphNode[] {
  const byName = new Map<string, GraphNode>();
  for (const node of nodes) if (!byName.has(node.name)) byName.set(node.name, node);
  const made = new Map([...byName.values()].flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const placed = new Set<GraphNode>();
  const ordered: GraphNode[] = [];
  const place = (node: GraphNode): void => {
    if (placed.has(node)) return;
    placed.add(node);
    for (const input of node.inputs) {
      const producer = made.get(input);
      if (producer && input !== '') place(producer);
    }
    ordered.push(node);
  };
  for (const node of byName.values()) place(node);
  return ordered;
}
