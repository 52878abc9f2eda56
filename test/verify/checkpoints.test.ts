import { cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HalfbyteError } from '../../src/core/errors.js';
import type { VerifyReport } from '../../src/core/verify-report.js';
import { quantize } from '../../src/stages/quantize.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';
import { type VerifyOptions, verify } from '../../src/stages/verify.js';
import { fixture } from '../reference/fixtures.js';
import { packages } from '../stages/packages.js';
import { copyCheckpoint, swap, valuesOf } from './faults/tampering.js';

const made = packages();

function run(path: string, reference: string, options: Partial<VerifyOptions> = {}): Promise<VerifyReport> {
  const settings = { gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {} };
  return verify({ path, reference, ...settings, ...options });
}

const said = ({ checks, localisation }: VerifyReport) =>
  [
    ...checks.filter(({ verdict }) => verdict === 'fail').map(({ message }) => message),
    ...(localisation?.findings ?? []),
  ].join('\n');

let count = 0;
async function quantized(checkpoint: string, request: QuantizeRequest): Promise<string> {
  const output = join(made.work, `quantized-${count++}`);
  const { signal } = new AbortController();
  await quantize(checkpoint, request, { output, dryRun: false, workers: 0 }, () => {}, signal);
  return output;
}

const layouts: [what: string, request: QuantizeRequest][] = [
  ['compressed_tensors, int4', { layout: 'compressed_tensors', weights: 'int4', groupSize: '32' }],
  ['compressed_tensors, fp8', { layout: 'compressed_tensors', weights: 'fp8_e4m3' }],
  ['gptq', { layout: 'gptq', groupSize: '32' }],
  ['mlx', { layout: 'mlx' }],
  ['bnb_nf4', { layout: 'bnb_nf4' }],
  ['plain bf16', { layout: 'plain', weights: 'bf16' }],
];
const llama = fixture('llama-gqa');
for (const [what, request] of layouts) {
  test(`${what}: a checkpoint that was quantized by the rules passes`, async () => {
    const report = await run(await quantized(llama, request), llama);
    assert.is(report.verdict, 'pass', said(report) || report.summary);
    assert.is(report.subject.kind, 'checkpoint');
    assert.ok(report.comparisons.some(({ referee, metrics }) => referee === 'engine' && metrics.length > 5));
    assert.ok(report.layers.length > 1 && report.tensors.length > 10, 'layers and tensors are compared');
  });
}

test('gguf: the file and its folder pass, and a changed token and a changed block do not', async () => {
  const union = fixture('union-1.8m');
  const dir = await quantized(union, { layout: 'gguf' });
  const [name] = readdirSync(dir).filter((each) => each.endsWith('.gguf'));
  const report = await run(dir, union);
  assert.is(report.verdict, 'pass', said(report) || report.summary);
  assert.is(report.subject.target, 'gguf');
  assert.ok(report.tensors.length > 10 && report.comparisons.some(({ referee }) => referee === 'engine'));
  // Alone, without halfbyte.json, as a file from elsewhere.
  const alone = join(made.work, 'alone.gguf');
  const bytes = readFileSync(join(dir, name));
  writeFileSync(alone, bytes);
  assert.is((await run(alone, union)).verdict, 'pass');

  const token = bytes.indexOf('tokenizer.ggml.tokens');
  const changed = Buffer.from(bytes);
  changed[changed.indexOf('e', token + 200)] = 0x45;
  writeFileSync(alone, changed);
  const other = await run(alone, union);
  assert.is(other.verdict, 'fail');
  assert.match(said(other), /alone\.gguf: tokenizer\.ggml\.tokens/);

  const tail = Buffer.from(bytes);
  tail.fill(0, tail.length - 20_000, tail.length - 4_000);
  writeFileSync(alone, tail);
  assert.is((await run(alone, union)).verdict, 'fail');
});

test('the FP8 checkpoint of a fixture passes against the float32 one that it was made of, and so does its package', async () => {
  const [fp8, original] = [fixture('deepseek-v3-fp8'), fixture('deepseek-v3')];
  const report = await run(fp8, original);
  assert.is(report.subject.target, 'deepseek_fp8');
  assert.ok(
    report.checks.filter(({ group }) => group === 'weights').every(({ verdict }) => verdict === 'pass'),
    said(report),
  );
});

test('a package of a quantized checkpoint passes against that checkpoint and against the original', async () => {
  for (const request of [layouts[0][1], layouts[2][1]]) {
    const checkpoint = await quantized(llama, request);
    const path = await made.make(checkpoint, { accuracyLevel: 0 });
    for (const reference of [checkpoint, llama]) {
      const report = await run(path, reference);
      assert.is(report.verdict, 'pass', said(report) || report.summary);
    }
  }
});

