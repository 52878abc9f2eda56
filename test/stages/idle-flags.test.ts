import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type HalfbyteError, UsageError } from '../../src/core/errors.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { plan } from '../../src/stages/plan.js';
import { quantize } from '../../src/stages/quantize.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));

async function refused(work: Promise<unknown>, message: RegExp) {
  try {
    await work;
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as HalfbyteError).report, message);
    return;
  }
  assert.unreachable(`nothing was refused: ${message}`);
}

const converted = (request: ConvertRequest, name = 'llama-hd8') => plan(openCheckpoint(fixture(name)), request);
const quantized = (request: QuantizeRequest) => {
  const { signal } = new AbortController();
  return quantize(fixture('union-1.8m'), request, { output: 'none', dryRun: true }, () => {}, signal);
};

test('convert: a flag that would change nothing is refused', async () => {
  const cases: [ConvertRequest, RegExp][] = [
    [{ only: ['nothing'] }, /^--only nothing: matches none of the 23 weights/],
    [{ only: ['*', 'x*'] }, /^--only x\*/],
    [{ skip: ['*norm*'] }, /^--skip \*norm\*/],
    [{ override: ['model.layers.*.q=int8'] }, /^--override model\.layers\.\*\.q: matches none/],
    [{ activations: 'uint16' }, /^--activations: the target cpu is no NPU/],
    [{ attention: 'npu' }, /^--attention: /],
    [{ prefill: 8 }, /^--prefill: /],
    [{ mla: 'expanded' }, /^--mla: this model has no multi-head latent attention/],
    [{ experts: 'plain' }, /^--experts: this model has no experts/],
    [{ weights: 'f32', groupSize: '64' }, /^--group-size: f32 has no scales/],
    [{ weights: 'f16', asymmetric: true }, /^--asymmetric: f16/],
    [{ weights: 'f16', embeddings: 'f32', algorithm: 'mse' }, /^--algorithm: f16 and f32/],
  ];
  for (const [request, message] of cases) await refused(converted(request), message);
});

test('convert: the same flags where they change something', async () => {
  await converted({ weights: 'f32', embeddings: 'int8', groupSize: '64' });
  await converted({ weights: 'f16', algorithm: 'rtn', override: ['model.layers.0.*=int8'] });
  await converted({ target: 'qnn', activations: 'f32', attention: 'npu', prefill: 8 });
  await converted({ mla: 'expanded', experts: 'plain' }, 'deepseek-v2-lite');
});

test('quantize: globs and settings that would change nothing are refused', async () => {
  const cases: [QuantizeRequest, RegExp][] = [
    [{ layout: 'gptq', skip: ['x*'] }, /^--skip x\*: matches none of the \d+ weights/],
    [{ layout: 'gptq', override: ['x=int8'] }, /^--override x: /],
    [{ layout: 'gguf', only: ['x'] }, /^--only x: /],
    [{ layout: 'plain', weights: 'bf16', groupSize: '32' }, /^--group-size: bf16/],
    [{ layout: 'plain', weights: 'bf16', algorithm: 'mse' }, /^--algorithm: bf16/],
  ];
  for (const [request, message] of cases) await refused(quantized(request), message);
  await quantized({ layout: 'gguf', skip: ['blk.0.*'] });
  await quantized({ layout: 'gguf', skip: ['model.layers.0.*'] });
});

test.run();
