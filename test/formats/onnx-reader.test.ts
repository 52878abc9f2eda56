import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import onnxProto from 'onnx-proto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FileRange } from '../../src/core/checkpoint.js';
import type { ElementType } from '../../src/core/dtype.js';
import { InvalidInputError } from '../../src/core/errors.js';
import type { Graph, Initializer } from '../../src/core/graph.js';
import { encodeModel } from '../../src/formats/onnx.js';
import { readModel } from '../../src/formats/onnx-reader.js';

const work = mkdtempSync(join(tmpdir(), 'halfbyte-onnx-'));
const file = join(work, 'model.onnx');
const { onnx } = onnxProto;

const constant = (name: string, dtype: ElementType, shape: number[], values: number[]): Initializer => ({
  name,
  dtype,
  shape,
  content: { values },
});

/** A graph with every kind of attribute, constant and value that the writer has. */
const graph: Graph = {
  name: 'layers',
  inputs: [
    { name: 'x', dtype: 'FLOAT', shape: [1, 'sequence', 4] },
    { name: 'past', dtype: 'FLOAT16', shape: [1, 2] },
  ],
  outputs: [{ name: 'y', dtype: 'FLOAT', shape: [1, 'sequence', 4] }],
  nodes: [
    {
      name: 'first',
      op: 'Anything',
      domain: 'com.microsoft',
      inputs: ['x', '', 'int4'],
      outputs: ['h', ''],
      attributes: {
        whole: 3,
        negative: -2,
        real: { float: 0.5 },
        text: 'RIGHT',
        list: [1, -2],
        reals: { floats: [0.25, -1.5] },
      },
    },
    { name: 'second', op: 'Add', domain: '', inputs: ['h', 'float'], outputs: ['y'], attributes: {} },
  ],
  initializers: [
    constant('int4', 'INT4', [3], [-8, 7, -1]),
    constant('uint4', 'UINT4', [2, 2], [15, 0, 8, 7]),
    constant('float', 'FLOAT', [], [-0.5]),
    constant('half', 'FLOAT16', [2], [1.5, -65504]),
    constant('int64', 'INT64', [2], [-1, 2 ** 40]),
    constant('int32', 'INT32', [1], [-7]),
    constant('uint16', 'UINT16', [1], [65535]),
    constant('int8', 'INT8', [2], [-128, 127]),
    constant('uint8', 'UINT8', [1], [200]),
    { name: 'weight', dtype: 'FLOAT', shape: [2], content: { weight: 'weight', part: 'codes' } },
    { name: 'elsewhere', dtype: 'FLOAT', shape: [1024, 1024], content: { weight: 'elsewhere', part: 'codes' } },
  ],
  weights: {},
  values: {},
  hiddenStates: [],
  opsets: { '': 21, 'com.microsoft': 1 },
};
const external: Record<string, FileRange> = {
  weight: { file: 'model.data', offset: 64, nbytes: 8 },
  elsewhere: { file: 'model.data', offset: 128, nbytes: 4 << 20 },
};
const encoded = encodeModel(graph, external, '0');

const refusal = (error: Error): boolean => error instanceof InvalidInputError && error.message.startsWith(file);

test('what the writer wrote is read back', () => {
  writeFileSync(file, encoded);
  const data = Buffer.alloc(72);
  data.writeFloatLE(1.25, 64);
  data.writeFloatLE(-3, 68);
  writeFileSync(join(work, 'model.data'), data);
  const read = readModel(file);
  assert.equal({ ...read.external }, external);
  const { inputs, outputs, nodes, initializers, opsets, name } = read.graph;
  assert.equal(
    [inputs, outputs, nodes, opsets, name],
    [graph.inputs, graph.outputs, graph.nodes, graph.opsets, 'layers'],
  );
  const contents = (list: Initializer[]) => list.map((each) => [each.name, each.dtype, each.shape, each.content]);
  assert.equal(contents(initializers), [
    ...contents(graph.initializers.slice(0, -2)),
    ['weight', 'FLOAT', [2], { values: [1.25, -3] }],
    ['elsewhere', 'FLOAT', [1024, 1024], { weight: 'elsewhere', part: 'model.data' }],
  ]);
});

