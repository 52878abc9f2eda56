import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { find, ids, type RegistryFolder, unknownId } from '../src/registry.js';

test('ids are the names of the files, sorted', () => {
  const listed = ids('architectures');
  assert.ok(listed.includes('llama') && listed.includes('qwen2'));
  assert.equal(listed, [...listed].sort());
});

test('find loads the entry of an id', async () => {
  const llama = await find('architectures', 'llama');
  assert.is(llama?.example.model_type, 'llama');
});

test('an id that the listing does not hold loads nothing, whatever it says', async () => {
  const hostile = [
    'nope',
    '',
    '.',
    '..',
    '../registry',
    '../core/graph',
    'llama.ts',
    './llama',
    '__proto__',
    'llama\0',
  ];
  for (const id of hostile) assert.is(await find('architectures', id), undefined, JSON.stringify(id));
});

test('a folder that does not exist is empty', () => {
  assert.equal(ids('no-such-folder' as RegistryFolder), []);
});

test('unknownId lists what there is and what was probably meant', () => {
  const text = unknownId('architectures', 'qwen22');
  assert.match(text, /^unknown architecture "qwen22"; known are .*llama, .*qwen2, /);
  assert.match(text, /Did you mean "qwen2"\?$/);
  assert.not.match(unknownId('architectures', 'something else entirely'), /Did you mean/);
});

test('unknownId shows long and unprintable ids harmlessly', () => {
  const text = unknownId('architectures', `\u001b[2J${'x'.repeat(5000)}`);
  assert.ok(text.length < 1000);
  assert.not.ok(text.includes('\u001b'));
});

test.run();
