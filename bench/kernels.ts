// The kernels alone, in one thread: nanoseconds a weight of quantizing, of decoding what came out and of measuring the
// errors (decoding included), for every scheme and algorithm, beside the plain TypeScript twins in the same run, from
// bf16 weights as models have them.
//
//   npx tsx bench/kernels.ts [pattern] [dtype]    lines that match, such as 'int4 group 32' or 'hqq'

import { DTYPE_BITS, type Dtype, float32ToBf16, float32ToF16, widen } from '../src/core/dtype.js';
import { ERROR_STATE_BYTES } from '../src/core/error-sums.js';
import type { Job } from '../src/core/plan.js';
import type { Packed, QuantizationArgs, Scheme } from '../src/core/scheme.js';
import { meterRoom, openMeter } from '../src/engine/error-meter.js';
import { loadKernels } from '../src/kernels/kernels.js';
import { find, ids } from '../src/registry.js';

const ROWS = 16;
const COLS = 2048;
const WEIGHTS = ROWS * COLS;
/** The best of as many runs as fit into this time, in milliseconds. */
const KERNEL_TIME = 400;
const TWIN_TIME = 200;

const [asked = '', dtype = 'BF16'] = process.argv.slice(2) as [string?, Dtype?];

/** Sums of twelve uniform numbers from a linear congruence: nearly normal, the same in every run. */
function weights(): Float32Array {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length: WEIGHTS }, () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum / 50;
  });
}

function stored(values: Float32Array): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer);
  return new Uint8Array(Uint16Array.from(values, dtype === 'F16' ? float32ToF16 : float32ToBf16).buffer);
}

/** Nanoseconds a weight, of the fastest run. */
function fastest(milliseconds: number, run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + milliseconds;
  do {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  } while (performance.now() < end);
  return (best * 1e6) / WEIGHTS;
}

/** Every combination of settings that a scheme accepts. */
function settingsOf(scheme: Scheme): { label: string; args: QuantizationArgs }[] {
  const { group_size: usual, ...defaults } = scheme.defaults;
  const all: { label: string; args: QuantizationArgs }[] = [];
  const extents: Partial<QuantizationArgs>[] = [
    ...[...new Set([...(usual ? [usual] : []), 16, 32, 64, 128, 256])].map((group_size) => ({
      strategy: 'group' as const,
      group_size,
    })),
    { strategy: 'channel' },
    { strategy: 'block', block_structure: [128, 128] },
    { strategy: 'tensor' },
  ];
  for (const extent of extents) {
    for (const symmetric of [true, false]) {
      for (const algorithm of ['rtn', 'mse', 'kquant', 'hqq'] as const) {
        const args: QuantizationArgs = { ...defaults, ...extent, symmetric, algorithm };
        const isPlain = scheme.type === 'float' && !('scales' in scheme.layout(1, COLS, args));
        // a value by itself has no scale to choose
        if (isPlain && (extent.strategy !== 'tensor' || algorithm !== 'rtn')) continue;
        const where = extent.strategy === 'group' ? `group ${extent.group_size}` : extent.strategy;
        const label = `${args.scheme} | ${where}${symmetric ? '' : ', asymmetric'} | ${algorithm}`;
        try {
          scheme.check(args);
          all.push({ label, args });
        } catch {}
      }
    }
  }
  return all;
}

const kernels = loadKernels();
const bytes = stored(weights());
const values = new Float32Array(WEIGHTS);
widen(dtype, bytes, values);
const state = kernels.heapBase;
const room = state + ERROR_STATE_BYTES;
const input = room + meterRoom(COLS);
const output = input + bytes.length;
kernels.reserve(output + 16 * WEIGHTS);
kernels.bytes(input, bytes.length).set(bytes);

const shown = (nanoseconds?: number) => nanoseconds?.toFixed(2) ?? 'none';
console.log(
  '| scheme | scale for each | algorithm | kernel, ns a weight | GB/s | twin | decoding | twin | errors |\n|---|---|---|---|---|---|---|---|---|',
);
for (const id of ids('schemes')) {
  const scheme = (await find('schemes', id))!;
  for (const { label, args } of settingsOf(scheme)) {
    if (!new RegExp(asked).test(label.replaceAll(' |', ''))) continue;
    const out: Packed = {};
    const parts: Record<string, number> = {};
    let next = output;
    for (const [part, { nbytes }] of Object.entries(scheme.layout(ROWS, COLS, args))) {
      out[part] = new Uint8Array(nbytes);
      parts[part] = next;
      next += Math.ceil(nbytes / 16) * 16;
    }
    const twin = fastest(TWIN_TIME, () => scheme.quantize(values, COLS, args, out));
    for (const [part, content] of Object.entries(out)) kernels.bytes(parts[part], content.length).set(content);
    const kernel = kernels.supports(dtype, args)
      ? fastest(KERNEL_TIME, () => kernels.quantize(dtype, input, ROWS, COLS, args, parts))
      : undefined;
    const rate = kernel && (DTYPE_BITS[dtype] / 8 / kernel).toFixed(2);
    const decodeTwin = fastest(TWIN_TIME, () => scheme.dequantize(out, ROWS, COLS, args, values.slice()));
    const decode = kernels.dequantizes(args) ? kernels.openDecoder(args, COLS) : undefined;
    const decoding = decode && fastest(KERNEL_TIME, () => decode(parts, 0, ROWS, next));
    const job = {
      name: '',
      source: { kind: 'tensor', rows: 1 << 20, cols: COLS } as Job['source'],
      scheme: args,
      outputs: {},
    };
    const meter = openMeter(job, scheme, dtype, kernels, { state, room });
    // rows after the first are none of the few that go into a histogram
    const errors = fastest(KERNEL_TIME, () => meter.add(1, ROWS, input, parts));
    console.log(
      `| ${label} | ${shown(kernel)} | ${rate ?? ''} | ${twin.toFixed(1)} | ${shown(decoding)} | ${decodeTwin.toFixed(1)} | ${errors.toFixed(2)} |`,
    );
  }
}
