import { cpSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph } from '../../src/core/graph.js';
import type { JsonObject } from '../../src/core/json.js';
import type { VerifyReport } from '../../src/core/verify-report.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { verify } from '../../src/stages/verify.js';
import { writeRandomCheckpoint } from '../random-checkpoint.js';
import { fixture } from '../reference/fixtures.js';
import { makePackage, packages } from '../stages/packages.js';
import { copyCheckpoint, PackageUnderChange, swap, type Tensors, valuesOf } from './faults/tampering.js';

/** What the tests change of genai_config.json. */
interface GenaiJson {
  model: {
    eos_token_id: number;
    context_length: number;
    decoder: { num_hidden_layers: number; outputs: Record<string, string> };
  };
  search: { temperature: number };
}

const made = packages();
const INT4: ConvertRequest = { weights: 'int4', groupSize: '32', accuracyLevel: 0 };
const F32: ConvertRequest = { weights: 'f32' };

function run(path: string, reference: string): Promise<VerifyReport> {
  const settings = { gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {} };
  return verify({ path, reference, ...settings });
}

/** What a report says is wrong and where: its failing checks and its localisation, as one text. */
function said({ checks, localisation }: VerifyReport): string {
  const failing = checks.filter(({ verdict }) => verdict === 'fail').map(({ message }) => message);
  return [...failing, ...(localisation?.findings ?? [])].join('\n');
}

let count = 0;
const place = (name: string) => join(made.work, `${name}-${count++}`);

function expectFault(report: VerifyReport, names: RegExp[]): void {
  assert.is(report.verdict, 'fail', report.summary);
  for (const name of names) assert.match(said(report), name);
}

/** A fault of the converter: it read or wrote other weights than the checkpoint's, or another config. */
function wrongSource(
  title: string,
  name: string,
  request: ConvertRequest,
  change: (tensors: Tensors, config: JsonObject) => void,
  ...names: RegExp[]
): void {
  test(`fault: ${title}`, async () => {
    const changed = copyCheckpoint(fixture(name), place(`wrong-${name}`), change);
    const dir = await makePackage(changed, place('package'), request);
    expectFault(await run(dir, fixture(name)), names);
  });
}

/** A fault in a finished package. Sealed ones have right digests, as if they had been written so. */
function wrongPackage(
  title: string,
  name: string,
  request: ConvertRequest,
  isSealed: boolean,
  change: (made: PackageUnderChange) => void,
  ...names: RegExp[]
): void {
  test(`fault: ${title}`, async () => {
    const dir = place('changed');
    cpSync(await made.of(name, request), dir, { recursive: true });
    const changed = new PackageUnderChange(dir);
    change(changed);
    if (isSealed) await changed.seal();
    expectFault(await run(dir, fixture(name)), names);
  });
}

const LAYER = (layer: number, weight: string) => `model.layers.${layer}.${weight}.weight`;

