import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DecoderConfig } from '../src/core/architecture.js';
import { UsageError } from '../src/core/errors.js';
import type { Graph } from '../src/core/graph.js';
import { NonFiniteWeight, type Packed, type QuantizationArgs, type Scheme } from '../src/core/scheme.js';
import { SEMANTIC_OPERATORS } from '../src/graph/operators.js';
import { find, ids, REGISTRY_FOLDERS, type RegistryFolder } from '../src/registry.js';

type Shape = Record<string, 'object' | 'array' | 'string' | 'number' | 'function' | 'set'>;

const required: Record<RegistryFolder, Shape> = {
  architectures: { keys: 'object', parseConfig: 'function', weights: 'function', build: 'function', example: 'object' },
  schemes: {
    numBits: 'number',
    type: 'string',
    defaults: 'object',
    check: 'function',
    rowQuantum: 'function',
    layout: 'function',
    quantize: 'function',
    dequantize: 'function',
  },
  layouts: { matches: 'function', undress: 'function', rowQuantum: 'function', needs: 'function', decode: 'function' },
  targets: { defaults: 'object', opsets: 'object', operators: 'set', check: 'function', stages: 'function' },
  metrics: { unit: 'string', better: 'string', over: 'string', measure: 'function' },
};
const optional: Partial<Record<RegistryFolder, Shape>> = {
  architectures: { withoutMissingPart: 'function', extraGraphs: 'function', ignored: 'array' },
  metrics: { position: 'function', summary: 'function' },
};

for (const folder of REGISTRY_FOLDERS) {
  for (const id of ids(folder)) {
    test(`${folder}/${id}: has the members of its kind`, async () => {
      const entry = (await find(folder, id)) as unknown as Record<string, unknown>;
      assert.type(entry, 'object', `${folder}/${id} has no default export`);
      for (const [member, kind] of Object.entries(required[folder])) {
        assert.is(kindOf(entry[member]), kind, `${member} of ${folder}/${id}`);
      }
      for (const [member, kind] of Object.entries(optional[folder] ?? {})) {
        if (entry[member] !== undefined) assert.is(kindOf(entry[member]), kind, `${member} of ${folder}/${id}`);
      }
    });
  }
}

function kindOf(value: unknown): string {
  return value instanceof Set ? 'set' : Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
}

// ---------------------------------------------------------------- architectures

for (const id of ids('architectures')) {
  const open = async () => {
    const architecture = (await find('architectures', id))!;
    const config = architecture.parseConfig(structuredClone(architecture.example));
    const options = { contextLength: Math.min(48, config.max_position_embeddings) };
    const graphs = { decoder: architecture.build(config, options), ...architecture.extraGraphs?.(config, options) };
    return { architecture, config, graphs, weights: architecture.weights(config, options) };
  };

  test(`architectures/${id}: its example parses to the sizes that it states`, async () => {
    const { architecture, config } = await open();
    assert.is(architecture.example.model_type, id, 'the file is found by the model_type of a config.json');
    const sizes: (keyof DecoderConfig)[] = ['vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads'];
    for (const key of sizes) assert.is(config[key], architecture.example[key], key);
    assert.ok(config.head_dim > 0 && config.num_key_value_heads > 0 && config.max_position_embeddings > 0);
    assert.type(config.tie_word_embeddings, 'boolean');
  });

  test(`architectures/${id}: every key of its example is one that it lists, and lists once`, async () => {
    const { keys, example } = (await find('architectures', id))!;
    const listed = [...keys.read, ...keys.inert, ...Object.keys(keys.unsupported)];
    assert.equal(repeated(listed), [], 'keys in two lists');
    assert.equal(
      Object.keys(example).filter((key) => !listed.includes(key)),
      [],
      'keys that the example has and the lists have not',
    );
  });

  test(`architectures/${id}: a size that is no number is refused by name`, async () => {
    const { architecture } = await open();
    const refuse = () => architecture.parseConfig({ ...architecture.example, hidden_size: 'wide' });
    assert.throws(
      refuse,
      (error: Error) => error.name === 'InvalidInputError' && error.message.includes('hidden_size'),
    );
  });

  test(`architectures/${id}: draws known operators, each after its inputs`, async () => {
    const { graphs } = await open();
    for (const graph of Object.values(graphs)) checkDrawing(graph);
  });

  test(`architectures/${id}: lists exactly the weights that it draws`, async () => {
    const { graphs, weights } = await open();
    const drawn = new Set(Object.values(graphs).flatMap((graph) => Object.keys(graph.weights)));
    assert.equal([...drawn].sort(), Object.keys(weights).sort());
    for (const graph of Object.values(graphs)) {
      const used = new Set(graph.nodes.flatMap((node) => node.inputs));
      assert.equal(
        Object.keys(graph.weights).filter((name) => !used.has(name)),
        [],
        'weights that no node takes',
      );
    }
  });

  test(`architectures/${id}: marks the hidden states that transformers reports`, async () => {
    const { graphs, config } = await open();
    assert.is(graphs.decoder.hiddenStates.length, config.num_hidden_layers + 1);
    const results = new Set(graphs.decoder.nodes.flatMap((node) => node.outputs));
    for (const name of graphs.decoder.hiddenStates) assert.ok(results.has(name), `${name} is no value of the graph`);
    const [logits] = graphs.decoder.outputs;
    assert.is(logits.name, 'logits');
    assert.is(logits.shape.at(-1), config.vocab_size);
  });

  test(`architectures/${id}: draws the same graph every time`, async () => {
    const [first, second] = [await open(), await open()];
    assert.is(JSON.stringify(first.graphs), JSON.stringify(second.graphs));
    assert.equal(JSON.parse(JSON.stringify(first.graphs)), first.graphs, 'a graph is plain data');
  });
}