const K = 'model.layers.1.self_attn.k_proj.weight';
const wrong: [what: string, make: () => Promise<string>, says: RegExp][] = [
  [
    'two tensors swapped',
    async () => {
      const changed = copyCheckpoint(llama, join(made.work, 'swapped'), (tensors) =>
        swap(tensors, K, K.replace('k_proj', 'v_proj')),
      );
      return quantized(changed, layouts[0][1]);
    },
    /layers\.1\.self_attn\.k_proj.*swapped/s,
  ],
  [
    'a wrong rope theta',
    async () => {
      const changed = copyCheckpoint(llama, join(made.work, 'theta'), (_, config) => {
        config.rope_theta = 1234;
      });
      return quantized(changed, layouts[2][1]);
    },
    /rope/,
  ],
  [
    'a zeroed row',
    async () => {
      const changed = copyCheckpoint(llama, join(made.work, 'row'), (tensors) => {
        valuesOf(tensors, K).fill(0, 0, 128);
      });
      return quantized(changed, layouts[0][1]);
    },
    /layers\.1\.self_attn\.k_proj/,
  ],
  [
    'another eos',
    async () => {
      const dir = await quantized(llama, layouts[0][1]);
      const file = join(dir, 'config.json');
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), eos_token_id: 7 }));
      return dir;
    },
    /eos_token_id is \[7\]/,
  ],
  [
    'a flipped byte',
    async () => {
      const dir = await quantized(llama, layouts[0][1]);
      const file = join(dir, 'model.safetensors');
      const bytes = readFileSync(file);
      bytes[bytes.length - 5000] ^= 0x40;
      writeFileSync(file, bytes);
      return dir;
    },
    /model\.safetensors: .*differ from what was written/,
  ],
  [
    'a truncated file that its manifest lists',
    async () => {
      const dir = await quantized(llama, layouts[0][1]);
      truncateSync(join(dir, 'model.safetensors'), 50_000);
      return dir;
    },
    /model\.safetensors: has 50000 bytes/,
  ],
];
for (const [what, make, says] of wrong) {
  test(`fault of a checkpoint: ${what}`, async () => {
    const report = await run(await make(), llama);
    assert.is(report.verdict, 'fail', report.summary);
    assert.match(said(report), says);
  });
}

const golden = join(llama, 'golden.safetensors');
const copied = (name: string, change: Parameters<typeof copyCheckpoint>[2], settings?: { golden: boolean }) =>
  copyCheckpoint(llama, join(made.work, name), change, settings);
const epsilon: Parameters<typeof copyCheckpoint>[2] = (_, config) => {
  config.rms_norm_eps = 0.1;
};
const failed = ({ checks }: VerifyReport) => checks.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id);

test('a copy that is not rounded is held to stored logits in float32', async () => {
  const same = await run(
    copied('same', () => {}, { golden: false }),
    golden,
  );
  assert.is(same.verdict, 'pass', said(same));
  assert.ok(same.checks.some(({ id, limit }) => id === 'logits long.input_ids golden' && limit === 2e-4));
  const other = await run(copied('other', epsilon, { golden: false }), golden);
  assert.equal(failed(other), ['logits input_ids golden', 'logits long.input_ids golden']);
  assert.match(said(other), /The checkpoint is not rounded and its logits on input_ids are .* off the reference/);
});

test('what is rounded by a little is not held to 2e-4, and not to be rounded is no excuse', async () => {
  const plain = await quantized(
    copied('spread', (tensors) => {
      for (const { values } of tensors.values()) for (let i = 0; i < values.length; i++) values[i] *= 1.001;
    }),
    { layout: 'plain', weights: 'bf16' },
  );
  assert.is((await run(plain, golden)).verdict, 'pass');
  const int4 = await quantized(llama, layouts[0][1]);
  assert.is((await run(int4, golden)).verdict, 'pass');
  const backwards = copied(
    'backwards',
    (tensors) => {
      const head = tensors.get('lm_head.weight');
      if (head) for (let i = 0; i < head.values.length; i++) head.values[i] *= -1;
    },
    { golden: false },
  );
  const report = await run(await quantized(backwards, layouts[0][1]), golden);
  assert.equal(failed(report), ['logits input_ids golden', 'logits long.input_ids golden']);
  assert.match(said(report), "these are not this model's logits");
});

test("a checkpoint and its stored logits disagree: the folder's own, and a file given beside it", async () => {
  const wrong = copied('wrong', epsilon);
  const inside = await run(wrong, wrong);
  assert.ok(failed(inside).includes('reference input_ids') && failed(inside).includes('logits input_ids golden'));
  const bare = copied('bare-copy', epsilon, { golden: false });
  assert.is((await run(bare, bare)).verdict, 'pass');
  const settings = { gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {} };
  const beside = await verify({ path: bare, reference: [golden, bare], ...settings });
  assert.equal(beside.reference, { kind: 'checkpoint', path: bare });
  assert.ok(failed(beside).includes('reference long.input_ids'));
  const right = await verify({ path: await quantized(llama, layouts[1][1]), reference: [llama, golden], ...settings });
  assert.is(right.verdict, 'pass', said(right));
  for (const reference of [
    [llama, bare],
    [golden, golden],
  ]) {
    const error = await verify({ path: bare, reference, ...settings }).catch((each: HalfbyteError) => each);
    assert.is((error as HalfbyteError).exitCode, 2);
  }
});

test('a truncated checkpoint without manifest cannot be read: exit code 3', async () => {
  const dir = join(made.work, 'bare');
  cpSync(llama, dir, { recursive: true });
  truncateSync(join(dir, 'model.safetensors'), 50_000);
  try {
    await run(dir, llama);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, HalfbyteError);
    assert.is((error as HalfbyteError).exitCode, 3);
  }
});

test.after(() => made.remove());
test.run();
