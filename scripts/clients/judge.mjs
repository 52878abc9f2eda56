/** The tensors of a small safetensors file, by name. */
export function readSafetensors(buffer) {
  const header = Number(new DataView(buffer).getBigUint64(0, true));
  const entries = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, header)));
  return (name) => {
    const { dtype, shape, data_offsets } = entries[name];
    const bytes = buffer.slice(8 + header + data_offsets[0], 8 + header + data_offsets[1]);
    return { shape, data: dtype === 'I64' ? new BigInt64Array(bytes) : new Float32Array(bytes) };
  };
}

/** Loads a package with transformers.js as it lies there and holds it to transformers' logits and greedy tokens. */
export async function judge({ AutoModelForCausalLM, Tensor }, dir, golden, options) {
  const model = await AutoModelForCausalLM.from_pretrained(dir, options);
  const feed = ({ data, shape }) => ({
    ids: new Tensor('int64', data, shape),
    attention_mask: new Tensor('int64', new BigInt64Array(data.length).fill(1n), shape),
  });
  const { ids: input_ids, attention_mask } = feed(golden('input_ids'));
  const { logits } = await model({ input_ids, attention_mask });
  const [actual, expected] = [logits.to('float32').data, golden('logits').data];
  const off = expected.reduce((worst, value, i) => Math.max(worst, Math.abs(value - actual[i])), 0);
  const prompt = feed(golden('prompt_ids'));
  const wanted = Array.from(golden('generated').data, Number);
  const made = await model.generate({
    inputs: prompt.ids,
    attention_mask: prompt.attention_mask,
    max_new_tokens: wanted.length,
    do_sample: false,
    eos_token_id: [-1],
  });
  const tokens = Array.from(made.data, Number).slice(-wanted.length);
  await model.dispose();
  return { off, equal: wanted.filter((id, i) => id === tokens[i]).length, of: wanted.length };
}
