import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type HalfbyteError, UsageError } from '../../src/core/errors.js';
import type { QuantizeReport } from '../../src/core/quantize-report.js';
import { writeCalibration } from '../../src/formats/calibration.js';
import { writeSafetensors } from '../../src/formats/safetensors-writer.js';
import { checkOutputFiles } from '../../src/places/files.js';
import { checkFreeSpace } from '../../src/places/writable.js';
import { page } from '../../src/report/page/page.js';
import { verifyReportFiles } from '../../src/report/verify-files.js';
import { report as sampleReport } from '../report/sample-report.js';

const work = realpathSync(mkdtempSync(join(tmpdir(), 'halfbyte-files-')));
test.after(() => rmSync(work, { recursive: true }));

const at = (name: string) => join(work, name);
const check = (names: string[], force = false, inputs: string[] = [], replacesOwn = true) =>
  checkOutputFiles(
    names.map((name) => ({ flag: '--report', path: at(name) })),
    { force, inputs, replacesOwn },
  );

function refused(
  names: string[],
  message: RegExp,
  ...rest: [force?: boolean, inputs?: string[], replacesOwn?: boolean]
) {
  try {
    check(names, ...rest);
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as HalfbyteError).report, message);
    return;
  }
  assert.unreachable(`${names} was not refused: ${message}`);
}

test('a new file, also in a folder that is still to be made', () => {
  check(['a.json', 'new/b.html']);
  refused(['a.json', 'new/../a.json'], /writes the same file/);
  assert.throws(
    () => checkOutputFiles([{ flag: '--report', path: '' }], { force: true, inputs: [] }),
    /--report is empty/,
  );
});

test('reports, calibrations and kept references say that they are ours, and are replaced', async () => {
  const names = ['r.json', 'r.xml', 'r.html'];
  await verifyReportFiles(names.map(at)).write(sampleReport());
  writeFileSync(at('q.html'), page({ title: 'x', sections: [] }));
  const report = { formatVersion: 1, tool: { name: 'halfbyte', version: '1' } } as QuantizeReport;
  writeFileSync(at('q.json'), JSON.stringify(report, null, 1));
  const origin = { text: 'given ids' as const, tokens: 1, ids_sha256: '' };
  writeCalibration(at('c.safetensors'), { origin, ranges: {}, second_moments: {} }, []);
  writeSafetensors(at('s.safetensors'), [], { saved_by: 'halfbyte 1' });
  for (const name of [...names, 'q.html', 'q.json', 'c.safetensors', 's.safetensors']) {
    check([name]);
    refused([name], /exists already\.\nTry this: --force/, false, [], false);
    check([name], true, [], false);
  }
});

test('a file of somebody else needs force', () => {
  for (const name of ['x.json', 'x.html', 'x.xml', 'notes.txt']) {
    writeFileSync(at(name), '{"formatVersion": 2}');
    refused([name], /halfbyte did not write it\.\nTry this: --force/);
    check([name], true);
  }
});

test('inputs and files of models are never replaced', () => {
  writeFileSync(at('corpus.json'), 'text');
  refused(['corpus.json'], /would replace its own input/, true, [at('corpus.json')]);
  mkdirSync(at('model'));
  writeFileSync(at('model/config.json'), '{}');
  refused(['model/config.json'], /is a file of the input/, true, [at('model')]);
  writeSafetensors(at('model/model.safetensors'), []);
  refused(['model/config.json'], /is a file of a checkpoint/, true);
  refused(['model/model.safetensors'], /is a file of tensors, which is never replaced/, true);
  check(['model/report.html'], false, [at('model')]);
  mkdirSync(at('package'));
  for (const name of ['halfbyte.json', 'genai_config.json']) {
    writeFileSync(at(`package/${name}`), '{"tool": {"name": "halfbyte"}}');
    refused([`package/${name}`], /is a file of a package/, true);
  }
  writeFileSync(at('m.gguf'), 'GGUF');
  refused(['m.gguf'], /is a GGUF file/, true);
});

test('links, folders and devices are never replaced', () => {
  writeFileSync(at('kept.json'), 'x');
  symlinkSync(at('kept.json'), at('link.json'));
  refused(['link.json'], /is a link, a device/, true);
  mkdirSync(at('folder.json'));
  refused(['folder.json'], /is a directory/, true);
});

test('free space: what is needed and what is free', () => {
  checkFreeSpace(join(work, 'not/yet/there'), 1, '-o out');
  assert.throws(
    () => checkFreeSpace(work, 1e18, '-o out'),
    /-o out: 1000000 TB \(1000000000000000000 bytes\) are needed, .* are free/,
  );
});

test.run();
