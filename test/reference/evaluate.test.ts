import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InterruptedError, InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { Graph } from '../../src/core/graph.js';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluate } from '../../src/reference/evaluate.js';
import { difference, noise, rowsOf } from './calls.js';

const [vocabulary, hidden] = [300_000, 8];

/** Embedding, one attention and a head with a softcap; the head uses its input twice and a gate beside the logits. */
function draw(extraOutput = false): Graph {
  const names = ['table', 'gamma', 'head', 'cos', 'sin'];
  const g = new GraphBuilder('decoder', Object.fromEntries(names.map((name) => [name, name])));
  const ids = g.input('input_ids', 'INT64', ['batch_size', 'sequence_length']);
  const x = g.hidden(
    g.node('Embedding', 'embed', [ids, g.weight('table', [vocabulary, hidden], 'embedding')], {}, hidden),
  );
  const tables = [g.weight('cos', [16, 2]), g.weight('sin', [16, 2])];
  const turned = g.node('Rotary', 'rotary', [x, ...tables], { heads: 2, head_dim: 4, rotary_dim: 4 }, hidden);
  const form = { layer: 0, heads: 2, kv_heads: 2, head_dim: 4, v_head_dim: 4, scale: { float: 0.5 }, window: 0 };
  const attended = g.node('Attention', 'attention', [turned, turned, x], form, hidden);
  const sum = g.node('Add', 'add', [x, attended], {}, hidden);
  const gamma = g.weight('gamma', [hidden], 'float');
  const y = g.hidden(g.node('RmsNorm', 'norm', [sum, gamma], { epsilon: { float: 1e-5 } }, hidden));
  const logits = g.node('Linear', 'head', [y, g.weight('head', [vocabulary, hidden], 'lm_head')], {}, vocabulary);
  const capped = g.node('Softcap', 'cap', [logits], { cap: { float: 2 } }, vocabulary);
  g.output('logits', g.node('Add', 'twice', [logits, capped], {}, vocabulary));
  if (extraOutput) g.output('state', sum);
  return g.finish();
}

const stored: Record<string, ReturnType<typeof rowsOf>> = {
  table: rowsOf(noise(vocabulary * hidden, 1), hidden),
  head: rowsOf(noise(vocabulary * hidden, 2), hidden),
  gamma: rowsOf(noise(hidden, 3), hidden),
  cos: rowsOf(
    Array.from({ length: 32 }, (_, i) => Math.cos(i >> 1)),
    2,
  ),
  sin: rowsOf(
    Array.from({ length: 32 }, (_, i) => Math.sin(i >> 1)),
    2,
  ),
};
const weights = (name: string) => stored[name];
const sequences = [[5, 299_999, 17, 5, 0], [1], [250_000, 3, 9]];

test('a batch of unequal sequences gives what each gives alone', async () => {
  const together = await evaluate(draw(), weights, sequences, { keepHiddenStates: true });
  assert.is(together.logits.length, 9 * vocabulary);
  assert.is(together.hiddenStates.length, 2);
  let at = 0;
  for (const sequence of sequences) {
    const alone = await evaluate(draw(), weights, [sequence], { keepHiddenStates: true });
    const part = (all: Float32Array, width: number) => all.subarray(at * width, (at + sequence.length) * width);
    assert.ok(difference(alone.logits, part(together.logits, vocabulary)) < 1e-5);
    assert.ok(difference(alone.hiddenStates[1], part(together.hiddenStates[1], hidden)) < 1e-5);
    at += sequence.length;
  }
});

