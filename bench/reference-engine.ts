/**
 * The reference engine alone on a checkpoint: seconds of wall and CPU, and the most memory it held.
 *
 *   npm run build && node --import tsx bench/reference-engine.ts CHECKPOINT [TOKENS]
 */
import { openCheckpoint } from '../src/formats/checkpoint.js';
import { openReferenceCheckpoint } from '../src/verify/referees/reference-checkpoint.js';
import { randomIds } from '../src/verify/tokens/token-ids.js';

const [dir, tokens = '256'] = process.argv.slice(2);
if (dir === undefined) throw new Error('which checkpoint?');
const length = Number(tokens);
const { engine: engineFor } = await openReferenceCheckpoint(openCheckpoint(dir), {});
const engine = engineFor(length);
const ids = Array.from({ length: Math.ceil(length / 128) }, (_, seed) => randomIds(engine.vocabulary, 128, seed + 1));
const began = performance.now();
let rows = 0;
await engine.run([ids.flat().slice(0, length)], { onLogits: () => rows++ });
await engine.close();
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
const seconds = (microseconds: number) => (microseconds / 1e6).toFixed(1);
process.stdout.write(
  `${rows} tokens: ${((performance.now() - began) / 1e3).toFixed(1)} s, ` +
    `${seconds(userCPUTime + systemCPUTime)} s of CPU, ${(maxRSS / 1e3).toFixed(0)} MB at most\n`,
);
