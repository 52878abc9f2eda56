import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { onTerminal, whyNoTerminal } from './terminal.js';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-terminal-'));
const out = (name: string) => join(work, name);
test.after(() => rmSync(work, { recursive: true }));

const why = whyNoTerminal();
if (why) console.log(why);
const check: typeof test.skip = why ? test.skip : test;

/** In this order: later ones take what earlier ones wrote. */
const commands: [name: string, args: (columns: number) => string[], shows: RegExp[]][] = [
  [
    'convert',
    (n) => [fixture('union-1.8m'), '-o', out(`package-${n}`)],
    [/^.*package-\d+: 1\.77 million parameters, .* bits per weight; package 1\.3\d MB, [\d.]+ s$/],
  ],
  [
    'convert',
    (n) => [fixture('llama-hd8'), '-o', out(`npu-${n}`), '--target', 'qnn', '--activations', 'uint16'],
    [/^calibrated on \d+ tokens of pseudo-random ids; for better ranges/, /^.*npu-\d+: 0\.15 million parameters, /],
  ],
  [
    'quantize',
    (n) => [fixture('union-1.8m'), '-o', out(`gptq-${n}`), '--layout', 'gptq'],
    [/^gptq: \d+ tensors: .* quantized/, /^.*gptq-\d+, [\d.]+ s$/],
  ],
  [
    'convert',
    (n) => [fixture('llama-hd8'), '-o', out(`parts-${n}`), '--shard', '1/1'],
    [/^shard 1\/1 is written; when every shard is/],
  ],
  ['merge', (n) => [out(`parts-${n}`)], [/^.*parts-\d+: [\d.]+ kB, [\d.]+ s$/]],
  [
    'calibrate',
    (n) => [fixture('union-1.8m'), '-o', out(`c-${n}`), '--tokens', '600'],
    [/^.*c-\d+: \d+ ranges and second moments of \d+ matrices from 600 tokens/],
  ],
  ['verify', (n) => [out(`package-${n}`), '--reference', fixture('union-1.8m')], [/pass/i]],
  ['inspect', (n) => [out(`package-${n}`)], [/^.*package-\d+: package of halfbyte/, /^model\.onnx: /]],
  [
    'generate',
    (n) => [out(`package-${n}`), '-p', 'My fellow', '--greedy', '--max-new-tokens', '8'],
    [/^8 new tokens, [\d.]+ tokens\/s; prompt of/],
  ],
  [
    'bench',
    (n) => [out(`package-${n}`), '--prompt-tokens', '4', '--new-tokens', '4', '--runs', '1'],
    [/decode of 4, tokens\/s/, /peak memory, MiB/],
  ],
];

for (const columns of [80, 44]) {
  for (const [name, args, shows] of commands) {
    check(`${name} at ${columns} columns: the result stays on the screen, the bar does not`, async () => {
      const env = columns === 44 ? { NO_COLOR: '1' } : undefined;
      const words = [name, ...args(columns)];
      const { code, lines, sent, isCursorVisible } = await onTerminal(words, { columns, env });
      const screen = lines.join('\n');
      assert.is(code, 0, screen);
      for (const text of shows)
        assert.ok(
          lines.some((line) => text.test(line)),
          `${text} is not in:\n${screen}`,
        );
      assert.not.match(screen, /\[[=-]{8,}\]|\d% {2}/, 'the bar is gone');
      assert.ok(isCursorVisible, 'the cursor is back');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what colours begin with
      if (env) assert.not.match(sent, /\u001b\[[\d;]*m/, 'no colours');
    });
  }
}

check('an error on a terminal stands alone', async () => {
  const { code, lines } = await onTerminal(['convert', fixture('llama-hd8'), '-o', fixture('llama-hd8')], {
    columns: 44,
  });
  assert.is(code, 2);
  assert.match(
    lines.join('\n'),
    /^\S*llama-hd8: the output would replace its own input .*\nTry this: another directory as -o\.$/,
  );
});

test.run();