function checkDrawing(graph: Graph): void {
  const known = new Set(['', ...Object.keys(graph.weights), ...graph.inputs.map((input) => input.name)]);
  assert.equal(repeated(graph.nodes.map((node) => node.name)), [], 'node names');
  for (const node of graph.nodes) {
    assert.is(node.domain, 'halfbyte', node.name);
    assert.ok((SEMANTIC_OPERATORS as readonly string[]).includes(node.op), `${node.name}: ${node.op}`);
    for (const input of node.inputs) assert.ok(known.has(input), `${node.name} takes ${input}, which is not there yet`);
    for (const output of node.outputs) {
      assert.not.ok(known.has(output), `${output} is made twice`);
      known.add(output);
    }
  }
  for (const output of graph.outputs) assert.ok(known.has(output.name), `no node makes ${output.name}`);
}

function repeated(names: string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}

// ---------------------------------------------------------------- schemes

/** Rows and columns that no group size and no block divides. */
const rows = 5;
const cols = 75;

/** Every combination of settings near the defaults that the scheme accepts. */
function accepted(scheme: Scheme): QuantizationArgs[] {
  const found = new Map<string, QuantizationArgs>();
  for (const strategy of ['tensor', 'channel', 'group', 'block'] as const) {
    for (const symmetric of [true, false]) {
      for (const scale_dtype of [scheme.defaults.scale_dtype, 'F32', 'F16'] as const) {
        for (const algorithm of ['rtn', 'mse', 'kquant', 'hqq'] as const) {
          const args: QuantizationArgs = { ...scheme.defaults, strategy, symmetric, scale_dtype, algorithm };
          if (strategy === 'group') args.group_size ??= 32;
          else delete args.group_size;
          if (strategy === 'block') args.block_structure ??= [2, 32];
          else delete args.block_structure;
          try {
            scheme.check(args);
            found.set(JSON.stringify(args), args);
          } catch (error) {
            if (!(error instanceof UsageError)) throw error;
          }
        }
      }
    }
  }
  return [...found.values()];
}

function pack(scheme: Scheme, args: QuantizationArgs, values: Float32Array, background: number): Packed {
  const parts = Object.entries(scheme.layout(rows, cols, args));
  const out: Packed = Object.fromEntries(
    parts.map(([name, part]) => [name, new Uint8Array(part.nbytes).fill(background)]),
  );
  scheme.quantize(values, cols, args, out);
  return out;
}

