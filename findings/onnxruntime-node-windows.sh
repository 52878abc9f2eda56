#!/usr/bin/env bash
# onnxruntime-node 1.22.0 and 1.24.3 (npm, CPU): com.microsoft.GroupQueryAttention with local_window_size, a prompt whose
# scores are all equal, so that each position gives the mean of the values that it may see.
# Expected of local_window_size = 2: positions see themselves and the one before: values 1 2 3 4 5 6 give
#   1 1.5 2.5 3.5 4.5 5.5
# Seen: 1.24.3 gives that; 1.22.0 gives 1 1.5 2 3 4 5, without an error: each window holds one value more.
# Exits 0 while 1.22.0 differs and 1.24.3 is as expected, 1 when one of the two changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts onnx-proto@8.0.1 \
  old@npm:onnxruntime-node@1.22.0 new@npm:onnxruntime-node@1.24.3
cat >run.cjs <<'JS'
const { onnx } = require('onnx-proto');
const positions = 6;
const size = 16;
const type = (elemType, dims) => ({
  tensorType: { elemType, shape: { dim: dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) } },
});
const value = (name, elemType, dims) => ({ name, type: type(elemType, dims) });
const past = ['past_key', 'past_value'].map((name) => value(name, 1, [1, 1, 'past', size]));
const present = ['present_key', 'present_value'].map((name) => value(name, 1, [1, 1, 'total', size]));
const rows = ['q', 'k', 'v'].map((name) => value(name, 1, [1, 'length', size]));
const lengths = [value('seqlens', 6, [1, 1]), value('total', 6, [1])];
const int = (name, i) => ({ name, type: 2, i });
const model = {
  irVersion: 9,
  opsetImport: [{ domain: '', version: 20 }, { domain: 'com.microsoft', version: 1 }],
  graph: {
    name: 'window',
    node: [{
      opType: 'GroupQueryAttention', domain: 'com.microsoft',
      input: ['q', 'k', 'v', 'past_key', 'past_value', 'seqlens', 'total'],
      output: ['out', 'present_key', 'present_value'],
      attribute: [int('num_heads', 1), int('kv_num_heads', 1), int('local_window_size', 2)],
    }],
    input: [...rows, ...past, ...lengths],
    output: [value('out', 1, [1, 'length', size]), ...present],
  },
};
const bytes = onnx.ModelProto.encode(onnx.ModelProto.create(model)).finish();
const wanted = [1, 1.5, 2.5, 3.5, 4.5, 5.5];
async function means(name) {
  const ort = require(name);
  const session = await ort.InferenceSession.create(bytes);
  const float = (data, dims) => new ort.Tensor('float32', data, dims);
  const zeros = new Float32Array(positions * size);
  const values = zeros.map((_, i) => 1 + Math.floor(i / size));
  const none = () => float(new Float32Array(0), [1, 1, 0, size]);
  const { out } = await session.run({
    q: float(zeros, [1, positions, size]), k: float(zeros, [1, positions, size]), v: float(values, [1, positions, size]),
    past_key: none(), past_value: none(),
    seqlens: new ort.Tensor('int32', Int32Array.of(positions - 1), [1, 1]),
    total: new ort.Tensor('int32', Int32Array.of(positions), [1]),
  });
  return wanted.map((_, i) => Number(out.data[i * size].toFixed(4)));
}
(async () => {
  const name = process.argv[2];
  const found = await means(name);
  console.log(`onnxruntime-node ${require(`${name}/package.json`).version}: ${found.join(' ')}; expected ${wanted.join(' ')}`);
  process.exit(found.join() === wanted.join() ? 0 : 3);
})();
JS
# a process for each: two versions of a native library in one are another matter
node run.cjs new
seen=0
node run.cjs old || seen=$?
[ "$seen" = 3 ]
