import { InterruptedError, InvalidInputError } from '../core/errors.js';
import type { Graph, GraphNode } from '../core/graph.js';
import type { ProgressListener } from '../core/progress.js';
import type { SemanticOperator } from '../graph/operators.js';
import type { Activation, RoutingMargin } from './call.js';
import { type Gemm, openGemm } from './gemm.js';
import { MIXES_TOKENS, OPERATORS } from './operators.js';
import { layOut, type Sequences } from './sequences.js';
import type { WeightLookup, WeightRows } from './weights.js';

export interface EvaluationOptions {
  /** Float inputs of the graph besides input_ids, [tokens, width], by name. */
  inputs?: Record<string, Float32Array> | undefined;
  /** Keeps the hidden states for the result. */
  keepHiddenStates?: boolean | undefined;
  /** Each hidden state as it is reached: its index as in transformers' `hidden_states`, [tokens, width]. */
  onHidden?: ((index: number, values: Float32Array, width: number) => void | Promise<void>) | undefined;
  /** Each activation as it is computed, the head's excepted, [tokens, width]. */
  onValue?: ((name: string, values: Float32Array, width: number, node: GraphNode) => void | Promise<void>) | undefined;
  /** Takes the logits row by row instead of collecting them; `row` [vocabulary] is valid during the call alone. */
  onLogits?: ((sequence: number, position: number, row: Float32Array) => void) | undefined;
  onRoutingMargin?: ((margin: RoutingMargin) => void) | undefined;
  onProgress?: ProgressListener | undefined;
  signal?: AbortSignal | undefined;
  /** Threads of the matrix products; 0 for ONNX Runtime's choice. */
  threads?: number | undefined;
  /** The matrix product to use and leave open; without it one is opened with `threads` for this evaluation. */
  gemm?: Gemm | undefined;
}

export interface Evaluation {
  /** Float32 [tokens, vocabulary], tokens in the order of the sequences laid end to end; empty under `onLogits`. */
  logits: Float32Array;
  /** Entry i is [tokens, width] as in transformers' `hidden_states`; empty unless kept. */
  hiddenStates: Float32Array[];
  /** The graph's outputs besides `logits`, [tokens, width]. */
  outputs: Record<string, Float32Array>;
}

/** Logits held at a time under `onLogits`: 64 MB, three passes over the head for 256 tokens of a vocabulary of 150,000. */
const LOGITS_VALUES = 16 << 20;

/**
 * Evaluates a graph of semantic operators in full precision: whole sequences, causal, no cache, nodes in their order,
 * float32 activations. Weights stream in chunks of rows and values are dropped after their last use, so that memory
 * is some 10 widths of activations, 8 MiB of weights, and the logits: all of them ([256, 151936] are 155 MB), or a
 * block of at most 64 MB under `onLogits`.
 *
 * `inputIds` are sequences of any lengths. Throws UsageError for ids or lengths that the model does not have,
 * InvalidInputError for a weight of another size than drawn, InterruptedError when `signal` aborts.
 */
export async function evaluate(
  graph: Graph,
  weights: WeightLookup,
  inputIds: ArrayLike<number>[],
  options: EvaluationOptions = {},
): Promise<Evaluation> {
  const gemm = options.gemm ?? (await openGemm(options.threads));
  try {
    const sequences = layOut(inputIds, vocabularyOf(graph));
    return await new GraphEvaluation(graph, weights, sequences, gemm, options).run();
  } finally {
    if (!options.gemm) await gemm.release();
  }
}

type Values = Map<string, Activation>;

class GraphEvaluation {
  readonly #values: Values = new Map();
  readonly #lastUse = new Map<string, number>();
  readonly #result: Evaluation = { logits: new Float32Array(0), hiddenStates: [], outputs: {} };
  readonly #total: number;
  #done = 0;

  constructor(
    readonly graph: Graph,
    readonly weights: WeightLookup,
    readonly sequences: Sequences,
    readonly gemm: Gemm,
    readonly options: EvaluationOptions,
  ) {
    graph.nodes.forEach((node, index) => {
      for (const input of node.inputs) this.#lastUse.set(input, index);
    });
    for (const { name } of graph.outputs) this.#lastUse.set(name, graph.nodes.length);
    this.#total = graph.nodes.reduce((sum, node) => sum + this.#weightBytes(node), 0);
    for (const { name, dtype, shape } of graph.inputs) {
      if (dtype !== 'FLOAT') continue;
      const [data, width] = [options.inputs?.[name], Number(shape.at(-1))];
      if (data?.length !== this.#tokens * width)
        throw new Error(`input ${name} needs ${this.#tokens} x ${width} values`);
      this.#values.set(name, { width, data });
    }
  }

  get #tokens(): number {
    return this.sequences.ids.length;
  }

  async run(): Promise<Evaluation> {
    const { graph, options } = this;
    const head = options.onLogits ? headStart(graph) : graph.nodes.length;
    for (let index = 0; index < head; index++) {
      const node = graph.nodes[index];
      const results = await this.#evaluate(node, this.#values, this.#tokens);
      for (const [at, name] of node.outputs.entries()) {
        if (name !== '') await this.#keep(name, results[at], node, index);
      }
      this.#drop(node, index, this.#values);
      this.#progress(node);
    }
    if (head < graph.nodes.length) await this.#evaluateHead(head);
    for (const { name } of graph.outputs) {
      const value = this.#values.get(name);
      if (!value) continue;
      if (name !== 'logits') this.#result.outputs[name] = value.data;
      else if (options.onLogits) this.#tellLogits(value, 0);
      else this.#result.logits = value.data;
    }
    return this.#result;
  }

