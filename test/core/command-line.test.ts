import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { commandLine } from '../../src/core/command-line.js';

test('words are quoted where a shell would read something into them', () => {
  assert.is(commandLine(['out', '--gate', 'kl_divergence<0.02', "it's"]), `out --gate 'kl_divergence<0.02' 'it'\\''s'`);
  assert.is(commandLine(['']), "''");
  assert.is(commandLine(['--ids=1,2', './a-b_c/d:e@f+g%']), '--ids=1,2 ./a-b_c/d:e@f+g%');
  assert.is(commandLine(['a b', '$HOME', '~', 'x;y', '*']), "'a b' '$HOME' '~' 'x;y' '*'");
});

test('hidden flags go with their values, and no word after --', () => {
  const hidden = { report: 'value', json: 'flag' } as const;
  const words = ['out', '--report', 'a.html', '--json', '--report=b.xml', '--strict', '--', '--json'];
  assert.is(commandLine(words, hidden), 'out --strict -- --json');
});

test.run();