wrongSource(
  'keys and values swapped',
  'llama-gqa',
  INT4,
  (tensors) => swap(tensors, LAYER(1, 'self_attn.k_proj'), LAYER(1, 'self_attn.v_proj')),
  /layers\.1\.self_attn\.k_proj/,
);
wrongSource(
  'a transposed matrix',
  'llama-gqa',
  INT4,
  (tensors) => {
    const values = valuesOf(tensors, LAYER(0, 'self_attn.o_proj'));
    const side = Math.sqrt(values.length);
    values.set(values.map((_, i) => values[(i % side) * side + Math.floor(i / side)]).slice());
  },
  /layers\.0\.self_attn\.o_proj/,
  /transposed/,
);
wrongSource(
  'gate and up swapped',
  'llama-gqa',
  INT4,
  (tensors) => swap(tensors, LAYER(1, 'mlp.gate_proj'), LAYER(1, 'mlp.up_proj')),
  /layers\.1\.mlp\.gate_proj/,
  /layers\.1\.mlp\.up_proj/,
);
wrongSource(
  'the norms of a layer swapped',
  'llama-gqa',
  INT4,
  (tensors) => swap(tensors, LAYER(0, 'input_layernorm'), LAYER(0, 'post_attention_layernorm')),
  /layers\.0\.input_layernorm/,
);
wrongSource(
  'rotary pairs interleaved in one layer',
  'llama-gqa',
  INT4,
  (tensors) => {
    const values = valuesOf(tensors, LAYER(1, 'self_attn.q_proj'));
    const [width, head] = [128, 32];
    const rows = Array.from({ length: values.length / width }, (_, row) =>
      values.slice(row * width, (row + 1) * width),
    );
    rows.forEach((_, row) => {
      const [first, at] = [row - (row % head), row % head];
      values.set(rows[first + (at % 2) * (head / 2) + Math.floor(at / 2)], row * width);
    });
  },
  /layers\.1\.self_attn\.q_proj/,
  /rotary/,
);
wrongSource(
  'the embedding one row off',
  'llama-gqa',
  INT4,
  (tensors) => {
    const values = valuesOf(tensors, 'model.embed_tokens.weight');
    values.set([...values.slice(128), ...values.slice(0, 128)]);
  },
  /embed_tokens/,
);
wrongSource(
  'one row of the head negated',
  'llama-gqa',
  INT4,
  (tensors) => {
    const row = valuesOf(tensors, 'lm_head.weight').subarray(17 * 128, 18 * 128);
    row.set(row.map((each) => -each));
  },
  /lm_head/,
);
wrongSource(
  'a wrong rope theta',
  'llama-gqa',
  INT4,
  (_, config) => {
    config.rope_theta = 10000;
  },
  /rope/,
);
wrongSource(
  'rope scaling left out',
  'llama-gqa',
  INT4,
  (_, config) => {
    config.rope_scaling = null;
  },
  /rope/,
);
wrongSource(
  'a wrong epsilon',
  'llama-gqa',
  INT4,
  (_, config) => {
    config.rms_norm_eps = 1e-6;
  },
  /rms_norm_eps/,
);
wrongSource(
  'a window one too short',
  'mistral-swa',
  INT4,
  (_, config) => {
    config.sliding_window = 7;
  },
  /window/,
);
wrongSource(
  'a dropped bias',
  'qwen2-untied',
  INT4,
  (tensors) => {
    valuesOf(tensors, 'model.layers.1.self_attn.k_proj.bias').fill(0);
  },
  /layers\.1\.self_attn\.k_proj\.bias/,
);
wrongSource(
  'a zeroed expert',
  'mixtral',
  { ...INT4, experts: 'qmoe' } as ConvertRequest,
  (tensors) => {
    valuesOf(tensors, 'model.layers.1.block_sparse_moe.experts.2.w1.weight').fill(0);
  },
  /layers\.1\.block_sparse_moe\.experts\.2\.w1/,
);
wrongSource(
  'two experts swapped',
  'mixtral',
  INT4,
  (tensors) =>
    swap(
      tensors,
      'model.layers.2.block_sparse_moe.experts.0.w2.weight',
      'model.layers.2.block_sparse_moe.experts.3.w2.weight',
    ),
  /layers\.2\.block_sparse_moe\.experts\.[03]\.w2/,
);
wrongSource(
  'two layers swapped, as by shards in the wrong order',
  'qwen2-tied',
  INT4,
  (tensors) => {
    for (const name of [...tensors.keys()].filter((each) => each.includes('.layers.1.'))) {
      swap(tensors, name, name.replace('.layers.1.', '.layers.2.'));
    }
  },
  /layers\.1\./,
  /layers\.2\./,
);
wrongSource(
  'weights half a percent too large in float32',
  'qwen3',
  F32,
  (tensors) => {
    const values = valuesOf(tensors, LAYER(0, 'mlp.down_proj'));
    values.set(values.map((each) => 1.005 * each));
  },
  /layers\.0\.mlp\.down_proj/,
);

