// node node-client.mjs <folder with node_modules> <cases as JSON>: transformers.js in Node, one JSON line a case
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { judge, readSafetensors } from './judge.mjs';

const [folder, cases] = process.argv.slice(2);
const transformers = createRequire(join(folder, 'package.json'))('@huggingface/transformers');
Object.assign(transformers.env, { allowRemoteModels: false, localModelPath: '' });
for (const { name, dir, golden } of JSON.parse(cases)) {
  const { buffer, byteOffset, byteLength } = readFileSync(golden);
  const tensors = readSafetensors(buffer.slice(byteOffset, byteOffset + byteLength));
  const result = await judge(transformers, dir, tensors).catch((error) => ({ error: String(error.message ?? error) }));
  console.log(JSON.stringify({ name, ...result }));
}
