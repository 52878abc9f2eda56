import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { InvalidInputError } from '../../src/core/errors.js';
import { verifyJson } from '../../src/report/verify-json.js';
import { publishedSchema } from '../../src/report/verify-schema.js';
import { readVerifyReport } from '../../src/stages/compare-reports.js';
import { hostileReport, report } from './sample-report.js';

const published = fileURLToPath(new URL('../../docs/verify-report.schema.json', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-json-'));
test.after(() => rmSync(work, { recursive: true }));

test('docs/verify-report.schema.json is the schema (UPDATE_SNAPSHOTS=1 writes it)', () => {
  const schema = publishedSchema();
  if (process.env.UPDATE_SNAPSHOTS === '1') writeFileSync(published, `${JSON.stringify(schema, null, 2)}\n`);
  assert.equal(JSON.parse(readFileSync(published, 'utf8')), schema);
});

test('reports are valid by the published schema, and what lacks a key is not', () => {
  const schema = z.fromJSONSchema(JSON.parse(readFileSync(published, 'utf8')));
  for (const each of [report(), hostileReport()]) {
    const { success, error } = schema.safeParse(JSON.parse(verifyJson(each)));
    assert.ok(success, String(error));
  }
  const { verdict, ...rest } = report();
  assert.not(schema.safeParse(rest).success);
  assert.not(schema.safeParse({ ...rest, verdict: 'perhaps' }).success);
  assert.not(schema.safeParse({ ...report(), formatVersion: 2 }).success);
});

test('a report is read as it was written, with NaN for what is not finite', async () => {
  const file = join(work, 'report.json');
  for (const each of [report(), hostileReport()]) {
    writeFileSync(file, verifyJson(each));
    const again = await readVerifyReport(file);
    assert.equal(JSON.parse(verifyJson(again)), JSON.parse(verifyJson(each)));
  }
  assert.ok(Number.isNaN((await readVerifyReport(file)).layers[0].cosine));
});

const wrong: [what: string, content: string | undefined, says: RegExp][] = [
  ['no file', undefined, /there is no such file/],
  ['no JSON', '{', /is not valid JSON/],
  ['another document', '{"verdict": "pass"}', /is no report of verify of format version 1: formatVersion/],
  ['a newer version', verifyJson({ ...report(), formatVersion: 2 as 1 }), /format version 1: formatVersion/],
];
for (const [what, content, says] of wrong) {
  test(`not read: ${what}`, async () => {
    const file = join(work, 'wrong.json');
    rmSync(file, { force: true });
    if (content !== undefined) writeFileSync(file, content);
    try {
      await readVerifyReport(file);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, InvalidInputError);
      assert.match((error as Error).message, says);
    }
  });
}

test('a folder is no report', async () => {
  mkdirSync(join(work, 'folder.json'));
  const error = await readVerifyReport(join(work, 'folder.json')).catch((thrown) => thrown);
  assert.match(error.message, /is a folder, not a file/);
});

test.run();
