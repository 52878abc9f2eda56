import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { readModel } from '../../src/formats/onnx-reader.js';
import { FLOAT32 } from '../../src/passes/assign_schemes.js';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import f32 from '../../src/schemes/f32.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { DataLayout } from '../../src/stages/data-layout.js';
import { lintPackage } from '../../src/stages/lint-package.js';
import { plan } from '../../src/stages/plan.js';
import { fixture } from '../reference/fixtures.js';
import { largestDifference } from '../runtime/expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { packages } from '../stages/packages.js';

const made = packages();
test.after(() => made.remove());

/** Model files of transformers.js 4.3.2 by dtype (src/utils/dtypes.js, DEFAULT_DTYPE_SUFFIX_MAPPING). */
const SUFFIXES: [request: ConvertRequest, dtype: string, file: string, cache: string][] = [
  [{}, 'q4', 'model_q4.onnx', 'float32'],
  [{ activations: 'f16' }, 'q4f16', 'model_q4f16.onnx', 'float16'],
  [{ weights: 'int8' }, 'q8', 'model_quantized.onnx', 'float32'],
  [{ weights: 'f16', activations: 'f16' }, 'fp16', 'model_fp16.onnx', 'float16'],
  [{ weights: 'f32' }, 'fp32', 'model.onnx', 'float32'],
];

for (const [request, dtype, file, cache] of SUFFIXES) {
  test(`${dtype}: files, names and config.json as transformers.js looks for them`, async () => {
    const dir = await made.of('qwen3', { target: 'web', ...request });
    const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
    assert.equal(config['transformers.js_config'], {
      dtype,
      use_external_data_format: { [file]: 1 },
      kv_cache_dtype: { [dtype]: cache },
    });
    assert.is(config.model_type, 'qwen3');
    // Browsers mount a data file under its own name, beside the model (src/utils/model-loader.js).
    const { graph, external } = readModel(join(dir, 'onnx', file));
    assert.equal([...new Set(Object.values(external).map((each) => each.file))], [`${file}_data`]);
    assert.not.ok(graph.nodes.some(({ op }) => op === 'GatherBlockQuantized'));
    const type = cache === 'float16' ? 'FLOAT16' : 'FLOAT';
    for (const { name, dtype } of [...graph.inputs, ...graph.outputs]) {
      if (/^(past|present)/.test(name)) assert.is(dtype, type, name);
    }
    assert.equal((await lintPackage(dir, 'genai')).findings, []);
  });
}

for (const [name, request, tolerance] of [
  ['llama-hd8', { weights: 'f32', embeddings: 'f32' }, 2e-4],
  ['mistral-swa', { weights: 'f32', embeddings: 'f32' }, 2e-4],
  // float16 throughout: its rounding through the layers
  ['qwen3', { weights: 'f16', activations: 'f16' }, 0.1],
] as const) {
  test(`${name} ${JSON.stringify(request)}: logits and greedy tokens are those of transformers`, async () => {
    const golden = readGolden(join(fixture(name), 'golden.safetensors'));
    const tensor = (key: string) => golden.get(key) as GoldenTensor;
    const decoder = await openDecoder(await made.of(name, { target: 'web', ...request }), { threads: 1 });
    const off = largestDifference(
      await decoder.logitsOf(rowsOf(tensor('input_ids'))),
      tensor('logits').data as Float32Array,
    );
    assert.ok(off <= tolerance, `${off}`);
    const prompt = rowsOf(tensor('prompt_ids'))[0];
    const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
    assert.equal(ids, tensor('generated').data);
    await decoder.close();
  });
}

test('what a browser would get wrong or not run is refused', async () => {
  const cases: [name: string, request: ConvertRequest, message: RegExp][] = [
    ['gemma2', {}, /soft caps/],
    ['mixtral', {}, /QMoE/],
    ['qwen3', { embeddings: 'int4' }, /GatherBlockQuantized/],
    ['qwen3', { activations: 'uint16' }, /no name for that/],
    ['qwen3', { weights: 'int8', activations: 'f16' }, /no name for that/],
  ];
  for (const [name, request, message] of cases) {
    try {
      await plan(openCheckpoint(fixture(name)), { target: 'web', ...request });
      assert.unreachable(name);
    } catch (error) {
      assert.match((error as Error).message, message);
    }
  }
});

test('data goes on in a next file where one is full, and a tensor that no file holds is refused', () => {
  const layout = new DataLayout();
  const stage = { dataFile: 'onnx/model.onnx_data', maxDataBytes: 1000 };
  const place = (name: string, rows: number) => {
    const weight = { name, source: name, shape: [rows, 10], role: 'matrix' as const, scheme: FLOAT32 };
    const ref = { name, dtype: 'F32' as const, shape: [rows, 10], file: '', offset: 0, nbytes: 40 * rows };
    const source = { kind: 'tensor' as const, ref, rows, cols: 10 };
    return layout.place({ weight, source, rows, cols: 10, scheme: f32, keepsCodes: false }, stage).codes;
  };
  assert.equal(
    ['a', 'b', 'c', 'd'].map((name) => place(name, 10)).map(({ file, offset }) => [file, offset]),
    [
      ['onnx/model.onnx_data', 0],
      ['onnx/model.onnx_data', 448],
      ['onnx/model.onnx_data_1', 0],
      ['onnx/model.onnx_data_1', 448],
    ],
  );
  assert.is(place('e', 20).file, 'onnx/model.onnx_data_2');
  assert.throws(() => place('f', 26), /"f" takes 1040 bytes; a file of this package holds 1000/);
  assert.equal(
    layout.files().map(({ name, nbytes }) => [name, nbytes]),
    [
      ['onnx/model.onnx_data', 848],
      ['onnx/model.onnx_data_1', 848],
      ['onnx/model.onnx_data_2', 800],
    ],
  );
});

test.run();
