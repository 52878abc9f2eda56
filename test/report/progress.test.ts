import { Writable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatBytes, formatParameters } from '../../src/core/bytes.js';
import { showProgress } from '../../src/report/progress.js';

class Terminal extends Writable {
  text = '';
  columns = 100;
  constructor(readonly isTTY: boolean) {
    super();
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void) {
    this.text += chunk.toString();
    done();
  }
  // What cli-progress calls on a terminal.
  cursorTo() {}
  clearLine() {}
  moveCursor() {}
}

function show(isTTY: boolean, title = 'Converting') {
  const terminal = new Terminal(isTTY);
  let time = 0;
  const stream = terminal as unknown as NodeJS.WriteStream;
  const display = showProgress(title, { stream, now: () => time });
  const step = (seconds: number, done: number, label = 'a.weight', stage = 'weights', unit?: string) => {
    time = seconds * 1000;
    display.listener({ stage, done, total: unit === undefined ? 10e6 : 64, unit, label });
  };
  return { terminal, display, step };
}

test('off a terminal: a line every three seconds, with bytes, speed and time left', () => {
  const { terminal, display, step } = show(false);
  for (let second = 0; second <= 8; second++) step(second, second * 1e6);
  display.clear();
  assert.equal(terminal.text.split('\n'), [
    'Converting: weights 30%, 3.00 MB of 10.0 MB, 1 MB/s, 7 s left  a.weight',
    'Converting: weights 60%, 6.00 MB of 10.0 MB, 1 MB/s, 4 s left  a.weight',
    '',
  ]);
});

test('off a terminal: short work says nothing', () => {
  const { terminal, display, step } = show(false);
  step(0, 0);
  step(2.9, 10e6);
  display.clear();
  assert.is(terminal.text, '');
});

test('work that is not counted in bytes', () => {
  const { terminal, step } = show(false);
  step(0, 0, 'a.txt', 'perplexity', 'windows');
  step(4, 16, 'a.txt', 'perplexity', 'windows');
  assert.is(terminal.text, 'Converting: perplexity 25%, 16 of 64 windows, 4.0 a second, 12 s left  a.txt\n');
});

test('bytes that an earlier run did count as done, not as speed', () => {
  const { terminal, step } = show(false);
  step(0, 8e6);
  step(4, 9e6);
  assert.match(terminal.text, /90%, 9\.00 MB of 10\.0 MB, 0 MB\/s, 4 s left/);
});

test('labels cannot command the terminal', () => {
  const { terminal, step } = show(false);
  step(0, 0);
  step(4, 5e6, 'a\u001b[2J\nb');
  assert.match(terminal.text, /a\\x1b\[2J\\nb\n$/);
});

test('on a terminal: a bar that fits the line and leaves nothing behind', () => {
  const { terminal, display, step } = show(true);
  step(0, 0);
  step(1, 5e6, 'x'.repeat(300));
  display.clear();
  display.clear();
  assert.match(terminal.text, /Converting \[-{24}\] 0%/);
  assert.match(terminal.text, /\[={12}-{12}\] 50% {2}5\.00 MB of 10\.0 MB, 5 MB\/s, 1 s left {2}x+/);
  const drawn = terminal.text.split('\u001b').flatMap((text) => text.split(/[\r\n]/));
  const longest = Math.max(...drawn.map((text) => text.replace(/^\[[\d;?]*[A-Za-z]/, '').length));
  assert.ok(longest < 100, `${longest} columns`);
  assert.not.match(terminal.text, /\n/);
});

test('sizes have three digits', () => {
  const sizes: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [9_996, '10.0 kB'],
    [99_960, '100 kB'],
    [999_600, '1.00 MB'],
    [1.234e9, '1.23 GB'],
    [5e15, '5000 TB'],
  ];
  for (const [bytes, text] of sizes) assert.is(formatBytes(bytes), text);
});

test('parameters are told in millions and billions', () => {
  const counts: [number, string][] = [
    [150_000, '0.15 million parameters'],
    [999_990_000, '999.99 million parameters'],
    [999_996_000, '1.00 billion parameters'],
    [671e9, '671.00 billion parameters'],
  ];
  for (const [count, text] of counts) assert.is(formatParameters(count), text);
});

test.run();
