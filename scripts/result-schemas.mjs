// Writes docs/results/<command>.schema.json: what each command prints under --json, from the types of its results.
// With --check it only compares, and exits 1 where one is stale.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createGenerator } from 'ts-json-schema-generator';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const results = {
  bench: ['src/stages/bench.ts', 'BenchResult'],
  calibrate: ['src/stages/calibrate.ts', 'CalibrateResult'],
  convert: ['src/stages/convert.ts', 'ConvertResult'],
  doctor: ['src/stages/doctor.ts', 'Diagnosis'],
  generate: ['src/stages/generate.ts', 'GenerateResult'],
  inspect: ['src/stages/inspect.ts', 'Inspection'],
  list: ['src/stages/list.ts', 'Listing'],
  merge: ['src/stages/merge.ts', 'MergeResult'],
  quantize: ['src/stages/quantize.ts', 'QuantizeResult'],
};
const notes = {
  type: 'array',
  items: { type: 'string' },
  description: 'What was decided for the user or found on the way.',
};

let stale = 0;
mkdirSync(join(root, 'docs/results'), { recursive: true });
for (const [command, [path, type]] of Object.entries(results)) {
  const options = {
    path: join(root, path),
    type,
    tsconfig: join(root, 'tsconfig.json'),
    skipTypeCheck: true,
    topRef: false,
  };
  const schema = createGenerator(options).createSchema(type);
  // The forms that a result has: one, or several of which each has its notes.
  const forms = schema.anyOf ? schema.anyOf.map(({ $ref }) => schema.definitions[$ref.split('/').at(-1)]) : [schema];
  for (const form of forms) {
    form.properties.notes = notes;
    form.required = [...form.required, 'notes'];
  }
  const file = join(root, `docs/results/${command}.schema.json`);
  const text = `${JSON.stringify({ title: `halfbyte ${command} --json`, ...schema }, null, 2)}\n`;
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    console.error(`docs/results/${command}.schema.json is stale.\nTry this: npm run result-schemas`);
    stale++;
  }
}
process.exitCode = stale > 0 ? 1 : 0;
