#!/usr/bin/env node
import { existsSync } from 'node:fs';
import module from 'node:module';

const built = new URL('../dist/bin/start.js', import.meta.url);
if (!existsSync(built)) {
  process.stderr.write('halfbyte is not built yet.\nTry this: npm run build\n');
  process.exit(4);
}

// From Node 22.8 on: what was compiled once is compiled, in node-compile-cache of the temporary directory.
module.enableCompileCache?.();
const { start } = await import(built.href);
await start(import.meta.url);
