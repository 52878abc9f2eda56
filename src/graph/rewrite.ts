import type { ElementType } from '../core/dtype.js';
import type { Attribute, Graph, GraphNode, Initializer, ValueInfo, Weight } from '../core/graph.js';

/**
 * What a lowering adds in the place of one node: nodes and initializers. Every name is derived from the node's own,
 * so that a graph can be read against the drawing.
 */
export class Replacement {
  readonly nodes: GraphNode[] = [];

  constructor(
    readonly graph: GraphDraft,
    readonly node: GraphNode,
  ) {}

  /** Adds an operator of ai.onnx with one output, which is `output` or derived from the name. Returns that output. */
  onnx(
    op: string,
    segment: string,
    inputs: string[],
    attributes: Record<string, Attribute> = {},
    output?: string,
  ): string {
    return this.#add('', op, segment, inputs, attributes, output);
  }

  /** Adds a contrib operator with one output. */
  contrib(
    op: string,
    segment: string,
    inputs: string[],
    attributes: Record<string, Attribute> = {},
    output?: string,
  ): string {
    return this.#add('com.microsoft', op, segment, inputs, attributes, output);
  }

  /** Adds a finished node. */
  push(node: GraphNode): void {
    this.nodes.push(node);
  }

  /** A name for a value between the nodes of the replacement, never that of the replaced node's result. */
  #intermediate(segment: string): string {
    const name = `${segment}/output_0`;
    return this.node.outputs.includes(name) ? `${segment}/partial_0` : name;
  }

  #add(
    domain: '' | 'com.microsoft',
    op: string,
    segment: string,
    inputs: string[],
    attributes: Record<string, Attribute>,
    output = this.#intermediate(segment),
  ): string {
    this.nodes.push({ name: segment, op, domain, inputs, outputs: [output], attributes });
    return output;
  }
}

/** A copy of a graph under change by one pass: the pass replaces nodes and adds initializers, then takes `finish()`. */
export class GraphDraft {
  readonly graph: Graph;
  readonly #initializers: Map<string, Initializer>;
  // Copied when a pass first adds to them: most add to neither, and copies of both took a quarter of a plan's time.
  #ownsValues = false;
  #ownsWeights = false;

  constructor(graph: Graph) {
    this.graph = {
      ...graph,
      inputs: [...graph.inputs],
      outputs: [...graph.outputs],
      hiddenStates: [...graph.hiddenStates],
    };
    this.#initializers = new Map(graph.initializers.map((each) => [each.name, each]));
  }

  /** Adds a weight, or replaces the one of its name. Returns the name. */
  weight(weight: Weight): string {
    if (!this.#ownsWeights) this.graph.weights = { ...this.graph.weights };
    this.#ownsWeights = true;
    this.graph.weights[weight.name] = weight;
    return weight.name;
  }

  #value(value: ValueInfo): ValueInfo {
    if (!this.#ownsValues) this.graph.values = { ...this.graph.values };
    this.#ownsValues = true;
    this.graph.values[value.name] = value;
    return value;
  }

  /** Adds an initializer unless one of that name is there, and returns the name. */
  initializer(name: string, dtype: ElementType, shape: number[], content: Initializer['content']): string {
    if (!this.#initializers.has(name)) this.#initializers.set(name, { name, dtype, shape, content });
    return name;
  }

  /** A small constant, named by its content so that equal ones are one. Shape [] for a number, [n] for a list. */
  constant(dtype: ElementType, values: number | number[]): string {
    const list = Array.isArray(values) ? values : [values];
    const shape = Array.isArray(values) ? [list.length] : [];
    const name = `/model/constants/${dtype}/${Array.isArray(values) ? `[${list.join(',')}]` : values}`;
    return this.initializer(name, dtype, shape, { values: list });
  }

  /** Adds a graph input unless it is there. */
  input(name: string, dtype: ElementType, shape: (number | string)[]): string {
    if (!this.graph.inputs.some((each) => each.name === name)) {
      this.graph.inputs.push(this.#value({ name, dtype, shape }));
    }
    return name;
  }

  output(name: string, dtype: ElementType, shape: (number | string)[]): string {
    if (!this.graph.outputs.some((each) => each.name === name)) {
      this.graph.outputs.push(this.#value({ name, dtype, shape }));
    }
    return name;
  }

  /** The graph with the initializers that its nodes still name, in order of first addition. */
  finish(): Graph {
    const used = new Set(this.graph.nodes.flatMap((node) => node.inputs));
    this.graph.initializers = [...this.#initializers.values()].filter((each) => used.has(each.name));
    return this.graph;
  }
}

/** Rewrites every semantic node of kind `op`: `lower` draws what stands in its place. */
export function replaceEach(graph: Graph, op: string, lower: (node: GraphNode, into: Replacement) => void): Graph {
  const isMeant = (node: GraphNode) => node.op === op && node.domain === 'halfbyte';
  if (!graph.nodes.some(isMeant)) return graph;
  const draft = new GraphDraft(graph);
  draft.graph.nodes = graph.nodes.flatMap((node) => {
    if (!isMeant(node)) return [node];
    const replacement = new Replacement(draft, node);
    lower(node, replacement);
    return replacement.nodes;
  });
  return draft.finish();
}

/** How often each value is read, graph outputs included. */
export function readers(graph: Graph): Map<string, GraphNode[]> {
  const map = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      const list = map.get(input);
      if (list) list.push(node);
      else map.set(input, [node]);
    }
  }
  return map;
}

/** The node that produces each value. */
export function producers(graph: Graph): Map<string, GraphNode> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.filter(Boolean).map((output) => [output, node] as const)));
}

/** An integer attribute of a node. */
export function integer(node: GraphNode, key: string): number {
  const value = node.attributes[key];
  if (typeof value !== 'number') throw new Error(`${node.name} has no integer attribute ${key}`);
  return value;
}

/** A float attribute of a node. */
export function float(node: GraphNode, key: string): number {
  const value = node.attributes[key];
  if (typeof value !== 'object' || !('float' in value)) throw new Error(`${node.name} has no float attribute ${key}`);
  return value.float;
}

/** A string attribute of a node. */
export function text(node: GraphNode, key: string): string {
  const value = node.attributes[key];
  if (typeof value !== 'string') throw new Error(`${node.name} has no string attribute ${key}`);
  return value;
}
