import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { table } from '../../src/report/table.js';

const head = ['worst', 'SQNR dB', 'cosine', ''];
const rows = [
  ['model.layers.0.mlp.down_proj.weight', '22.9', '0.99743', 'nats'],
  ['norm', '27.2', '0.99905', ''],
];
const drawn = (columns?: number) => table(head, rows, columns).join('\n');
const widest = (text: string) => Math.max(...text.split('\n').map((line) => line.length));

test('as wide as the terminal lets it be: with a frame, without one, as paragraphs', () => {
  const framed = drawn(200);
  assert.match(framed, /^┌─+┬/);
  assert.is(drawn(), framed);
  const plain = drawn(widest(framed) - 1);
  assert.match(
    plain,
    /^worst +SQNR dB +cosine\nmodel\.layers\.0\.mlp\.down_proj\.weight +22\.9 +0\.99743 +nats\nnorm +27\.2 +0\.99905$/,
  );
  assert.ok(widest(plain) < widest(framed));
  assert.equal(table(head, rows, 44), [
    'worst',
    'model.layers.0.mlp.down_proj.weight',
    '  SQNR dB 22.9, cosine 0.99743, nats',
    'norm',
    '  SQNR dB 27.2, cosine 0.99905',
  ]);
  assert.ok(widest(drawn(36)) <= 36);
});

test.run();