  /** Frees the inputs that no later node needs. */
  #drop(node: GraphNode, index: number, values: Values): void {
    for (const name of node.inputs) if (this.#lastUse.get(name) === index) values.delete(name);
  }

  async #keep(name: string, value: Activation, node: GraphNode, index: number): Promise<void> {
    if ((this.#lastUse.get(name) ?? -1) > index) this.#values.set(name, value);
    await this.options.onValue?.(name, value.data, value.width, node);
    const hidden = this.graph.hiddenStates.indexOf(name);
    if (hidden < 0) return;
    if (this.options.keepHiddenStates) this.#result.hiddenStates[hidden] = value.data;
    await this.options.onHidden?.(hidden, value.data, value.width);
  }

  /** The nodes from `head` on, for as many tokens at a time as LOGITS_VALUES allows; the head streams once a block. */
  async #evaluateHead(head: number): Promise<void> {
    const nodes = this.graph.nodes.slice(head);
    const vocabulary = Number(this.graph.outputs.find(({ name }) => name === 'logits')?.shape.at(-1));
    const block = Math.max(1, Math.floor(LOGITS_VALUES / vocabulary));
    for (let from = 0; from < this.#tokens; from += block) {
      const to = Math.min(this.#tokens, from + block);
      const values: Values = new Map();
      for (const [name, { width, data }] of this.#values) {
        values.set(name, { width, data: data.subarray(from * width, to * width) });
      }
      for (const [index, node] of nodes.entries()) {
        const results = await this.#evaluate(node, values, to - from);
        for (const [at, name] of node.outputs.entries()) values.set(name, results[at]);
        this.#drop(node, head + index, values);
        if (to === this.#tokens) this.#progress(node);
      }
      this.#tellLogits(values.get('logits')!, from);
    }
  }

  #tellLogits({ width, data }: Activation, firstToken: number): void {
    const { starts, positions } = this.sequences;
    let sequence = 0;
    for (let row = 0; row < data.length / width; row++) {
      while (starts[sequence + 1] <= firstToken + row) sequence++;
      this.options.onLogits!(sequence, positions[firstToken + row], data.subarray(row * width, (row + 1) * width));
    }
  }

  async #evaluate(node: GraphNode, values: Values, tokens: number): Promise<Activation[]> {
    if (this.options.signal?.aborted) throw new InterruptedError('Stopped while evaluating the reference.');
    if (node.domain !== 'halfbyte') throw new Error(`${node.name}: ${node.op} is no semantic operator`);
    const opened: (WeightRows | undefined)[] = [];
    try {
      for (const name of node.inputs) opened.push(name in this.graph.weights ? await this.#open(name) : undefined);
      const { sequences, gemm } = this;
      const { onRoutingMargin } = this.options;
      const activations = node.inputs.map((name) => values.get(name));
      const call = { node, tokens, sequences, gemm, activations, weights: opened, onRoutingMargin };
      const result = await OPERATORS[node.op as SemanticOperator](call);
      return Array.isArray(result) ? result : [result];
    } finally {
      for (const each of opened) await each?.close?.();
    }
  }

  async #open(name: string): Promise<WeightRows> {
    const rows = await this.weights(name);
    const drawn = this.graph.weights[name].shape;
    if (rows.cols !== drawn.at(-1) || rows.rows * rows.cols !== drawn.reduce((product, dim) => product * dim, 1)) {
      await rows.close?.();
      throw new InvalidInputError(
        `Weight "${name}" is [${rows.rows}, ${rows.cols}]; the model draws [${drawn.join(', ')}].`,
        'check that config.json and the weights belong together.',
      );
    }
    return rows;
  }

  /** Weights that a node streams, counted as float32; of an embedding table only single rows are read. */
  #weightBytes(node: GraphNode): number {
    if (node.op === 'Embedding' || node.op === 'Rotary') return 0;
    return node.inputs.reduce((sum, name) => {
      const shape = this.graph.weights[name]?.shape;
      return shape ? sum + 4 * shape.reduce((product, dim) => product * dim, 1) : sum;
    }, 0);
  }

  #progress(node: GraphNode): void {
    this.#done += this.#weightBytes(node);
    const [done, total] = [this.#done, this.#total];
    this.options.onProgress?.({ stage: 'reference', done, total, label: node.name });
  }
}

/** Rows of the table that the token ids index. */
function vocabularyOf(graph: Graph): number {
  const node = graph.nodes.find(({ op }) => op === 'Embedding');
  return node ? graph.weights[node.inputs[1]].shape[0] : Infinity;
}

/**
 * The first node of the head: the last Linear, if all from there on works token by token towards the logits alone.
 * Otherwise the number of nodes: nothing is evaluated in blocks.
 */
function headStart(graph: Graph): number {
  const start = graph.nodes.findLastIndex(({ op }) => op === 'Linear');
  const tail = start < 0 ? [] : graph.nodes.slice(start);
  const produced = new Set(tail.flatMap(({ outputs }) => outputs));
  const wanted = [...graph.outputs.map(({ name }) => name), ...graph.hiddenStates].filter((name) => produced.has(name));
  const separable = wanted.join() === 'logits' && tail.every(({ op }) => !MIXES_TOKENS.has(op));
  return separable ? start : graph.nodes.length;
}
