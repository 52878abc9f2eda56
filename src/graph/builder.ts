import type { ElementType } from '../core/dtype.js';
import type { Attribute, Dim, Graph, GraphNode, ValueInfo, Weight, WeightRole } from '../core/graph.js';
import type { WeightSource } from '../core/weights.js';
import type { SemanticOperator } from './operators.js';

/** A value of a graph under construction: its name and shape. */
export type Value = ValueInfo;

/**
 * Draws a graph of semantic operators. Names are paths as onnxruntime-genai's builder writes them
 * (`/model/layers.0/attn/q_proj/MatMul`): `scope` adds a segment for the nodes drawn inside it.
 */
export class GraphBuilder {
  readonly #graph: Graph;
  readonly #sources: Record<string, WeightSource>;
  #path = '';

  /** `sources` are the architecture's weights by name; the plan checks the drawn shapes against the checkpoint. */
  constructor(name: string, sources: Record<string, WeightSource>) {
    this.#sources = sources;
    this.#graph = {
      name,
      inputs: [],
      outputs: [],
      nodes: [],
      initializers: [],
      weights: {},
      values: {},
      hiddenStates: [],
      opsets: {},
    };
  }

  /** Runs `draw` with `segment` appended to the node path. */
  scope<T>(segment: string, draw: () => T): T {
    const outer = this.#path;
    this.#path = `${outer}/${segment}`;
    try {
      return draw();
    } finally {
      this.#path = outer;
    }
  }

  input(name: string, dtype: ElementType, shape: Dim[]): Value {
    const value = { name, dtype, shape };
    this.#graph.inputs.push(value);
    this.#graph.values[name] = value;
    return value;
  }

  /** Names the final value of the graph: the producing node's output is renamed. */
  output(name: string, value: Value): void {
    const producer = this.#graph.nodes.find((node) => node.outputs.includes(value.name));
    if (!producer) throw new Error(`${value.name} is no node's output`);
    const rename = (names: string[]) => names.map((each) => (each === value.name ? name : each));
    producer.outputs = rename(producer.outputs);
    for (const node of this.#graph.nodes) node.inputs = rename(node.inputs);
    this.#graph.hiddenStates = rename(this.#graph.hiddenStates);
    delete this.#graph.values[value.name];
    const renamed = { ...value, name };
    this.#graph.values[name] = renamed;
    this.#graph.outputs.push(renamed);
  }

  /** Declares a weight of this shape and returns its name, for use as a node input. */
  weight(name: string, shape: number[], role: WeightRole = 'matrix'): string {
    const source = this.#sources[name];
    if (source === undefined) throw new Error(`the architecture lists no weight ${name}`);
    const declared: Weight = { name, source, shape, role };
    const known = this.#graph.weights[name];
    if (known && known.shape.join() !== shape.join()) throw new Error(`${name} is drawn with two shapes`);
    this.#graph.weights[name] ??= declared;
    return name;
  }

  /** Marks a value as the next of the hidden states that transformers reports. */
  hidden(value: Value): Value {
    this.#graph.hiddenStates.push(value.name);
    return value;
  }

  /** Adds a semantic operator with one result; `inputs` are values or weight names, undefined omits one. */
  node(
    op: SemanticOperator,
    segment: string,
    inputs: (Value | string | undefined)[],
    attributes: Record<string, Attribute>,
    width: Dim,
  ): Value {
    return this.nodes(op, segment, inputs, attributes, [width])[0];
  }

  /** Adds a semantic operator with a result for each of `widths`. */
  nodes(
    op: SemanticOperator,
    segment: string,
    inputs: (Value | string | undefined)[],
    attributes: Record<string, Attribute>,
    widths: Dim[],
  ): Value[] {
    const first = inputs.find((each) => typeof each === 'object') as Value;
    const leading = op === 'Embedding' ? first.shape : first.shape.slice(0, -1);
    const name = `${this.#path}/${segment}`;
    const names = inputs.map((each) => (each === undefined ? '' : typeof each === 'string' ? each : each.name));
    while (names.at(-1) === '') names.pop();
    const outputs = widths.map((_, index) => `${name}/output_${index}`);
    const node: GraphNode = { name, op, domain: 'halfbyte', inputs: names, outputs, attributes };
    this.#graph.nodes.push(node);
    return widths.map((width, index) => {
      const value: Value = { name: outputs[index], dtype: 'FLOAT', shape: [...leading, width] };
      this.#graph.values[value.name] = value;
      return value;
    });
  }

  finish(): Graph {
    return this.#graph;
  }
}
