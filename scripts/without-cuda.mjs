// Run by npm before the install scripts of what halfbyte depends on. The one of onnxruntime-node fetches CUDA libraries
// (Linux, x64) from outside the registry, hundreds of MB that nothing here uses, and ends the whole installation where
// that host is not reached. It leaves alone what is there: so a line of text stands in each library's place, unless its
// own settings say what is wanted.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const { env, platform, arch } = process;
const isChosen = ['ONNXRUNTIME_NODE_INSTALL', 'ONNXRUNTIME_NODE_INSTALL_CUDA'].some(
  (name) => env[name] !== undefined || env[`npm_config_${name.toLowerCase()}`] !== undefined,
);
if (!isChosen) standIn();

function standIn() {
  const require = createRequire(import.meta.url);
  let folder;
  let metadata;
  try {
    folder = dirname(require.resolve('onnxruntime-node/package.json'));
    metadata = require(join(folder, 'script/install-metadata.js'));
  } catch {
    // A checkout before its dependencies are there, or a release without such a script: nothing is to be kept away.
    return;
  }
  const place = `${platform}/${arch}`;
  for (const name of metadata.requirements?.[place] ?? []) {
    for (const library of Object.keys(metadata.manifests?.[`${place}:${name}`] ?? {})) {
      const file = join(folder, 'bin/napi-v6', place, library);
      if (existsSync(file)) continue;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(
        file,
        'Not fetched: halfbyte runs on the CPU. Remove this file and run script/install.js for CUDA.\n',
      );
    }
  }
}
