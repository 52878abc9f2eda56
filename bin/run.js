#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/bin/start.js', import.meta.url);
if (!existsSync(built)) {
  process.stderr.write('halfbyte is not built yet.\nTry this: npm run build\n');
  process.exit(4);
}

const { start } = await import(built.href);
await start(import.meta.url);
