import type { ElementType } from '../../core/dtype.js';
import type { Graph, GraphNode, Initializer } from '../../core/graph.js';
import type { LintedGraph } from '../../core/lint.js';
import { elementTypes } from '../../graph/element_types.js';
import { ranksOf } from '../../graph/ranks.js';
import { producers, readers } from '../../graph/rewrite.js';

/** A graph with what rules ask about it, worked out once. */
export class GraphView {
  readonly file: string;
  readonly graph: Graph;
  readonly external: LintedGraph['external'];
  readonly onDevice: boolean;
  readonly types: ReadonlyMap<string, ElementType>;
  readonly ranks: ReadonlyMap<string, number>;
  readonly initializers: ReadonlyMap<string, Initializer>;
  readonly makers: ReadonlyMap<string, GraphNode>;
  readonly readers: ReadonlyMap<string, GraphNode[]>;
  /** Initializers and every value computed from them alone: the provider folds those when it loads the model. */
  readonly constants: ReadonlySet<string>;

  constructor({ file, graph, external, onDevice }: LintedGraph) {
    this.file = file;
    this.graph = graph;
    this.external = external;
    this.onDevice = onDevice;
    this.types = elementTypes(graph);
    this.ranks = ranksOf(graph);
    this.initializers = new Map(graph.initializers.map((each) => [each.name, each]));
    this.makers = producers(graph);
    this.readers = readers(graph);
    const constants = new Set(this.initializers.keys());
    for (const { inputs, outputs } of graph.nodes) {
      const folds = inputs.length > 0 && inputs.every((name) => name === '' || constants.has(name));
      if (folds) for (const output of outputs) constants.add(output);
    }
    this.constants = constants;
  }

  /** Numbers of a constant whose bytes are at hand: all of them, or one that stands for all. */
  values(name: string | undefined): number[] | undefined {
    const content = this.initializers.get(name ?? '')?.content;
    return content && 'values' in content ? content.values : undefined;
  }

  isFloat(name: string): boolean {
    const type = this.types.get(name);
    return type === 'FLOAT' || type === 'FLOAT16' || type === 'BFLOAT16';
  }

  /** Nodes that are computed at every call, constants left out. */
  get computed(): GraphNode[] {
    return this.graph.nodes.filter(({ outputs }) => !outputs.every((name) => this.constants.has(name)));
  }

  /** Integer weights: DequantizeLinear of codes that the file holds. */
  get weights(): GraphNode[] {
    return this.graph.nodes.filter(
      ({ op, inputs }) => op === 'DequantizeLinear' && this.initializers.has(inputs[0] ?? ''),
    );
  }

  /** DequantizeLinear of activations. */
  get restored(): GraphNode[] {
    return this.graph.nodes.filter(
      ({ op, inputs }) => op === 'DequantizeLinear' && !this.constants.has(inputs[0] ?? ''),
    );
  }

  get quantized(): GraphNode[] {
    return this.graph.nodes.filter(({ op }) => op === 'QuantizeLinear');
  }
}

/** An operator as a target's list has it: `MatMul`, `com.microsoft.MatMulNBits`. */
export const operatorOf = ({ op, domain }: Pick<GraphNode, 'op' | 'domain'>): string =>
  domain === '' ? op : `${domain}.${op}`;
