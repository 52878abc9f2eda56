import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { find, ids } from '../../src/registry.js';
import { randomNumbers } from '../random-checkpoint.js';
import { sameAsTwin, stored } from './twin.js';

// Every combination of settings that a scheme of the registry accepts, so that no kernel is without its twin. The files
// beside this one try each kernel with values of all kinds; here a matrix of ordinary ones is enough.

const DTYPES: Dtype[] = ['BF16', 'F16', 'F32'];
const EXTENTS: Partial<QuantizationArgs>[] = [
  ...[16, 32, 64, 128, 256].map((group_size) => ({ strategy: 'group' as const, group_size })),
  { strategy: 'channel' },
  { strategy: 'tensor' },
  { strategy: 'block', block_structure: [128, 128] },
];

/** All settings that differ in a way that a scheme may look at; those that it refuses are left out. */
async function settingsOf(id: string): Promise<QuantizationArgs[]> {
  const scheme = (await find('schemes', id))!;
  const all = EXTENTS.flatMap((extent) =>
    [true, false].flatMap((symmetric) =>
      [undefined, true].flatMap((signed) =>
        (['F32', 'F16', 'BF16', 'F8_E8M0', 'F8_E4M3'] as const).flatMap((scale_dtype) =>
          (['rtn', 'mse', 'kquant', 'hqq'] as const).flatMap((algorithm) =>
            [undefined, 40].map((amax): QuantizationArgs => {
              const given = { signed, amax };
              const stated = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
              return { scheme: id, ...extent, symmetric, scale_dtype, algorithm, ...stated } as QuantizationArgs;
            }),
          ),
        ),
      ),
    ),
  );
  return all.filter((args) => {
    try {
      scheme.check(args);
      return true;
    } catch {
      return false;
    }
  });
}

const kernels = loadKernels();
const next = randomNumbers(11);
const values = Float32Array.from({ length: 3 * 512 }, () => next() ** 3);

for (const id of ids('schemes')) {
  test(`${id}: every setting that a kernel takes gives the twin's bytes`, async () => {
    const settings = await settingsOf(id);
    assert.ok(settings.length > 0);
    let held = 0;
    for (const args of settings) {
      for (const dtype of DTYPES) {
        if (!kernels.supports(dtype, args)) continue;
        await sameAsTwin(stored(dtype, 3, 512, values), args);
        held++;
      }
    }
    assert.ok(held > 0, 'no kernel at all');
  });
}

test.run();
