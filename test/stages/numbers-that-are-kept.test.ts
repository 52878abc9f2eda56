import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import { rejects } from '../rejects.js';
import { dressingRoom } from './checkpoints.js';
import { llamaConfig, llamaTensors, type Stored, writeCheckpoint } from './written-checkpoint.js';

const room = dressingRoom();
let count = 0;
const BAD = 'model.layers.1.mlp.down_proj';
const bytes = (floats: number[]) => new Uint8Array(Float32Array.from(floats).buffer);

/** A llama whose matrices are stored by `dress`, one byte of `BAD` changed by `spoil`. */
function written(
  settings: Parameters<typeof writeCheckpoint>[1],
  dress: (module: string, shape: [number, number]) => Record<string, Stored>,
): string {
  const config = llamaConfig(2, { quantization_config: settings });
  return writeCheckpoint(join(room.work, `in-${count++}`), config, llamaTensors(2, dress));
}

const fp8 = (code: number, scale: number) =>
  written({ quant_method: 'fp8', fmt: 'e4m3', weight_block_size: [32, 32] }, (module, [rows, cols]) => {
    const codes = new Uint8Array(rows * cols).fill(0x38);
    const scales = new Array((rows / 32) * (cols / 32)).fill(1);
    if (module === BAD) {
      codes[cols + 3] = code;
      scales[1] = scale;
    }
    return {
      [`${module}.weight`]: { dtype: 'F8_E4M3', shape: [rows, cols], data: codes },
      [`${module}.weight_scale_inv`]: { dtype: 'F32', shape: [rows / 32, cols / 32], data: bytes(scales) },
    };
  });

const fp4 = (scaleByte: number, global: number | undefined, isMx: boolean) => {
  const group = isMx ? 32 : 16;
  const format = isMx ? 'mxfp4-pack-quantized' : 'nvfp4-pack-quantized';
  return written({ quant_method: 'compressed-tensors', format, config_groups: {} }, (module, [rows, cols]) => {
    const scales = new Uint8Array((rows * cols) / group).fill(isMx ? 120 : 0x38);
    if (module === BAD) scales[cols / group + 1] = scaleByte;
    return {
      [`${module}.weight_packed`]: { dtype: 'U8', shape: [rows, cols / 2] },
      [`${module}.weight_scale`]: { dtype: isMx ? 'U8' : 'F8_E4M3', shape: [rows, cols / group], data: scales },
      ...(isMx
        ? {}
        : {
            [`${module}.weight_global_scale`]: {
              dtype: 'F32' as const,
              shape: [1],
              data: bytes([module === BAD ? (global ?? 1) : 1]),
            },
          }),
    };
  });
};

test('codes and scales that are copied are refused where they stand for no finite number', async () => {
  const keeps = async (dir: string, weights: string) =>
    (await room.quantize(dir, { layout: 'compressed_tensors', weights }, { errors: false })).tensors.some(
      ({ fate }) => fate === 'keeps',
    );
  assert.ok(await keeps(fp8(0x7e, 1), 'fp8_e4m3'));
  assert.ok(await keeps(fp4(0x7e, 1, false), 'nvfp4'));
  assert.ok(await keeps(fp4(0xfe, undefined, true), 'mxfp4'));
  const bad: [string, string, RegExp][] = [
    [fp8(0x7f, 1), 'fp8_e4m3', /row 1, column 3/],
    [fp8(0xff, 1), 'fp8_e4m3', /row 1, column 3/],
    [fp8(0x38, Number.POSITIVE_INFINITY), 'fp8_e4m3', /row 0, column 32/],
    [fp8(0x38, Number.NaN), 'fp8_e4m3', /row 0, column 32/],
    [fp4(0x7f, 1, false), 'nvfp4', /row 1, column 16/],
    [fp4(0xff, 1, false), 'nvfp4', /row 1, column 16/],
    [fp4(0x38, 0, false), 'nvfp4', /row 0, column 0/],
    [fp4(0xff, undefined, true), 'mxfp4', /row 1, column 32/],
  ];
  for (const [dir, weights, place] of bad) {
    await rejects(keeps(dir, weights), InvalidInputError, /down_proj\.weight" holds .*must be finite/, place);
  }
});

test('scales that float16 does not hold are refused by name, in every layout that stores them so; groups of zeros are not', async () => {
  const tensors = (value: number) => {
    const all = llamaTensors(2);
    const data = new Float32Array(64 * 128).fill(0.5);
    data.fill(value, 2 * 128 + 32, 2 * 128 + 64);
    all[`${BAD}.weight`] = { dtype: 'F32', shape: [64, 128], data: new Uint8Array(data.buffer) };
    return writeCheckpoint(join(room.work, `in-${count++}`), llamaConfig(), all);
  };
  const [tiny, huge, zero] = [1e-9, 1e7, 0].map(tensors);
  for (const layout of ['gptq', 'gptq_v2', 'awq', 'compressed_tensors', 'mlx']) {
    const request = { layout, groupSize: '32', scales: 'f16' as const };
    await rejects(
      room.quantize(tiny, request),
      InvalidInputError,
      /down_proj\.weight".*row 2, column 32.*too small for float16/,
    );
    await rejects(
      room.quantize(huge, request),
      InvalidInputError,
      /down_proj\.weight".*row 2, column 32.*too large for float16/,
    );
    assert.ok((await room.quantize(zero, request)).checkpoint);
  }
  for (const layout of ['gptq', 'compressed_tensors']) {
    for (const dir of [tiny, huge]) {
      assert.ok((await room.quantize(dir, { layout, groupSize: '32', scales: 'bf16' })).checkpoint, layout);
    }
  }
});

test.after(room.remove);
test.run();
