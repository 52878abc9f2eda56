import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';

const root = fileURLToPath(new URL('../..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-results-'));
test.after(() => rmSync(work, { recursive: true }));

const fixture = (name: string) => join(root, 'fixtures', name);
const out = (name: string) => join(work, name);
const schemaOf = (command: string) =>
  z.fromJSONSchema(JSON.parse(readFileSync(join(root, `docs/results/${command}.schema.json`), 'utf8')));

/** In this order: later ones take what earlier ones wrote. */
const runs: string[][] = [
  ['convert', fixture('llama-hd8'), '-o', out('package')],
  ['convert', fixture('llama-hd8'), '-o', out('none'), '--target', 'qnn', '--dry-run'],
  ['convert', fixture('llama-hd8'), '-o', out('parts'), '--shard', '1/1'],
  ['merge', out('parts')],
  ['quantize', fixture('union-1.8m'), '-o', out('gptq'), '--layout', 'gptq'],
  ['calibrate', fixture('llama-hd8'), '-o', out('calibration'), '--tokens', '8'],
  ['inspect', out('package')],
  ['inspect', fixture('llama-hd8')],
  ['generate', out('package'), '--ids', '1,2', '--max-new-tokens', '2'],
  ['bench', out('package'), '--prompt-tokens', '2', '--new-tokens', '2', '--runs', '1'],
  ['list', 'layouts'],
  ['doctor'],
];
for (const [command, ...args] of runs) {
  test(`${command} --json is what docs/results says: ${args.slice(1, 4).join(' ')}`, () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'bin/run.js'), command, ...args, '--json'],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    );
    assert.is(status, 0, stdout + stderr);
    const parsed = schemaOf(command).safeParse(JSON.parse(stdout));
    assert.ok(parsed.success, JSON.stringify(parsed.error?.issues.slice(0, 3)));
    assert.not(schemaOf(command).safeParse({}).success);
  });
}

test('every command has a schema, made of its types', () => {
  const commands = readdirSync(join(root, 'commands')).map((file) => file.replace('.ts', ''));
  // The result of verify is the report, whose schema is docs/verify-report.schema.json.
  const schemas = readdirSync(join(root, 'docs/results')).map((file) => file.replace('.schema.json', ''));
  assert.equal(schemas.sort(), commands.filter((name) => name !== 'verify').sort());
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/result-schemas.mjs'), '--check'], {
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
});

test.run();
