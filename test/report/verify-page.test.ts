import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { VerifyReport } from '../../src/core/verify-report.js';
import { linearScale, logScale } from '../../src/report/verify-page/axis.js';
import { verifyPage } from '../../src/report/verify-page.js';
import { check, comparison, HOSTILE, hostileReport, report } from './sample-report.js';

/** What stands in the page's body, without tags. */
const textOf = (page: string) => page.replace(/<style>[\s\S]*?<\/style>/, '').replace(/<[^>]*>/g, ' ');
/** Elements that a parser finds: quoted attributes may hold anything but quotes. */
const ELEMENT = /<(\/?)([a-z][\w-]*)((?:\s+[\w:-]+(?:="[^"]*")?)*)\s*(\/?)>/gi;

function checkWellFormed(page: string): void {
  const body = page.replace(/<!doctype html>/, '').replace(/<style>[\s\S]*?<\/style>/, '');
  const elements = [...body.matchAll(ELEMENT)];
  assert.is(elements.length, body.split('<').length - 1, 'every < opens an element');
  const open: string[] = [];
  for (const [, slash, name, , empty] of elements) {
    if (empty || name === 'meta' || name === 'br') continue;
    if (!slash) open.push(name);
    else assert.is(open.pop(), name);
  }
  assert.equal(open, []);
}

const sections = (page: string) => [...page.matchAll(/<h2>([^<]*)<\/h2>/g)].map(([, title]) => title);

test('verdict and reason come first, then every part of the report', () => {
  const page = verifyPage(report());
  checkWellFormed(page);
  assert.match(page, /<title>PASS out\/model-int4 - halfbyte verify<\/title>/);
  assert.match(textOf(page), /✓ pass\s+out\/model-int4\s+1 checks hold\./);
  assert.equal(sections(page), [
    'Checks',
    'Error by layer',
    'Weights',
    'What the model says',
    'Divergence by position',
    'Where the two disagree',
    'Running',
    'Sizes',
    'Reproduce',
  ]);
  assert.match(page, /halfbyte verify out\/model-int4 --reference model/);
  assert.match(page, /(ab){32}/);
  assert.match(page, /1 weight is exactly the checkpoint/);
});

test('one file: nothing is loaded, nothing runs', () => {
  for (const each of [report(), hostileReport()]) {
    const page = verifyPage(each);
    assert.match(page, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
    assert.not.match(page, /<script|<link|<img|<iframe|url\(|@import|https?:/);
    for (const [, , , attributes] of page.matchAll(ELEMENT)) {
      assert.not.match(attributes.replace(/"[^"]*"/g, '""'), /\s(on\w+|src|href)=/);
    }
  }
});

test('hostile text stays text in every part, and numbers that are none do not reach coordinates', () => {
  const page = verifyPage(hostileReport());
  checkWellFormed(page);
  for (const wrong of ['\u202e', '\u001b', 'undefined', '[object']) assert.not(page.includes(wrong), wrong);
  const drawn = [...page.matchAll(/\s(?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|points|d|style)="([^"]*)"/g)];
  assert.ok(drawn.length > 50);
  for (const [, value] of drawn) assert.not.match(value, /NaN|Infinity|not a number|e-/);
  assert.ok(page.split('&lt;/script&gt;').length > 30);
  assert.ok(HOSTILE.includes('</script>'));
});

test('a failure says where and why, and opens the group that failed', () => {
  const statement = 'k_proj and v_proj are swapped';
  const page = verifyPage(
    report({
      verdict: 'fail',
      summary: 'k_proj is off',
      checks: [check(), check({ id: 'weight k', group: 'weights', verdict: 'fail', message: 'k_proj is off' })],
      localisation: {
        firstLayer: 0,
        findings: ['cosine 0.1', statement],
        worstTensors: [],
        hypotheses: [{ id: 'swapped', statement, errorIfSo: 0, errorOtherwise: 1, likely: true }],
      },
    }),
  );
  const text = textOf(page);
  assert.match(text, /Where\s+cosine 0\.1\s+Likely cause\s+k_proj and v_proj are swapped/);
  assert.is(text.split(statement).length, 2, 'said once');
  assert.is(page.split('<details class="group" open').length, 2);
  assert.match(page, /class="dot bad"[^>]*><title>layer 0 and final norm/);
});

test('gates colour the number that they judge', () => {
  const gate = (verdict: 'pass' | 'ambiguous' | 'fail') =>
    verifyPage(report({ checks: [check({ id: 'gate kl_divergence<0.02', group: 'gate', verdict, where: 'text' })] }));
  assert.match(gate('ambiguous'), /class="card warn"><b>0\.02 nats/);
  assert.match(gate('fail'), /class="card bad"><b>0\.02 nats/);
  assert.match(verifyPage(report()), /class="card "><b>0\.02 nats/);
});

test('tokens carry the divergence with which they were predicted, and say both candidates', () => {
  const page = verifyPage(report());
  assert.match(
    page,
    /<span class="k3 other" title="after position 1: KL 0\.05; reference ␣dog 40 %, package ␣cat 45 %"> dog<\/span>/,
  );
  assert.match(page, /<span class="dim">&lt;s&gt;<\/span><span class="k0" title="after position 0: KL 0\.001"> the/);
});

test('without what a report may lack, its parts are left out', () => {
  const { sizes, ...subject } = report().subject;
  const { tokens: _, ...withoutIds } = report();
  const bare: Partial<VerifyReport> = { comparisons: [], decode: [], layers: [], tensors: [] };
  const page = verifyPage({
    ...withoutIds,
    ...bare,
    checks: [],
    subject: { ...subject, files: [], weightBytes: null },
  });
  checkWellFormed(page);
  assert.equal(sections(page), ['Checks', 'Reproduce']);
  const noIds = verifyPage(withoutIds);
  checkWellFormed(noIds);
  assert.not.match(noIds, /In the text/);
});

test('a long text is cut to the sequences with the most divergence', () => {
  const lengths = Array.from({ length: 40 }, () => 64);
  const sequences = lengths.map((_, index) => Array.from({ length: 64 }, (_, at) => (at === 0 ? 1000 + index : 7)));
  const kl = lengths.flatMap((length, index) => Array.from({ length }, () => (index === 33 ? 0.5 : 0.001)));
  const page = verifyPage(
    report({
      comparisons: [comparison({ sequences: 40, tokens: kl.length, lengths, kl, disagreements: [], differing: [] })],
      tokens: { sets: [{ name: 'text', sequences }], texts: {} },
    }),
  );
  assert.match(page, /16 of 40 sequences, those with the most divergence/);
  assert.match(page, /#1033 /);
  assert.not.match(page, /#1020 /);
});

test('scales: ticks are round, ends are inside the plot, zero has a place on both', () => {
  const linear = linearScale(0.27, 10, 100);
  assert.equal(linear.ticks, [0, 0.1, 0.2, 0.3]);
  assert.equal([linear.y(0), linear.y(0.3), linear.y(99)], [110, 10, 10]);
  assert.equal(linearScale(0, 0, 100).ticks, [0, 0.2, 0.4, 0.6, 0.8, 1]);
  const log = logScale(2e-5, 0.3, 0, 100);
  assert.equal(log.ticks, [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]);
  assert.equal([log.y(0), log.y(1e-5), log.y(1)], [100, 100, 0]);
});

test.run();