/** Values in [-1, 1) from a linear congruential generator, so that a failure repeats. */
function pseudoRandom(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/**
 * The largest error for values in [-1, 1]: a whole step of an integer grid, since the largest value may be clamped by
 * up to one; for floats half the widest gap, or what a power-of-two scale clamps.
 */
function largestError({ type, numBits }: Scheme): number {
  if (type === 'int') return (2 / (2 ** numBits - 1)) * 1.01;
  return numBits >= 32 ? 0 : numBits >= 16 ? 2 ** -8 : numBits >= 8 ? 2 ** -3 : 0.27;
}

for (const id of ids('schemes')) {
  test(`schemes/${id}: its defaults name it and pass its own check`, async () => {
    const scheme = (await find('schemes', id))!;
    assert.is(scheme.defaults.scheme, id);
    assert.ok(['int', 'float'].includes(scheme.type));
    scheme.check(scheme.defaults);
    assert.ok(scheme.rowQuantum(scheme.defaults) >= 1);
  });

  test(`schemes/${id}: quantize fills exactly the bytes that layout promises`, async () => {
    const scheme = (await find('schemes', id))!;
    const values = pseudoRandom(rows * cols);
    for (const args of accepted(scheme)) {
      const kept = values.slice();
      const overOnes = pack(scheme, args, values, 0xff);
      const overZeros = pack(scheme, args, values, 0);
      assert.equal(overOnes, overZeros, `bytes left unwritten with ${JSON.stringify(args)}`);
      assert.equal(values, kept, 'the input is left alone');
    }
  });

  test(`schemes/${id}: the sizes of a matrix are those of its row quanta together`, async () => {
    const scheme = (await find('schemes', id))!;
    for (const args of accepted(scheme)) {
      const quantum = scheme.rowQuantum(args);
      if (quantum === Number.POSITIVE_INFINITY) continue;
      const one = scheme.layout(quantum, cols, args);
      const three = scheme.layout(3 * quantum, cols, args);
      for (const [name, part] of Object.entries(three))
        assert.is(part.nbytes, 3 * one[name].nbytes, `${name} of ${id}`);
    }
  });

  test(`schemes/${id}: dequantize gives back every value within a step`, async () => {
    const scheme = (await find('schemes', id))!;
    const values = pseudoRandom(rows * cols);
    for (const args of accepted(scheme)) {
      const restored = new Float32Array(rows * cols).fill(Number.NaN);
      scheme.dequantize(pack(scheme, args, values, 0), rows, cols, args, restored);
      const worst = values.reduce((max, value, index) => Math.max(max, Math.abs(value - restored[index])), 0);
      assert.not.ok(restored.some(Number.isNaN), `values left unwritten with ${JSON.stringify(args)}`);
      assert.ok(worst <= largestError(scheme), `off by ${worst} with ${JSON.stringify(args)}`);
    }
  });

  test(`schemes/${id}: zeros stay zeros`, async () => {
    const scheme = (await find('schemes', id))!;
    for (const args of accepted(scheme)) {
      const restored = new Float32Array(rows * cols).fill(1);
      scheme.dequantize(pack(scheme, args, new Float32Array(rows * cols), 0), rows, cols, args, restored);
      assert.ok(
        restored.every((value) => value === 0),
        JSON.stringify(args),
      );
    }
  });

  test(`schemes/${id}: NaN and infinity are refused with their position`, async () => {
    const scheme = (await find('schemes', id))!;
    for (const args of accepted(scheme)) {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const values = pseudoRandom(rows * cols);
        values[3 * cols + 40] = bad;
        assert.throws(
          () => pack(scheme, args, values, 0),
          (error: unknown) => error instanceof NonFiniteWeight && error.row === 3 && error.column === 40,
          `${bad} with ${JSON.stringify(args)}`,
        );
      }
    }
  });
}

// ---------------------------------------------------------------- layouts, targets, metrics

test('layouts: only plain takes a checkpoint without a quantization_config', async () => {
  for (const id of ids('layouts')) {
    const layout = (await find('layouts', id))!;
    assert.is(layout.matches({ model_type: 'llama' }), id === 'plain', id);
  }
});

for (const id of ids('targets')) {
  test(`targets/${id}: every operator belongs to a domain with an opset`, async () => {
    const target = (await find('targets', id))!;
    assert.ok(target.operators.size > 0);
    for (const [domain, version] of Object.entries(target.opsets)) {
      assert.ok(Number.isInteger(version) && version > 0, `opset of "${domain}"`);
    }
    for (const operator of target.operators) {
      const domain = operator.slice(0, Math.max(0, operator.lastIndexOf('.')));
      assert.ok(target.opsets[domain] !== undefined, `${operator}: no opset for "${domain}"`);
    }
  });
}

for (const id of ids('metrics')) {
  test(`metrics/${id}: nothing is better than identical`, async () => {
    const metric = (await find('metrics', id))!;
    assert.ok(['lower', 'higher'].includes(metric.better));
    assert.ok(['logits', 'targets', 'weights'].includes(metric.over));
    const vocabulary = 32;
    const reference = pseudoRandom(20 * vocabulary).map((value) => value * 6);
    const noise = pseudoRandom(reference.length, 7);
    const targets = Array.from({ length: 20 }, (_, row) =>
      best(reference.subarray(row * vocabulary, (row + 1) * vocabulary)),
    );
    const measure = (strength: number) =>
      metric.measure(
        reference,
        reference.map((value, index) => value + strength * noise[index]),
        vocabulary,
        targets,
      );
    const [same, near, far] = [measure(0), measure(0.5), measure(8)].map((value) =>
      metric.better === 'lower' ? value : -value,
    );
    assert.not.ok([same, near, far].some(Number.isNaN), `${same} ${near} ${far}`);
    assert.ok(
      same <= near && near <= far && same < far,
      `identical ${same}, near ${near}, far ${far} (lower is better)`,
    );
  });
}

function best(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}

test('every registry folder can be listed', () => {
  for (const folder of REGISTRY_FOLDERS) assert.ok(Array.isArray(ids(folder)), folder);
  assert.ok(ids('architectures').length > 0);
});

test.run();
