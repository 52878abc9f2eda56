#!/usr/bin/env node
// Runs the TypeScript sources without a build.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Config, run, settings } from '@oclif/core';
import { register } from 'tsx/esm/api';

register();
const root = fileURLToPath(new URL('..', import.meta.url));
const pjson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
pjson.oclif.commands = './commands';
// oclif's own transpiling looks for the sources of dist/commands in a folder that this project does not have.
settings.enableAutoTranspile = false;

const fail = async (error) => {
  const { endFailed } = await import('../src/report/failure.ts');
  endFailed(error, process.argv.slice(2));
};
process.on('uncaughtException', fail);

const config = await Config.load({ root, pjson, ignoreManifest: true });
await run(process.argv.slice(2), config).catch(fail);