test('fault: queries and keys swapped', async () => {
  const config: JsonObject = {
    model_type: 'llama',
    vocab_size: 96,
    hidden_size: 64,
    intermediate_size: 80,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  };
  const original = place('original');
  await writeRandomCheckpoint(original, config, 5);
  const changed = copyCheckpoint(original, place('changed'), (tensors) =>
    swap(tensors, LAYER(1, 'self_attn.q_proj'), LAYER(1, 'self_attn.k_proj')),
  );
  const report = await run(await makePackage(changed, place('package'), INT4), original);
  expectFault(report, [/layers\.1\.self_attn\.q_proj/, /q_proj.*k_proj.*swapped/]);
});
const codes = (made: PackageUnderChange, name: string, part = 'codes') => made.tensor(name).parts[part];
const node = (graph: Graph, name: RegExp) => {
  const found = graph.nodes.find((each) => name.test(each.name));
  if (!found) throw new Error(`no node ${name}`);
  return found;
};

wrongPackage(
  'one corrupted block of int4 bytes',
  'llama-gqa',
  INT4,
  true,
  (made) => made.bytes(codes(made, LAYER(1, 'self_attn.v_proj')), (bytes) => bytes.fill(0x5a, 160, 176)),
  /layers\.1\.self_attn\.v_proj/,
);
wrongPackage(
  'a flipped bit in a code, not sealed',
  'llama-gqa',
  INT4,
  false,
  (made) =>
    made.bytes(codes(made, LAYER(0, 'mlp.up_proj')), (bytes) => {
      bytes[99] ^= 8;
    }),
  /model\.onnx\.data/,
  /layers\.0\.mlp\.up_proj/,
);
wrongPackage(
  'scales shifted by one',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.bytes(codes(made, LAYER(0, 'mlp.gate_proj'), 'scales'), (bytes) => bytes.copyWithin(4, 0, bytes.length - 4)),
  /layers\.0\.mlp\.gate_proj/,
);
wrongPackage(
  'nibbles in the wrong order',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.bytes(codes(made, LAYER(1, 'mlp.up_proj')), (bytes) =>
      bytes.forEach((byte, i) => {
        bytes[i] = (byte >> 4) | ((byte & 15) << 4);
      }),
    ),
  /layers\.1\.mlp\.up_proj/,
);
wrongPackage(
  'zero points one too large',
  'llama-gqa',
  { ...INT4, asymmetric: true },
  true,
  (made) =>
    made.bytes(codes(made, LAYER(0, 'self_attn.q_proj'), 'zero_points'), (bytes) =>
      bytes.forEach((byte, i) => {
        bytes[i] = (byte + 0x11) & 0xff;
      }),
    ),
  /layers\.0\.self_attn\.q_proj/,
);
wrongPackage(
  'a scale that is not a number',
  'llama-gqa',
  INT4,
  true,
  (made) => made.bytes(codes(made, LAYER(1, 'mlp.down_proj'), 'scales'), (bytes) => bytes.set([0, 0, 0xc0, 0x7f], 8)),
  /layers\.1\.mlp\.down_proj/,
);
wrongPackage(
  'rotary tables one position late',
  'llama-gqa',
  F32,
  true,
  (made) => made.bytes(codes(made, 'cos_cache'), (bytes) => bytes.copyWithin(64, 0, bytes.length - 64)),
  /cos_cache: is one position late/,
);
wrongPackage(
  'a truncated data file',
  'llama-gqa',
  INT4,
  false,
  (made) => truncateSync(join(made.dir, 'model.onnx.data'), 100_000),
  /model\.onnx\.data/,
);
wrongPackage(
  'a truncated data file, sealed',
  'llama-gqa',
  INT4,
  true,
  (made) => truncateSync(join(made.dir, 'model.onnx.data'), 100_000),
  /model\.onnx\.data/,
);
wrongPackage(
  'a missing data file',
  'llama-gqa',
  INT4,
  false,
  (made) => rmSync(join(made.dir, 'model.onnx.data')),
  /model\.onnx\.data/,
);
wrongPackage(
  'a graph cut short',
  'llama-gqa',
  INT4,
  true,
  (made) => truncateSync(join(made.dir, 'model.onnx'), 4000),
  /model\.onnx/,
);

