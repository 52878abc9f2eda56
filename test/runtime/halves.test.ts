import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadOnnxRuntime } from '../../src/runtime/onnxruntime.js';

// A file of its own: onnxruntime-common decides with the first tensor of the process.
test('float16 tensors hold Uint16Array where the engine has a Float16Array, which stays', async () => {
  const holder = globalThis as { Float16Array?: unknown };
  const native = holder.Float16Array;
  class Halves extends Uint16Array {}
  if (native === undefined) holder.Float16Array = Halves;
  try {
    const { Tensor } = await loadOnnxRuntime();
    const halves = Uint16Array.of(0x3c00, 0xc000);
    const { data } = new Tensor('float16', halves, [2]);
    assert.ok(data instanceof Uint16Array && !(data instanceof Halves));
    assert.is(data as unknown, halves);
    assert.is(holder.Float16Array, native ?? Halves);
  } finally {
    if (native === undefined) delete holder.Float16Array;
  }
});

test.run();
