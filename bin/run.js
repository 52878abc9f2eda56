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
try {
  const { start } = await import(built.href);
  await start(import.meta.url);
} catch (error) {
  // Too few files or too little memory to load the program, which tells every other failure itself.
  process.stderr.write(`halfbyte cannot start: ${error.message}\nTry this: raise the limits (ulimit -n, ulimit -v).\n`);
  process.exit(4);
}