wrongPackage(
  'an initializer that takes the bytes of another',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.graph((graph, external) => {
      const of = (name: RegExp) => graph.initializers.find((each) => name.test(each.name))?.name as string;
      external[of(/layers\.1\.self_attn\.k_proj\.weight_Q4/)] = external[of(/layers\.1\.self_attn\.v_proj\.weight_Q4/)];
    }),
  /layer 1 attn\.k_proj/,
);
wrongPackage(
  'a wrong epsilon in one norm',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      node(graph, /layers\.1\/input_layernorm/).attributes.epsilon = { float: 1e-3 };
    }),
  /layer 1 input_layernorm: agrees if epsilon is 0\.001/,
);
wrongPackage(
  'a wrong softmax scale in one layer',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      node(graph, /layers\.1\/attn\/GroupQueryAttention/).attributes.scale = { float: 1 };
    }),
  /layer 1 attn.*agrees if the scale of its scores is 1, /,
);
wrongPackage(
  'interleaved rotary in one layer',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      node(graph, /layers\.0\/attn\/GroupQueryAttention/).attributes.rotary_interleaved = 1;
    }),
  /layer 0 attn.*agrees if rotary embedding turns interleaved pairs/,
);
wrongPackage(
  'a window one too long in one layer',
  'mistral-swa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      node(graph, /layers\.2\/attn\/GroupQueryAttention/).attributes.local_window_size = 9;
    }),
  /layer 2 attn.*agrees if its window is 9/,
);
wrongPackage(
  'a bias added to the wrong projection',
  'qwen2-untied',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      const bias = graph.initializers.find(({ name }) => name === 'model.layers.1.self_attn.v_proj.bias')
        ?.name as string;
      const add = node(graph, /layers\.1\/attn\/k_proj\/Add/);
      add.inputs[1] = bias;
    }),
  /layer 1 attn\.k_proj/,
);
wrongPackage(
  'a residual that skips a block',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      const norm = node(graph, /layers\.1\/post_attention_layernorm/);
      norm.inputs[0] = norm.inputs[1];
    }),
  /layer 1 /,
);
wrongPackage(
  'relu where the model has silu',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      const act = node(graph, /layers\.0\/mlp\/act_fn\/Sigmoid/);
      act.op = 'Relu';
    }),
  /layer 0 mlp\.act_fn/,
);
wrongPackage(
  'a stale cache: values of another layer',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      const attention = node(graph, /layers\.1\/attn\/GroupQueryAttention/);
      attention.inputs[4] = 'past_key_values.0.value';
    }),
  /cache/,
);
wrongPackage(
  'a cache whose outputs are crossed',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.json('genai_config.json', (config: GenaiJson) => {
      const { outputs } = config.model.decoder;
      [outputs.present_key_names, outputs.present_value_names] = [
        outputs.present_value_names,
        outputs.present_key_names,
      ];
    }),
  /cache/,
);

