import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import type { RowSource } from '../../src/core/weights.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { logicalTensors } from '../../src/model/logical-tensors.js';
import { find } from '../../src/registry.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { kernelGrid } from '../../src/sources/kernel-decoder.js';
import { openRows } from '../../src/sources/read.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';
import { writeRandomCheckpoint } from '../random-checkpoint.js';
import { dressingRoom } from '../stages/checkpoints.js';

const CONFIG: JsonObject = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 96,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
};

const room = dressingRoom();
const original = join(room.work, 'original');
await writeRandomCheckpoint(original, CONFIG, 7);
const kernels = loadKernels();
/** A matrix of the largest layer takes several steps in it. */
const NBYTES = 80 << 10;
kernels.reserve(NBYTES);
const kernelRoom = { kernels, address: kernels.heapBase, nbytes: NBYTES };

async function rowsOf(source: RowSource, files: InputFiles, from: number, count: number, byKernel: boolean) {
  const out = new Float32Array(count * source.cols);
  (await openRows(source, files, byKernel ? kernelRoom : undefined)).readFloat32(from, count, out);
  return new Uint32Array(out.buffer);
}

const gguf = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q4_k', 'q5_k', 'q6_k'];
const REQUESTS: [QuantizeRequest, matrices: number][] = [
  [{ layout: 'deepseek_fp8' }, 7],
  [{ layout: 'compressed_tensors' }, 7],
  [{ layout: 'compressed_tensors', asymmetric: true, groupSize: '64' }, 7],
  [{ layout: 'compressed_tensors', weights: 'fp8_e4m3', strategy: 'tensor' }, 7],
  [{ layout: 'compressed_tensors', weights: 'fp8_e4m3', strategy: 'block' }, 7],
  [{ layout: 'compressed_tensors', weights: 'nvfp4' }, 7],
  [{ layout: 'compressed_tensors', weights: 'mxfp4' }, 7],
  [{ layout: 'gptq' }, 7],
  [{ layout: 'gptq_v2', asymmetric: true }, 7],
  [{ layout: 'awq' }, 7],
  [{ layout: 'bnb_nf4' }, 7],
  [{ layout: 'mlx', weights: 'mxfp4' }, 9],
  ...gguf.map((weights): [QuantizeRequest, number] => [{ layout: 'gguf', weights }, 9]),
];

for (const [request, matrices] of REQUESTS) {
  test(`${Object.values(request).join(' ')}: kernels decode what the layout decodes`, async () => {
    const { dir } = await room.quantize(original, request);
    const files = new InputFiles();
    let seen = 0;
    try {
      const path = request.layout === 'gguf' ? join(dir, 'model.gguf') : dir;
      for (const { name, source } of (await logicalTensors(openCheckpoint(path))).values()) {
        if (source.kind !== 'packed') continue;
        const layout = (await find('layouts', source.layout))!;
        assert.ok(kernelGrid(source, layout, kernelRoom), `${name} has a kernel`);
        seen++;
        for (const [from, count] of [
          [0, source.rows],
          [source.rows - 3, 3],
          [17, 40],
        ]) {
          const expected = await rowsOf(source, files, from, count, false);
          assert.equal(await rowsOf(source, files, from, count, true), expected, `${name}: rows from ${from}`);
        }
      }
    } finally {
      files.close();
    }
    assert.is(seen, matrices);
  });
}

test.after(room.remove);
test.run();
