import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { UsageError } from '../../src/core/errors.js';
import type { Manifest } from '../../src/formats/manifest.js';
import { openPackage } from '../../src/formats/package-reader.js';
import { verifyJson } from '../../src/report/verify-json.js';
import { compareReportFiles, readVerifyReport } from '../../src/stages/compare-reports.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { type VerifyOptions, verify } from '../../src/stages/verify.js';
import { schemeSizes } from '../../src/verify/subject/scheme-sizes.js';
import { fixture } from '../reference/fixtures.js';
import { packages } from '../stages/packages.js';

const made = packages();
test.after(made.remove);
const INT4: ConvertRequest = { weights: 'int4', groupSize: '32', accuracyLevel: 0 };
const NAME = 'llama-gqa';
const out = (name: string) => join(made.work, 'reports', name);

const run = async (options: Partial<VerifyOptions> = {}) =>
  verify({
    path: await made.of(NAME, INT4),
    reference: fixture(NAME),
    gates: [],
    strict: false,
    threads: 1,
    reproduce: 'halfbyte verify out',
    onProgress: () => {},
    ...options,
  });

test('the three reports of one run, whole and without leftovers; equal runs give equal bytes', async () => {
  const files = ['html', 'json', 'xml'].map((ending) => out(`first.${ending}`));
  const first = await run({ reports: files });
  assert.is(first.verdict, 'pass', first.summary);
  assert.equal(readdirSync(out('.')).sort(), ['first.html', 'first.json', 'first.xml']);
  await run({ reports: files.map((file) => file.replace('first', 'second')) });
  for (const file of files) {
    assert.is(readFileSync(file, 'utf8'), readFileSync(file.replace('first', 'second'), 'utf8'), file);
  }
  assert.is(readFileSync(files[1], 'utf8'), verifyJson(first), 'the file is what --json prints');
  assert.match(readFileSync(files[0], 'utf8'), /^<!doctype html>[\s\S]*<\/html>\n$/);
});

test('a real report has what the published schema says, and nothing besides', async () => {
  const schema = fileURLToPath(new URL('../../docs/verify-report.schema.json', import.meta.url));
  const written = JSON.parse(readFileSync(out('first.json'), 'utf8'));
  const { success, error } = z.fromJSONSchema(JSON.parse(readFileSync(schema, 'utf8'))).safeParse(written);
  assert.ok(success, String(error));
  // Reading drops keys that the schema does not know.
  assert.equal(JSON.parse(verifyJson(await readVerifyReport(out('first.json')))), written);
  const text = JSON.stringify({ ...written, subject: null, reference: null });
  assert.not(text.includes(made.work), 'no path but those of the command line');
});

test('a failed run writes its reports as well, and is worse than one that passed', async () => {
  const reports = [out('failed.json'), out('failed.html'), out('failed.xml')];
  const { verdict } = await run({ gates: ['kl_divergence<1e-9'], reports });
  assert.is(verdict, 'fail');
  assert.match(readFileSync(reports[1], 'utf8'), /<title>FAIL /);
  assert.match(readFileSync(reports[2], 'utf8'), /<failure message="kl_divergence is /);
  const comparison = await compareReportFiles([out('first.json'), reports[0]]);
  assert.ok(comparison.isWorse);
  assert.ok(
    comparison.checks.length > 0 && comparison.checks.every(({ group, before }) => group === 'gate' && !before),
  );
  assert.not((await compareReportFiles([reports[0], out('first.json')])).isWorse);
});

const refused: [what: string, file: () => string, type: typeof UsageError, says: RegExp][] = [
  ['an unknown ending', () => out('x.pdf'), UsageError, /x\.pdf: the ending says .*\.html, \.json, \.xml/],
  ['a directory', () => out('folder.html'), UsageError, /is a directory/],
  ['a folder that is a file', () => join(out('plain'), 'x.html'), UsageError, /plain is a file, not a folder/],
];
for (const [what, file, type, says] of refused) {
  test(`a report path is refused before the work: ${what}`, async () => {
    mkdirSync(out('folder.html'), { recursive: true });
    writeFileSync(out('plain'), 'kept');
    const seen: unknown[] = [];
    const error = await run({
      reports: [file()],
      reference: 'does not exist',
      onProgress: (each) => seen.push(each),
    }).catch((thrown) => thrown);
    assert.instance(error, type);
    assert.match(error.message, says);
    assert.equal(seen, []);
    assert.is(readFileSync(out('plain'), 'utf8'), 'kept');
  });
}

test('a run that cannot read its inputs leaves the report of the last run alone', async () => {
  const kept = '{"formatVersion": 1, "tool": {"name": "halfbyte"}}';
  writeFileSync(out('kept.json'), kept);
  const error = await run({ reports: [out('kept.json')], reference: join(made.work, 'nothing') }).catch(
    (thrown) => thrown,
  );
  assert.instance(error, Error);
  assert.is(readFileSync(out('kept.json'), 'utf8'), kept);
  assert.not(existsSync(`${out('kept.json')}.${process.pid}.tmp`));
});

test('sizes by scheme are together what the manifest says', async () => {
  const requests: [name: string, request: ConvertRequest][] = [
    [NAME, INT4],
    ['qwen2-tied', { weights: 'int8' }],
    ['mixtral', { weights: 'int4', groupSize: '16' }],
  ];
  for (const [name, request] of requests) {
    const { tensors, totals } = openPackage(await made.of(name, request)).manifest as unknown as Manifest;
    const sizes = schemeSizes(tensors);
    const sum = (key: 'parameters' | 'nbytes') => sizes.reduce((all, each) => all + each[key], 0);
    assert.equal([sum('parameters'), sum('nbytes')], [totals.parameters, totals.weightBytes], name);
  }
});

test.run();
