// The weight comparison of `verify` alone: nanoseconds of CPU a weight, of a checkpoint in any layout against the one that
// it was made of.
//
//   npx tsx bench/compare-weights.ts <checkpoint or .gguf> <reference> [pattern]    tensors whose names match
import { openCheckpoint } from '../src/formats/checkpoint.js';
import { logicalTensors } from '../src/model/logical-tensors.js';
import { checkPairs } from '../src/verify/weights/weight-checks.js';
import { checkpointPairs } from '../src/verify/weights/weight-pairs.js';

const [own, reference, pattern = 'layers'] = process.argv.slice(2);
const [ours, theirs] = [await logicalTensors(openCheckpoint(own)), await logicalTensors(openCheckpoint(reference))];
const pairs = (await checkpointPairs(ours, theirs)).pairs.filter(({ name }) => new RegExp(pattern).test(name));
const weights = pairs.reduce((sum, { reference: { rows, cols } }) => sum + rows * cols, 0);
const start = process.cpuUsage();
const { checks } = await checkPairs(pairs, [], 'checkpoint', { onProgress: () => {} });
const { user, system } = process.cpuUsage(start);
for (const { verdict, message } of checks) console.log(`${verdict}: ${message}`);
console.log(
  `${((1e3 * (user + system)) / weights).toFixed(1)} ns a weight, ${(weights / 1e6).toFixed(0)} million weights`,
);
