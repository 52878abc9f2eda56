import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GraphNode } from '../../src/core/graph.js';
import { OPENVINO, QNN, VITISAI } from '../../src/targets/lint/devices.js';
import { RULES, rulesOf } from '../../src/targets/lint/lint.js';
import { lint, planned, Saboteur, soundRules } from './planted.js';

/** A fault: what is done to a sound package, and the node (or file) that the rule must name. */
interface Fault {
  rule: string;
  what: string;
  /** Damages the package; returns the node to be named, or the file where no node is. */
  plant(by: Saboteur): GraphNode | string;
  /** Other rules that the same fault breaks. */
  also?: string[];
  device?: string;
  request?: object;
}

const CONFIG = 'genai_config.json';
const weightOf = (by: Saboteur, part = 'layers.1/mlp/down_proj') => by.node('DequantizeLinear', part);

const FAULTS: Fault[] = [
  {
    rule: 'config-fields',
    what: 'a field has another name than the runtime reads',
    plant(by) {
      by.stage('lm_head').isLmHead = true;
      return CONFIG;
    },
  },
  {
    rule: 'config-fields',
    what: 'a number stands as a text',
    plant(by) {
      by.config().search.top_k = '40';
      return CONFIG;
    },
  },
  {
    rule: 'provider',
    what: 'no stage asks the device',
    plant(by) {
      for (const name of ['context', 'iterator']) delete by.stage(name).session_options;
      for (const each of by.subject.graphs) each.onDevice = false;
      return CONFIG;
    },
    also: ['window'],
  },
  {
    rule: 'provider-options',
    what: 'the backend is another',
    plant(by) {
      by.stage('context').session_options = { provider_options: [{ QNN: { backend_path: 'QnnCpu.dll' } }] };
      return CONFIG;
    },
  },
  {
    rule: 'stage-names',
    what: 'a stage lists an output that its graph does not have',
    plant(by) {
      by.stage('embeddings').outputs = ['hidden_states'];
      return CONFIG;
    },
  },
  {
    rule: 'stage-names',
    what: 'a stage takes a value that no earlier stage makes',
    plant(by) {
      const { inputs, nodes } = by.graph('lm_head.onnx');
      nodes[0].inputs[0] = inputs[0].name = 'final_hidden_states';
      by.stage('lm_head').inputs = ['final_hidden_states'];
      return CONFIG;
    },
  },
  {
    rule: 'stage-names',
    what: 'a graph is missing',
    plant(by) {
      by.subject.graphs = by.subject.graphs.filter(({ file }) => file !== 'lm_head.onnx');
      return CONFIG;
    },
  },
  {
    rule: 'border-type',
    what: 'hidden states leave as float16',
    plant(by) {
      by.graph('embeddings.onnx').outputs[0].dtype = 'FLOAT16';
      return 'context.onnx';
    },
  },
  {
    rule: 'external-data',
    what: 'the weight file is cut',
    plant(by) {
      by.subject.files['transformer.onnx.data'] -= 1;
      return 'context.onnx';
    },
  },
  {
    rule: 'external-data',
    what: 'the embedding file is absent',
    plant(by) {
      delete by.subject.files['embeddings.onnx.data'];
      return 'embeddings.onnx';
    },
  },
  {
    rule: 'external-data',
    what: 'a weight has too few bytes',
    plant(by) {
      by.subject.graphs[1].external['model.layers.0.mlp.up_proj.weight_Q4'].nbytes -= 1;
      return 'context.onnx';
    },
  },
  {
    rule: 'shared-weights',
    what: 'the iterator has a copy of its own',
    plant(by) {
      const { external } = by.subject.graphs[2];
      const name = 'model.layers.0.mlp.up_proj.weight_Q4';
      external[name] = { ...external[name], offset: 0 };
      return 'iterator.onnx';
    },
  },
  {
    rule: 'pad-token',
    what: 'prompts may hold the pad id',
    plant(by) {
      Object.assign(by.config().model, { pad_token_id: 7, bos_token_id: 7 });
      return CONFIG;
    },
  },
  {
    rule: 'dynamic-shape',
    what: 'the sequence has no fixed length',
    plant(by) {
      by.graph().inputs[0].shape[1] = 'sequence_length';
      return 'context.onnx';
    },
    also: ['window'],
  },
  {
    rule: 'dynamic-shape',
    what: 'the cache grows',
    plant(by) {
      by.graph('iterator.onnx').outputs.find(({ name }) => name === 'present_keys_1')!.shape[2] = 'total_length';
      return 'iterator.onnx';
    },
    also: ['cache-shape'],
  },
  {
    rule: 'computed-shape',
    what: 'a shape is computed at run time',
    plant(by) {
      const reshape = by.node('Reshape', 'layers.0');
      const shape = by.insert(reshape, 1, 'Cast');
      shape.inputs[0] = 'past_seq_len';
      return reshape;
    },
  },
  {
    rule: 'computed-shape',
    what: 'the size of a result depends on values',
    plant: (by) => by.insert(by.node('Sigmoid'), 0, 'NonZero'),
    also: ['unsupported-operator', 'cpu-islands', 'unquantized-operator'],
  },
  {
    rule: 'batch-size',
    what: 'two prompts at once',
    plant(by) {
      by.graph().inputs[0].shape[0] = 2;
      return 'context.onnx';
    },
  },
  {
    rule: 'rank',
    what: 'rank 6 between two transposes',
    plant(by) {
      const transpose = by.node('Transpose', 'layers.0');
      by.insert(transpose, 0, 'Reshape', [by.add('six', 'INT64', [6], [1, 1, 1, 64, 1, 80])]);
      return by.node('Reshape', 'planted');
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'rank-5',
    what: 'rank 5 between two transposes',
    plant(by) {
      by.insert(by.node('Transpose', 'layers.0'), 0, 'Reshape', [by.add('five', 'INT64', [5], [1, 1, 64, 1, 80])]);
      return by.node('Reshape', 'planted');
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'norm-rank',
    what: 'a norm on rank 4',
    plant(by) {
      const norm = by.node('SimplifiedLayerNormalization', 'layers.0');
      by.insert(norm, 0, 'Reshape', [by.add('four', 'INT64', [4], [1, 1, 64, 80])]);
      return norm;
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'cache-names',
    what: 'a layer’s cache has another name',
    plant(by) {
      const { inputs, nodes } = by.graph('iterator.onnx');
      inputs.find(({ name }) => name === 'past_values_2')!.name = 'past.2.value';
      for (const node of nodes)
        node.inputs = node.inputs.map((name) => (name === 'past_values_2' ? 'past.2.value' : name));
      return 'iterator.onnx';
    },
    also: ['stage-names'],
  },
  {
    rule: 'cache-shape',
    what: 'the cache is shorter than max_length',
    plant(by) {
      by.config().search.max_length = 8192;
      return 'context.onnx';
    },
  },
  {
    rule: 'length-inputs',
    what: 'past_seq_len is int64',
    plant(by) {
      by.graph().inputs.find(({ name }) => name === 'past_seq_len')!.dtype = 'INT64';
      return 'context.onnx';
    },
  },
  {
    rule: 'window',
    what: 'the runtime cuts other windows than the graph takes',
    plant(by) {
      Object.assign((by.config().model as Record<string, { sliding_window: object }>).decoder.sliding_window, {
        window_size: 32,
      });
      return CONFIG;
    },
  },
  {
    rule: 'unsupported-operator',
    what: 'a fused norm of the CPU',
    plant(by) {
      const norm = by.node('SimplifiedLayerNormalization', 'layers.1');
      Object.assign(norm, { op: 'SkipSimplifiedLayerNormalization', domain: 'com.microsoft' });
      return norm;
    },
    also: ['cpu-islands'],
  },
  {
    rule: 'unsupported-operator',
    what: 'an operator of nobody',
    plant: (by) => by.insert(by.node('Sigmoid'), 0, 'Mystery', [], 'halfbyte'),
    also: ['cpu-islands', 'unquantized-operator'],
  },
  {
    rule: 'cpu-islands',
    what: 'attention on the CPU',
    request: { attention: 'gqa' },
    plant: (by) => by.node('GroupQueryAttention', 'layers.0'),
  },
  {
    rule: 'unlisted-operator',
    what: 'operators that AMD does not list',
    device: 'vitisai',
    plant: (by) => by.node('SimplifiedLayerNormalization', 'layers.0'),
  },
  {
    rule: 'unsupported-type',
    what: 'a bfloat16 constant',
    plant(by) {
      const add = by.node('Add', 'layers.0');
      add.inputs[1] = by.add('bfloat', 'BFLOAT16', [1], [0.5]);
      return add;
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'negative-index',
    what: 'Gather from the end',
    plant(by) {
      const sigmoid = by.node('Sigmoid');
      return by.insert(sigmoid, 0, 'Gather', [by.add('last', 'INT64', [1], [-1])]);
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'old-opset',
    what: 'int4 under opset 19',
    plant(by) {
      by.graph().opsets[''] = 19;
      return by.graph().nodes.find(({ op, name }) => op === 'DequantizeLinear' && !name.includes('planted'))!;
    },
  },
  {
    rule: 'missing-value',
    what: 'a node reads what nothing makes',
    plant(by) {
      const softmax = by.node('Softmax');
      softmax.inputs[0] = 'gone';
      return softmax;
    },
  },
  {
    rule: 'int4-zero-point',
    what: 'INT4 without zero points',
    plant(by) {
      const weight = weightOf(by);
      weight.inputs.length = 2;
      return weight;
    },
  },
  {
    rule: 'uint4-zero-point',
    what: 'UINT4 without zero points',
    device: 'vitisai',
    plant(by) {
      const weight = weightOf(by);
      weight.inputs.length = 2;
      return weight;
    },
  },
  {
    rule: 'int4-type',
    what: 'unsigned codes',
    plant(by) {
      const weight = weightOf(by);
      by.constant(weight.inputs[0]).dtype = 'UINT4';
      weight.inputs[2] = by.add('eights', 'UINT4', [80], [8]);
      return weight;
    },
  },
  {
    rule: 'int4-asymmetric',
    what: 'one zero point beside 0',
    plant(by) {
      const weight = weightOf(by);
      const values = new Array<number>(80).fill(0);
      values[79] = -1;
      weight.inputs[2] = by.add('shifted', 'INT4', [80], values);
      return weight;
    },
  },
  {
    rule: 'zero-point-type',
    what: 'INT4 codes with INT8 zero points',
    plant(by) {
      const weight = weightOf(by);
      weight.inputs[2] = by.add('bytes', 'INT8', [80], [0]);
      return weight;
    },
  },
  {
    rule: 'block-weights',
    what: 'blocks of 32',
    plant(by) {
      const weight = weightOf(by);
      Object.assign(weight.attributes, { axis: 1, block_size: 32 });
      return weight;
    },
  },
  {
    rule: 'weight-groups',
    what: 'groups of 32 where AMD has 128',
    device: 'vitisai',
    request: { groupSize: '32' },
    plant(by) {
      const weight = weightOf(by, 'layers.0/attn/o_proj');
      const codes = by.constant(weight.inputs[0]);
      codes.shape = [80, 256, 1, 1];
      for (const each of by.subject.graphs) delete each.external[codes.name];
      return weight;
    },
  },
  {
    rule: 'channel-axis',
    what: 'scales along the input channels',
    plant(by) {
      const weight = weightOf(by);
      weight.attributes.axis = 1;
      return weight;
    },
  },
  {
    rule: 'scale-sign',
    what: 'a negative scale',
    plant(by) {
      const weight = weightOf(by);
      weight.inputs[1] = by.add('scales', 'FLOAT', [80], [...new Array<number>(79).fill(0.1), -0.1]);
      return weight;
    },
  },
  {
    rule: 'float-weights',
    what: 'a product with float weights',
    plant(by) {
      const conv = by.node('Conv', 'layers.0/mlp/up_proj');
      conv.inputs[1] = by.add('floats', 'FLOAT', [128, 80, 1, 1], [0.5]);
      return conv;
    },
  },
  {
    rule: 'float-activations',
    what: 'a graph in float32',
    request: { activations: 'f32' },
    plant: (by) => by.graph().nodes.find(({ op }) => op === 'Gather')!,
  },
  {
    rule: 'unquantized-operator',
    what: 'a product outside of the pairs',
    plant(by) {
      const sigmoid = by.node('Sigmoid');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === sigmoid.inputs[0])!;
      const quantize = by.graph().nodes.find(({ outputs }) => outputs[0] === pair.inputs[0])!;
      sigmoid.inputs[0] = quantize.inputs[0];
      return sigmoid;
    },
  },
  {
    rule: 'unpaired-quantize',
    what: 'integers read as they are',
    plant(by) {
      const sigmoid = by.node('Sigmoid');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === sigmoid.inputs[0])!;
      sigmoid.inputs[0] = pair.inputs[0];
      return by.graph().nodes.find(({ outputs }) => outputs[0] === pair.inputs[0])!;
    },
  },
  {
    rule: 'unpaired-dequantize',
    what: 'integers from a Reshape',
    plant(by) {
      const sigmoid = by.node('Sigmoid');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === sigmoid.inputs[0])!;
      by.insert(pair, 0, 'Reshape', [by.add('same', 'INT64', [3], [1, 64, 128])]);
      return pair;
    },
    also: ['unpaired-quantize'],
  },
  {
    rule: 'mismatched-pair',
    what: 'another scale on the way back',
    plant(by) {
      const sigmoid = by.node('Sigmoid');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === sigmoid.inputs[0])!;
      pair.inputs[1] = by.add('other', 'FLOAT', [], [0.123]);
      return pair;
    },
  },
  {
    rule: 'activation-type',
    what: 'int16 activations',
    plant(by) {
      const sigmoid = by.node('Sigmoid');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === sigmoid.inputs[0])!;
      const quantize = by.graph().nodes.find(({ outputs }) => outputs[0] === pair.inputs[0])!;
      quantize.inputs[2] = pair.inputs[2] = by.add('int16', 'INT16', [], [0]);
      return quantize;
    },
  },
  {
    rule: 'stripped-pairs',
    what: 'uint16 for Intel',
    device: 'openvino',
    plant: (by) => by.node('QuantizeLinear'),
  },
  {
    rule: 'matmul-operand',
    what: 'values with an offset',
    plant(by) {
      const product = by.node('MatMul', 'layers.1/attn');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === product.inputs[1])!;
      const quantize = by.graph().nodes.find(({ outputs }) => outputs[0] === pair.inputs[0])!;
      quantize.inputs[2] = pair.inputs[2] = by.add('offset', 'UINT16', [], [30000]);
      return product;
    },
  },
  {
    rule: 'infinite-mask',
    what: 'hidden positions at -infinity',
    plant(by) {
      const where = by.node('Where');
      where.inputs[2] = by.add('hidden', 'FLOAT', [], [Number.NEGATIVE_INFINITY]);
      return where;
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'wide-mask',
    what: 'hidden positions at -1e30',
    plant(by) {
      const where = by.node('Where');
      where.inputs[2] = by.add('hidden', 'FLOAT', [], [-1e30]);
      return where;
    },
    also: ['unquantized-operator'],
  },
  {
    rule: 'coarse-scores',
    what: 'a mask of -10000 in the grid of the scores',
    plant(by) {
      const softmax = by.node('Softmax');
      const pair = by.graph().nodes.find(({ outputs }) => outputs[0] === softmax.inputs[0])!;
      const quantize = by.graph().nodes.find(({ outputs }) => outputs[0] === pair.inputs[0])!;
      quantize.inputs[1] = pair.inputs[1] = by.add('step', 'FLOAT', [], [10010 / 65535]);
      return softmax;
    },
  },
];