wrongPackage(
  'a wrong epsilon behind products that round to int8',
  'llama-gqa',
  { ...INT4, accuracyLevel: 4 },
  true,
  (made) =>
    made.graph((graph) => {
      node(graph, /layers\.1\/input_layernorm/).attributes.epsilon = { float: 1e-3 };
    }),
  /in float32|float32 products/,
  /layer 1 input_layernorm/,
);
wrongPackage(
  'a norm of keys left out',
  'qwen3',
  F32,
  true,
  (made) =>
    made.graph((graph) => {
      const norm = node(graph, /layers\.1\/.*k_norm/);
      for (const each of graph.nodes) {
        each.inputs = each.inputs.map((name) => (name === norm.outputs[0] ? norm.inputs[0] : name));
      }
      graph.nodes.splice(graph.nodes.indexOf(norm), 1);
    }),
  /model\.onnx/,
);
wrongPackage(
  'a head that is the embedding',
  'llama-gqa',
  F32,
  true,
  (made) =>
    made.graph((_, external) => {
      const of = (name: RegExp) => Object.keys(external).find((each) => name.test(each)) as string;
      external[of(/lm_head/)] = external[of(/embed_tokens/)];
    }),
  /logits are/,
);
wrongPackage(
  'a cache of other heads than the config says',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.json('genai_config.json', (config: { model: { decoder: { num_key_value_heads: number } } }) => {
      config.model.decoder.num_key_value_heads = 4;
    }),
  /num_key_value_heads is 4/,
);
wrongPackage(
  'another chat template',
  'union-1.8m',
  INT4,
  true,
  (made) =>
    made.json('tokenizer_config.json', (config: JsonObject) => {
      config.chat_template = '{{ messages }}';
    }),
  /tokenizer_config\.json: chat_template/,
);
wrongPackage(
  'another generation_config.json',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.json('generation_config.json', (config: JsonObject) => {
      config.eos_token_id = 9;
    }),
  /generation_config\.json: eos_token_id/,
);
wrongPackage(
  'a wrong epsilon in a float32 package without manifest',
  'llama-gqa',
  F32,
  false,
  (made) => {
    made.graph((graph) => {
      node(graph, /layers\.1\/input_layernorm/).attributes.epsilon = { float: 1e-3 };
    });
    rmSync(join(made.dir, 'halfbyte.json'));
  },
  /logits/,
);
wrongPackage(
  'a wrong eos',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.json('genai_config.json', (config: GenaiJson) => {
      config.model.eos_token_id = 3;
    }),
  /model\.eos_token_id/,
);
wrongPackage(
  'a wrong number of layers',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.json('genai_config.json', (config: GenaiJson) => {
      config.model.decoder.num_hidden_layers = 1;
    }),
  /num_hidden_layers/,
);
wrongPackage(
  'a context longer than the tables',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.json('genai_config.json', (config: GenaiJson) => {
      config.model.context_length = 4096;
    }),
  /context_length/,
);
wrongPackage(
  'a name that the graph does not have',
  'llama-gqa',
  INT4,
  true,
  (made) =>
    made.json('genai_config.json', (config: GenaiJson) => {
      config.model.decoder.outputs.logits = 'scores';
    }),
  /"scores"/,
);
wrongPackage(
  'other sampling settings',
  'union-1.8m',
  INT4,
  true,
  (made) =>
    made.json('genai_config.json', (config: GenaiJson) => {
      config.search.temperature = 1;
    }),
  /search\.temperature/,
);
wrongPackage(
  'two tokens of the vocabulary swapped',
  'union-1.8m',
  INT4,
  true,
  (made) =>
    made.json('tokenizer.json', (tokenizer: { model: { vocab: Record<string, number> } }) => {
      const { vocab } = tokenizer.model;
      [vocab.e, vocab.t] = [vocab.t, vocab.e];
    }),
  /tokenizer\.json/,
);

// ---------------------------------------------------------------- multi-token prediction

wrongSource(
  'two norms of multi-token prediction swapped',
  'deepseek-v3',
  INT4,
  (tensors) => swap(tensors, LAYER(3, 'enorm'), LAYER(3, 'hnorm')),
  /layers\.3\.enorm/,
);
wrongPackage(
  'halves of multi-token prediction in the wrong order',
  'deepseek-v3',
  INT4,
  true,
  (made) =>
    made.graph((graph) => {
      for (const node of graph.nodes) if (node.name.endsWith('eh_proj/Concat')) node.inputs.reverse();
    }, 'mtp.onnx'),
  /mtp\.onnx: for the model's own hidden states/,
);
wrongPackage(
  'an epsilon of multi-token prediction',
  'deepseek-v3',
  { ...INT4, accuracyLevel: 4 },
  true,
  (made) =>
    made.graph((graph) => {
      for (const node of graph.nodes) if (node.attributes.epsilon) node.attributes.epsilon = { float: 1e-3 };
    }, 'mtp.onnx'),
  /mtp\.onnx: for the model's own hidden states/,
);
wrongPackage(
  'mtp.onnx is missing',
  'deepseek-v3',
  INT4,
  false,
  (made) => rmSync(join(made.dir, 'mtp.onnx')),
  /mtp\.onnx: is missing/,
);

test.after(() => made.remove());
test.run();
