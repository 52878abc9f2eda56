import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { heatMap, heatStep } from '../../src/report/page/heat-map.js';
import { histogram } from '../../src/report/page/histogram.js';
import { escapeText, html } from '../../src/report/page/markup.js';
import { page } from '../../src/report/page/page.js';
import { table } from '../../src/report/page/table.js';

test('text is escaped wherever it comes in, markup is not, and what is absent leaves nothing', () => {
  const bold = html`<b title="${'"x"'}">${'<i>&'}</b>`;
  assert.is(bold.text, '<b title="&quot;x&quot;">&lt;i&gt;&amp;</b>');
  assert.is(html`${bold}${null}${false}${undefined}${[1, ' ', bold]}`.text, `${bold.text}1 ${bold.text}`);
  assert.is(escapeText('a\u202eb\u0000c\u001b'), 'a\\u202eb\\u0000c\\u001b');
});

test('no text can open a tag, close an attribute or be a control character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const { text: written } = html`<p title="${text}">${text}</p>`;
      const inner = written.slice(10, -4);
      assert.not.match(inner.replace('">', ''), /[<>"']/);
      for (const each of escapeText(text)) assert.ok(each >= ' ' || '\t\n\r'.includes(each));
    }),
  );
});

test('a page is one file that loads and runs nothing', () => {
  const map = heatMap({
    rows: ['<script>', 'b'],
    columns: ['0', '1'],
    columnTitle: 'layer',
    cell: (row, column) =>
      row === 1 && column === 1 ? null : { value: row === 0 ? 10 + column : Infinity, text: 'v', title: 'a "cell"' },
    worst: 10,
    best: 20,
    format: String,
    unlimited: 'exact',
  });
  const text = page({
    title: '<script>alert(1)</script>',
    figures: [{ value: '1', label: 'x', tone: 'bad' }],
    sections: [
      { title: 'one', body: map },
      { title: 'two', body: table(['a', 'b'], [['<x>', { content: 1, tone: 'bad' }]]) },
      {
        title: 'three',
        body: histogram({ from: -1, to: 1, before: [1, 4], after: [4, 1], ticks: [0], axis: 'w', title: '' }),
      },
    ],
  });
  assert.match(text, /^<!doctype html>/);
  assert.not.match(text, /<script|<link|<img|src=|href=|url\(|@import|http:|https:/);
  assert.match(text, /Content-Security-Policy" content="default-src 'none'/);
  assert.is(text.split('class="cell exact"').length - 1, 1);
  assert.is(text.split('class="empty"').length - 1, 1);
  assert.not.match(text, /NaN|undefined|\[object/);
});

test('colours: the worst and what is no number get the first, the best the last, in either direction', () => {
  assert.equal(
    [10, 5, Number.NaN, 20, 99, Infinity, 15].map((x) => heatStep(x, 10, 20)),
    [0, 0, 0, 8, 8, 8, 4],
  );
  assert.equal(
    [20, 10, 5].map((x) => heatStep(x, 20, 10)),
    [0, 8, 8],
  );
});

test.run();
