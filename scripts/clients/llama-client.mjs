// node llama-client.mjs <folder with node_modules> <cases as JSON>: llama.cpp by node-llama-cpp, one JSON line a case
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, cases] = process.argv.slice(2);
const entry = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
// nothing is built or downloaded: the binaries are in the package
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: LlamaLogLevel.error });

/** Logits at every position of a text. The cache is float32: the default, float16, costs 1e-2 in log p. */
async function logitsOf(model, ids, vocab) {
  const context = await model.createContext({
    contextSize: Math.max(64, ids.length + 8),
    sequences: 1,
    batchSize: ids.length,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  const sequence = context.getSequence();
  const results = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: { logits: true } }]));
  const rows = results.map(({ next }) => Array.from({ length: vocab }, (_, token) => next.logits.get(token)));
  await context.dispose();
  return rows;
}

function logProbabilities(row) {
  const most = Math.max(...row);
  const total = most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return row.map((value) => value - total);
}

const first = (row) => row.indexOf(Math.max(...row));

for (const { name, file, ids, reference, vocab } of JSON.parse(cases)) {
  try {
    const { buffer, byteOffset, byteLength } = readFileSync(reference);
    const expected = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
    const rows = await logitsOf(model, ids, vocab);
    await model.dispose();
    let [off, equal] = [0, 0];
    for (const [at, row] of rows.entries()) {
      const wanted = Array.from(expected.subarray(at * vocab, (at + 1) * vocab));
      const [left, right] = [logProbabilities(row), logProbabilities(wanted)];
      // a difference that is no number is the largest of all
      for (const [token, value] of left.entries()) off = Math.max(off, Math.abs(value - right[token])) || Number.NaN;
      if (first(row) === first(wanted)) equal++;
    }
    console.log(JSON.stringify({ name, off: Number.isNaN(off) ? null : off, equal, of: rows.length }));
  } catch (error) {
    console.log(JSON.stringify({ name, error: String(error.message ?? error) }));
  }
}
process.exit(0);
