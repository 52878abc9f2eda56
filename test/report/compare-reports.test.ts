import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { VerifyReport } from '../../src/core/verify-report.js';
import { compareReports } from '../../src/report/compare-reports.js';
import { compareText } from '../../src/report/compare-text.js';
import { check, comparison, hostileReport, report } from './sample-report.js';

const compare = (before: VerifyReport, after: VerifyReport) =>
  compareReports({ file: 'before.json', report: before }, { file: 'after.json', report: after });

test('equal reports: nothing changed', () => {
  const found = compare(report(), report());
  assert.equal(
    [found.isWorse, found.checks, found.settings, found.tensors, found.incomparable],
    [false, [], [], [], []],
  );
  assert.is(found.sameChecks, 1);
  assert.ok(found.metrics.every(({ difference, isWithin }) => difference === 0 && isWithin));
  assert.match(compareText(found), /^PASS in both/);
  assert.match(compareText(found), /text against engine: all metrics are equal/);
});

test('a worse verdict is worse, a better one is not', () => {
  const [pass, ambiguous, fail] = (['pass', 'ambiguous', 'fail'] as const).map((verdict) => report({ verdict }));
  assert.equal(
    [compare(pass, fail), compare(pass, ambiguous), compare(ambiguous, fail)].map((each) => each.isWorse),
    [true, true, true],
  );
  assert.equal(
    [compare(fail, pass), compare(fail, fail), compare(ambiguous, pass)].map((each) => each.isWorse),
    [false, false, false],
  );
});

test('checks that changed, came and went; a changed place of the finding is no other check', () => {
  const before = [check(), check({ id: 'gone' }), check({ id: 'structure text', where: 'position 1' })];
  const after = [
    check({ verdict: 'fail', message: 'now wrong' }),
    check({ id: 'new' }),
    check({ id: 'structure text', where: 'position 9' }),
  ];
  const { checks, sameChecks } = compare(report({ checks: before }), report({ checks: after }));
  assert.equal(
    checks.map(({ name, before, after }) => [name, before, after]),
    [
      ['config', 'pass', 'fail'],
      ['new', null, 'pass'],
      ['gone', 'pass', null],
    ],
  );
  assert.is(checks[0].message, 'now wrong');
  assert.is(sameChecks, 1);
});

test('metrics: within the intervals only where each value lies in the other interval', () => {
  const kl = (value: number, low: number, high: number) =>
    report({
      comparisons: [
        comparison({
          metrics: [{ id: 'kl_divergence', value, interval: { low, high }, unit: 'nats', better: 'lower' }],
        }),
      ],
    });
  const of = (before: VerifyReport, after: VerifyReport) => {
    const [{ difference, isWithin, isWorse }] = compare(before, after).metrics;
    return [Number(difference.toFixed(6)), isWithin, isWorse];
  };
  assert.equal(of(kl(0.02, 0.01, 0.04), kl(0.03, 0.015, 0.05)), [0.01, true, true]);
  assert.equal(of(kl(0.02, 0.01, 0.04), kl(0.03, 0.028, 0.032)), [0.01, false, true]);
  assert.equal(of(kl(0.03, 0.028, 0.032), kl(0.01, 0.005, 0.015)), [-0.02, false, false]);
  assert.is(of(kl(0.03, 0.02, 0.04), kl(Number.NaN, Number.NaN, Number.NaN))[2], true);
});

test('other token ids are not compared', () => {
  const tokens = {
    sets: [
      {
        name: 'text',
        sequences: [
          [1, 7, 4],
          [1, 7],
        ],
      },
    ],
    texts: {},
  };
  const { metrics, incomparable } = compare(report(), report({ tokens }));
  assert.equal([metrics, incomparable], [[], ['text against engine: the token ids are not the same']]);
  const { incomparable: gone } = compare(report(), report({ comparisons: [] }));
  assert.equal(gone, ['text against engine: only in the first report']);
});

test('sizes, settings and weights, most lost first; exact weights have no number', () => {
  const base = report();
  const [down, norm] = base.tensors;
  const after = report({
    subject: {
      ...base.subject,
      weightBytes: 500,
      bitsPerWeight: 4,
      sizes: [{ scheme: 'int3', weights: 2, parameters: 900, nbytes: 443 }],
    },
    tensors: [
      { ...down, sqnrDb: 15.5, scheme: 'int3' },
      { ...norm, sqnrDb: 60 },
    ],
    provenance: { ...base.provenance, options: { target: 'qnn' } },
  });
  const found = compare(base, after);
  assert.equal(found.settings, [{ name: 'options.target', before: 'cpu', after: 'qnn' }]);
  assert.equal(
    found.tensors.map(({ name, sqnrDb }) => [name, sqnrDb.before, sqnrDb.after]),
    [
      ['model.norm.weight', null, 60],
      ['model.layers.0.mlp.down_proj.weight', 21.5, 15.5],
    ],
  );
  assert.equal(
    found.sizes.map(({ name, before, after }) => [name, before, after]),
    [
      ['int3', null, 443],
      ['weights', 620, 500],
      ['files', 3000, 3000],
      ['int4 group 32', 563, null],
      ['f32', 57, null],
    ],
  );
  const text = compareText(found);
  assert.match(text, /int4 group 32 -> int3/);
  assert.match(text, /exact -> 60\.00 dB/);
  assert.match(text, /-120 B \(-19\.4 %\)/);
});

test('hostile names reach the terminal without control characters', () => {
  const text = compareText(compare(report(), hostileReport()));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert.not.match(text, /[\u0000-\u0008\u000b-\u001f\u202e]/);
});

test.run();