for (const { rule, what, plant, also = [], device = 'qnn', request = {} } of FAULTS) {
  test(`${rule}: ${what}`, async () => {
    const subject = await planned('qwen3', { target: device, ...request });
    const sound = await soundRules('qwen3', device);
    const place = plant(new Saboteur(subject));
    const findings = await lint(device, subject);
    const own = findings.filter((each) => each.rule === rule);
    const expected =
      typeof place === 'string' ? { file: place, node: null } : { file: 'context.onnx', node: place.name };
    assert.ok(
      own.some(({ file, node }) => file === expected.file && node === expected.node),
      `${rule} does not name ${JSON.stringify(expected)} but ${JSON.stringify(own.slice(0, 3))}`,
    );
    const [{ message, advice, source }] = own;
    assert.ok(message.length > 10 && advice.length > 10 && source.length > 10);
    const others = [...new Set(findings.map((each) => each.rule))].filter(
      (each) => each !== rule && !sound.includes(each),
    );
    const stray = others.filter((each) => !also.includes(each));
    assert.equal(stray, [], `${rule} alone is broken, not ${stray.join(', ')}`);
  });
}

test('every rule has a fault that it finds', () => {
  const planted = new Set(FAULTS.map(({ rule }) => rule));
  assert.equal(
    RULES.map(({ id }) => id).filter((id) => !planted.has(id)),
    [],
  );
  assert.is(new Set(RULES.map(({ id }) => id)).size, RULES.length);
});

test('every exception of a device names a rule', () => {
  const known = new Set(RULES.map(({ id }) => id));
  for (const device of [QNN, OPENVINO, VITISAI]) {
    for (const id of Object.keys(device.exceptions)) assert.ok(known.has(id), `${device.name}: ${id}`);
    assert.ok(rulesOf(device).every(({ advice, source }) => /\w{3}/.test(advice) && /\w{3}/.test(source)));
  }
});

test.run();