test('rows told one by one, in blocks of tokens, are the logits', async () => {
  const long = [
    Array.from({ length: 16 }, (_, i) => i * 11),
    ...Array.from({ length: 9 }, (_, i) => [
      i,
      ...noise(14, i)
        .map(Math.abs)
        .map((x) => Math.floor(x * vocabulary)),
    ]),
  ];
  const whole = await evaluate(draw(), weights, long);
  const seen: string[] = [];
  let [row, worst] = [0, 0];
  stored.head.read.length = 0;
  const told = await evaluate(draw(), weights, long, {
    onLogits(sequence, position, logits) {
      seen.push(`${sequence}:${position}`);
      worst = Math.max(worst, difference(logits, whole.logits.subarray(row * vocabulary, ++row * vocabulary)));
    },
  });
  assert.is(told.logits.length, 0);
  assert.ok(worst < 1e-5, `off by ${worst}`);
  assert.equal(
    seen,
    long.flatMap((ids, sequence) => ids.map((_, position) => `${sequence}:${position}`)),
  );
  const passes = stored.head.read.filter(([from]) => from === 0).length;
  assert.is(passes, 3, '151 tokens of 300,000 logits take three blocks of at most 55');
});

test('another output beside the logits keeps the head in one piece', async () => {
  let rows = 0;
  const { outputs } = await evaluate(draw(true), weights, sequences, { onLogits: () => rows++ });
  assert.is(rows, 9);
  assert.is(outputs.state.length, 9 * hidden);
});

test('values, hidden states and progress are told in order', async () => {
  const values: string[] = [];
  const hiddenStates: number[] = [];
  let last = { done: 0, total: 1 };
  await evaluate(draw(), weights, sequences, {
    onValue: (_, data, width, node) => {
      assert.is(data.length, 9 * width);
      values.push(node.op);
    },
    onHidden: (index) => {
      hiddenStates.push(index);
    },
    onLogits: () => {},
    onProgress: (progress) => {
      assert.ok(progress.done >= last.done);
      last = progress;
    },
  });
  assert.equal(values, ['Embedding', 'Rotary', 'Attention', 'Add', 'RmsNorm']);
  assert.equal(hiddenStates, [0, 1]);
  assert.is(last.done, last.total);
  assert.is(last.total, 4 * (hidden + vocabulary * hidden));
});

test('whatever was opened is closed, also after a failure', async () => {
  const open = new Map<string, number>();
  const counted = (name: string) => {
    open.set(name, (open.get(name) ?? 0) + 1);
    return {
      ...stored[name],
      readFloat32(from: number, count: number, out: Float32Array) {
        if (name === 'head') throw new Error('unreadable');
        return stored[name].readFloat32(from, count, out);
      },
      close: () => {
        open.set(name, open.get(name)! - 1);
      },
    };
  };
  await refused(() => evaluate(draw(), counted, sequences), Error, 'unreadable');
  assert.equal([...open.values()], [0, 0, 0, 0, 0]);
});

test('a graph may take activations as inputs', async () => {
  const g = new GraphBuilder('tail', {});
  g.output('logits', g.node('Scale', 'scale', [g.input('state', 'FLOAT', ['b', 's', 3])], { factor: 2 }, 3));
  const { logits } = await evaluate(g.finish(), weights, [[0, 1]], {
    inputs: { state: Float32Array.of(1, 2, 3, 4, 5, 6) },
  });
  assert.equal([...logits], [2, 4, 6, 8, 10, 12]);
});

async function refused(call: () => Promise<unknown>, kind: new (...args: never[]) => Error, text: string | RegExp) {
  const error = await call().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, kind);
  assert.match((error as Error).message, text);
}

test('errors name what does not fit', async () => {
  const bad = (ids: number[][]) => () => evaluate(draw(), weights, ids);
  await refused(
    bad([
      [1, 2],
      [3, 300_000],
    ]),
    UsageError,
    'Token id 300000 at position 1 of sequence 1',
  );
  await refused(bad([[1.5]]), UsageError, 'Token id 1.5');
  await refused(bad([[1], []]), UsageError, 'Sequence 1 has no token ids');
  await refused(bad([Array.from({ length: 17 }, () => 1)]), UsageError, '17 tokens; the rotary tables end at 16');
  const narrow = (name: string) => (name === 'gamma' ? rowsOf(noise(7, 1), 7) : stored[name]);
  await refused(() => evaluate(draw(), narrow, sequences), InvalidInputError, '"gamma" is [1, 7]; the model draws [8]');
  const signal = AbortSignal.abort();
  await refused(() => evaluate(draw(), weights, sequences, { signal }), InterruptedError, 'Stopped');
});

test.run();