test('bytes outside of the model’s directory are never read', () => {
  const outside = join(work, 'outside.data');
  writeFileSync(outside, Buffer.alloc(72));
  for (const location of [outside, '../outside.data', 'a/../../outside.data', '..', '']) {
    writeFileSync(file, encodeModel(graph, { ...external, weight: { file: location, offset: 64, nbytes: 8 } }, '0'));
    const { content } = readModel(file).graph.initializers.find((each) => each.name === 'weight') as Initializer;
    assert.equal(content, { weight: 'weight', part: location });
  }
});

test('Constant nodes, typed data and inputs of old models are initializers', () => {
  const value = { dataType: 7, dims: [2], int64Data: [3, 4] };
  const model = {
    irVersion: 3,
    opsetImport: [{ domain: 'ai.onnx', version: 11 }],
    graph: {
      name: 'old',
      node: [
        { opType: 'Constant', output: ['shape'], attribute: [{ name: 'value', type: 4, t: value }] },
        { opType: 'Reshape', domain: 'ai.onnx', input: ['x', 'shape'], output: ['y'] },
      ],
      initializer: [{ name: 'x', dataType: 1, dims: [3, 4], floatData: new Array(12).fill(0.5) }],
      input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 3 }, {}] } } } }],
      output: [{ name: 'y', type: { tensorType: { elemType: 11 } } }],
    },
  };
  writeFileSync(file, onnx.ModelProto.encode(onnx.ModelProto.create(model as never)).finish());
  const { graph: read } = readModel(file);
  assert.equal(read.inputs, []);
  assert.equal(
    read.nodes.map(({ name, op, domain }) => [name, op, domain]),
    [['node 0', 'Reshape', '']],
  );
  assert.equal(
    read.initializers.map(({ name, content }) => [name, content]),
    [
      ['x', { values: new Array(12).fill(0.5) }],
      ['shape', { values: [3, 4] }],
    ],
  );
  assert.equal(read.values.x.shape, [3, '?1']);
  assert.is(read.outputs[0].dtype, 'DOUBLE');
});

test('a file that is no model is refused by name', () => {
  for (const bytes of ['', 'not a model at all', '{"a": 1}', Buffer.alloc(4096), Buffer.alloc(4096, 0xff)]) {
    writeFileSync(file, bytes);
    assert.throws(() => readModel(file), refusal);
  }
  assert.throws(() => readModel(join(work, 'absent.onnx')), /absent.onnx: there is no such file/);
});

test('an impossible shape is refused', () => {
  const bad = { ...graph, initializers: [constant('int4', 'FLOAT', [-2, -2], [0, 0, 0, 0])] };
  writeFileSync(file, encodeModel(bad, {}, '0'));
  assert.throws(() => readModel(file), /initializer "int4" has the shape \[-2, -2\]/);
});

test('every truncation is refused or a smaller model, never anything else', () => {
  let refused = 0;
  for (let length = 0; length < encoded.length; length++) {
    writeFileSync(file, encoded);
    truncateSync(file, length);
    try {
      readModel(file);
    } catch (error) {
      assert.ok(refusal(error as Error), `${length}: ${(error as Error).stack}`);
      refused++;
    }
  }
  assert.ok(refused > encoded.length / 2, `only ${refused} of ${encoded.length} were refused`);
});

test('changed bytes give a model or an InvalidInputError', () => {
  const change = fc.tuple(fc.nat(encoded.length - 1), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const bytes = Buffer.from(encoded);
      for (const [at, value] of changes) bytes[at] = value;
      writeFileSync(file, bytes);
      try {
        readModel(file);
      } catch (error) {
        assert.ok(refusal(error as Error), (error as Error).stack);
      }
    }),
    { numRuns: 500 },
  );
});

test.after(() => rmSync(work, { recursive: true }));
test.run();
