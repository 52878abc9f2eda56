#!/usr/bin/env node
// Runs the TypeScript sources without a build.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Config, Plugin, run, settings } from '@oclif/core';
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

// The manifest names the built commands: only a plugin, not a config, can be told to pass it over.
const plugin = new Plugin({ root, pjson, isRoot: true, ignoreManifest: true });
await plugin.load();
const config = await Config.load({ root, pjson, plugins: new Map([[plugin.name, plugin]]) });
await run(process.argv.slice(2), config).catch(fail);
