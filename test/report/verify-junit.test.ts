import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { verifyJunit } from '../../src/report/verify-junit.js';
import { check, hostileReport, report } from './sample-report.js';

const GATE = 'gate kl_divergence<0.02';
const ambiguous = check({ id: GATE, group: 'gate', verdict: 'ambiguous', message: 'within error', where: 'text' });
const failing = check({
  id: 'weight model.norm.weight',
  group: 'weights',
  verdict: 'fail',
  message: 'too noisy',
  measured: 3,
  limit: 12.5,
  unit: 'dB',
  where: 'model.norm.weight',
});

test('a suite for each group, a case for each check, failures with message and place', async () => {
  const xml = await verifyJunit(report({ verdict: 'fail', checks: [check(), failing, ambiguous] }));
  assert.match(xml, /<testsuites [^>]*tests="3" failures="1" errors="0" skipped="1"/);
  assert.match(xml, /<testcase classname="halfbyte.verify.integrity" name="config">/);
  assert.match(xml, /<failure message="too noisy" type="fail">/);
  assert.match(xml, /where: model\.norm\.weight\s+measured: 3 dB\s+limit: 12\.5 dB/);
  assert.match(xml, /name="gate kl_divergence&lt;0\.02 on text">\s*<skipped\/>\s*<system-out>/);
  assert.match(xml, /<property name="kl_divergence on text against engine" value="0.02"/);
  assert.not.match(xml, /time/);
});

test('under --strict an ambiguous check is a failure', async () => {
  const xml = await verifyJunit(report({ verdict: 'ambiguous', strict: true, checks: [ambiguous] }));
  assert.match(xml, /tests="1" failures="1" errors="0" skipped="0"/);
  assert.match(xml, /<failure message="within error" type="ambiguous">/);
});

test('a report without checks has one case, which is skipped', async () => {
  const xml = await verifyJunit(report({ verdict: 'ambiguous', summary: 'nothing to judge', checks: [] }));
  assert.match(xml, /tests="1" failures="0" errors="0" skipped="1"/);
});

test('the same gate on one set twice gets two names', async () => {
  const xml = await verifyJunit(report({ checks: [ambiguous, ambiguous] }));
  assert.match(xml, /on text \(2\)"/);
});

test('hostile text is text: tags stay balanced, nothing forbidden in XML 1.0 remains', async () => {
  const xml = await verifyJunit(hostileReport());
  const markup = xml.replace(/<\?xml[^>]*\?>|<!\[CDATA\[[\s\S]*?\]\]>/g, '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert.not.match(xml, /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ud800-\udfff\ufffe\uffff]/);
  assert.not.match(markup, /<img|<\/script/);
  assert.not.match(markup, /\]\]>/);
  const open: string[] = [];
  for (const [, slash, name, empty] of markup.matchAll(/<(\/?)([\w-]+)(?:\s[\w-]+="[^"<]*")*(\/?)>/g)) {
    if (empty) continue;
    if (!slash) open.push(name);
    else assert.is(open.pop(), name);
  }
  assert.equal(open, []);
  assert.is(markup.split('<').length, [...markup.matchAll(/<\/?[\w-]+(?:\s[\w-]+="[^"<]*")*\/?>/g)].length + 1);
});

test.run();
