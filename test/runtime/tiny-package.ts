import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
const FLOAT = 1;
const INT32 = 6;
const INT64 = 7;
const [VOCAB, WIDTH, HEADS, HEAD_DIM, LAYERS, CONTEXT] = [29, 32, 2, 16, 2, 96];

/** `cached`: keys and values, fused rotary. `latent`: keys alone serve as values, as in a latent-attention package. */
export type TinyKind = 'cached' | 'latent';

/** Reproducible values in [-0.5, 0.5): Park and Miller's generator. */
function randomValues(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647 - 0.5;
  });
}

/** A hand-made decoder of random weights with the inputs and outputs of ONNX Runtime GenAI's builder. */
function tinyModel(kind: TinyKind): Uint8Array {
  const initializers: onnxProto.onnx.ITensorProto[] = [];
  const nodes: onnxProto.onnx.INodeProto[] = [];
  const floats = (name: string, dims: number[], values: Float32Array) =>
    initializers.push({ name, dims, dataType: FLOAT, rawData: new Uint8Array(values.buffer) });
  const random = (name: string, dims: number[]) =>
    floats(
      name,
      dims,
      randomValues(
        dims.reduce((a, b) => a * b),
        initializers.length + 7,
      ),
    );
  const node = (
    opType: string,
    input: string[],
    output: string[],
    attributes: Record<string, number> = {},
    domain = '',
  ) =>
    nodes.push({
      opType,
      input,
      output,
      domain,
      name: output[0] as string,
      attribute: Object.entries(attributes).map(([name, i]) => ({
        name,
        i,
        type: onnx.AttributeProto.AttributeType.INT,
      })),
    });
  const integers = (name: string, dims: number[], values: bigint[]) =>
    initializers.push({ name, dims, dataType: INT64, rawData: new Uint8Array(BigInt64Array.from(values).buffer) });
  const value = (name: string, elemType: number, dims: (string | number)[]): onnxProto.onnx.IValueInfoProto => ({
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: dims.map((d) => (typeof d === 'string' ? { dimParam: d } : { dimValue: d })) },
      },
    },
  });

  random('table', [VOCAB, WIDTH]);
  random('head', [WIDTH, VOCAB]);
  integers('one', [1], [1n]);
  integers('axis', [1], [1n]);
  integers('index', [], [1n]);
  const angles = (f: (x: number) => number) =>
    Float32Array.from({ length: CONTEXT * (HEAD_DIM / 2) }, (_, i) =>
      f(Math.floor(i / (HEAD_DIM / 2)) * 10 ** (-4 * ((i % (HEAD_DIM / 2)) / (HEAD_DIM / 2)))),
    );
  floats('cos', [CONTEXT, HEAD_DIM / 2], angles(Math.cos));
  floats('sin', [CONTEXT, HEAD_DIM / 2], angles(Math.sin));

  node('ReduceSum', ['attention_mask', 'axis'], ['mask_sum'], { keepdims: 1 });
  node('Sub', ['mask_sum', 'one'], ['last']);
  node('Cast', ['last'], ['seqlens_k'], { to: INT32 });
  node('Shape', ['attention_mask'], ['mask_shape']);
  node('Gather', ['mask_shape', 'index'], ['total64'], { axis: 0 });
  node('Cast', ['total64'], ['total'], { to: INT32 });
  node('Gather', ['table', 'input_ids'], ['h0']);

  const inputs = [
    value('input_ids', INT64, ['batch_size', 'sequence_length']),
    value('attention_mask', INT64, ['batch_size', 'total_sequence_length']),
  ];
  const outputs = [value('logits', FLOAT, ['batch_size', 'sequence_length', VOCAB])];
  const parts = kind === 'latent' ? ['key'] : ['key', 'value'];
  for (let i = 0; i < LAYERS; i++) {
    for (const part of parts) {
      inputs.push(value(`past_key_values.${i}.${part}`, FLOAT, ['batch_size', 1, 'past_sequence_length', HEAD_DIM]));
      outputs.push(value(`present.${i}.${part}`, FLOAT, ['batch_size', 1, 'total_sequence_length', HEAD_DIM]));
    }
    random(`q${i}.weight`, [WIDTH, WIDTH]);
    random(`k${i}.weight`, [WIDTH, HEAD_DIM]);
    random(`v${i}.weight`, [WIDTH, HEAD_DIM]);
    node('MatMul', [`h${i}`, `q${i}.weight`], [`q${i}`]);
    node('MatMul', [`h${i}`, `k${i}.weight`], [`k${i}`]);
    node('MatMul', [`h${i}`, `v${i}.weight`], [`v${i}`]);
    const past = `past_key_values.${i}`;
    node(
      'GroupQueryAttention',
      kind === 'latent'
        ? [`q${i}`, `k${i}`, `k${i}`, `${past}.key`, `${past}.key`, 'seqlens_k', 'total']
        : [`q${i}`, `k${i}`, `v${i}`, `${past}.key`, `${past}.value`, 'seqlens_k', 'total', 'cos', 'sin'],
      // The operator demands a third output; a latent package leaves it out of the graph's outputs.
      [`a${i}`, `present.${i}.key`, kind === 'latent' ? `unused.${i}` : `present.${i}.value`],
      { num_heads: HEADS, kv_num_heads: 1, do_rotary: kind === 'latent' ? 0 : 1 },
      'com.microsoft',
    );
    node('Add', [`h${i}`, `a${i}`], [`h${i + 1}`]);
  }
  node('MatMul', [`h${LAYERS}`, 'head'], ['logits']);
  return onnx.ModelProto.encode({
    irVersion: 10,
    opsetImport: [
      { domain: '', version: 21 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: { name: 'tiny', node: nodes, initializer: initializers, input: inputs, output: outputs },
  }).finish();
}

export function tinyGenaiConfig(kind: TinyKind, shareBuffer: boolean) {
  const values = kind === 'latent' ? {} : { past_value_names: 'past_key_values.%d.value' };
  const presentValues = kind === 'latent' ? {} : { present_value_names: 'present.%d.value' };
  return {
    model: {
      type: 'llama',
      bos_token_id: 1,
      eos_token_id: [2, 3] as number | number[],
      pad_token_id: 2,
      context_length: CONTEXT,
      vocab_size: VOCAB,
      decoder: {
        filename: 'model.onnx',
        head_size: HEAD_DIM,
        hidden_size: WIDTH,
        num_attention_heads: HEADS,
        num_hidden_layers: LAYERS,
        num_key_value_heads: 1,
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          past_key_names: 'past_key_values.%d.key',
          ...values,
        },
        outputs: { logits: 'logits', present_key_names: 'present.%d.key', ...presentValues },
      },
    },
    search: { max_length: CONTEXT, do_sample: false, past_present_share_buffer: shareBuffer },
  };
}

/** Writes a tiny package without tokenizer and manifest into a new temporary directory and returns its path. */
export function writeTinyPackage(kind: TinyKind = 'cached', shareBuffer = false): string {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-tiny-'));
  writeFileSync(join(dir, 'model.onnx'), tinyModel(kind));
  writeFileSync(join(dir, 'genai_config.json'), JSON.stringify(tinyGenaiConfig(kind, shareBuffer)));
  return dir;
}
