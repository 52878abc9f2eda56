#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/src', import.meta.url);
if (!existsSync(built)) {
  process.stderr.write('halfbyte is not built yet.\nTry this: npm run build\n');
  process.exit(4);
}

const fail = async (error) => {
  const { endFailed } = await import('../dist/src/report/failure.js');
  endFailed(error, process.argv.slice(2));
};
process.on('uncaughtException', fail);

// The parts of oclif that starting takes; its index would load all of it.
const { run } = await import('@oclif/core/run');
await run(process.argv.slice(2), import.meta.url).catch(fail);
