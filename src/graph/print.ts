import type { Attribute, Graph, ValueInfo } from '../core/graph.js';
import { own } from '../core/own.js';

function attributeText(value: Attribute): string {
  if (typeof value === 'object' && 'float' in value) return Number(value.float.toPrecision(7)).toString();
  if (typeof value === 'object' && 'floats' in value) return `[${value.floats.join(', ')}]`;
  return Array.isArray(value) ? `[${value.join(', ')}]` : JSON.stringify(value);
}

const valueText = (value: ValueInfo) => `${value.name}: ${value.dtype}[${value.shape.join(', ')}]`;

/**
 * A graph as text, for people and snapshot tests: inputs, outputs, one line for each node and initializer,
 * in the graph's own order.
 */
export function printGraph(graph: Graph): string {
  const lines = [`graph ${graph.name}`];
  for (const [domain, version] of Object.entries(graph.opsets)) lines.push(`opset ${domain || 'ai.onnx'} ${version}`);
  for (const input of graph.inputs) lines.push(`input ${valueText(input)}`);
  for (const output of graph.outputs) lines.push(`output ${valueText(output)}`);
  for (const each of graph.initializers) {
    const content =
      'values' in each.content
        ? `= [${each.content.values.join(', ')}]`
        : `<- ${each.content.weight} ${each.content.part}`;
    lines.push(`initializer ${valueText(each)} ${content}`);
  }
  for (const node of graph.nodes) {
    const attributes = Object.entries(node.attributes).map(([key, value]) => `${key}=${attributeText(value)}`);
    const name = [node.domain === 'com.microsoft' ? 'ms' : node.domain, node.op].filter(Boolean).join('.');
    const inputs = node.inputs.map((each) => each || '-').join(', ');
    const outputs = node.outputs.map((each) => each || '-').join(', ');
    lines.push(`${outputs} = ${name}(${inputs})${attributes.length ? ` {${attributes.join(', ')}}` : ''}`);
  }
  return `${lines.join('\n')}\n`;
}

/** How many nodes of each operator a graph has, sorted by name. */
export function operatorCounts(graph: Graph): Record<string, number> {
  const counts = own<number>();
  for (const node of graph.nodes) counts[node.op] = (counts[node.op] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
