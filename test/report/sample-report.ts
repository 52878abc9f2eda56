import type { Check, Comparison, VerifyReport } from '../../src/core/verify-report.js';

export const HOSTILE = '</script><img src=x onerror=alert(1)>"\'&]]>\u0000\u001b[31m\u202e\ud800\uffff';

export const check = (change: Partial<Check> = {}): Check => ({
  id: 'config',
  group: 'integrity',
  verdict: 'pass',
  message: 'genai_config.json agrees with the reference in 12 keys.',
  where: 'genai_config.json',
  ...change,
});

export const comparison = (change: Partial<Comparison> = {}): Comparison => ({
  set: 'text',
  referee: 'engine',
  sequences: 2,
  tokens: 5,
  metrics: [
    { id: 'kl_divergence', value: 0.02, interval: { low: 0.01, high: 0.04 }, unit: 'nats', better: 'lower' },
    { id: 'top1_agreement', value: 0.8, interval: { low: 0.6, high: 1 }, unit: 'share', better: 'higher' },
  ],
  kl: [0.001, 0.05, 0.002, 0.04, 0.007],
  lengths: [3, 2],
  relativeError: 0.01,
  disagreements: [
    {
      sequence: 0,
      position: 1,
      token: { id: 7, text: ' the' },
      next: { id: 3, text: ' dog' },
      kl: 0.05,
      reference: [{ id: 3, text: ' dog', probability: 0.4 }],
      actual: [{ id: 4, text: ' cat', probability: 0.45 }],
    },
  ],
  differing: [1],
  ...change,
});

/** A small report that passes; `change` replaces parts of it. */
export const report = (change: Partial<VerifyReport> = {}): VerifyReport => ({
  formatVersion: 1,
  tool: { name: 'halfbyte', version: '0.1.0' },
  verdict: 'pass',
  summary: '1 checks hold.',
  strict: false,
  subject: {
    kind: 'package',
    path: 'out/model-int4',
    model: 'llama',
    target: 'cpu',
    schemes: { 'int4 group 32': 2, f32: 1 },
    accuracyLevel: 4,
    parameters: 1000,
    weightBytes: 620,
    bitsPerWeight: 4.96,
    sizes: [
      { scheme: 'int4 group 32', weights: 2, parameters: 900, nbytes: 563 },
      { scheme: 'f32', weights: 1, parameters: 100, nbytes: 57 },
    ],
    files: [{ name: 'model.onnx', size: 3000 }],
  },
  reference: { kind: 'checkpoint', path: 'model' },
  checks: [check()],
  comparisons: [comparison()],
  tokens: {
    sets: [
      {
        name: 'text',
        sequences: [
          [1, 7, 3],
          [1, 7],
        ],
      },
    ],
    texts: { 1: '<s>', 7: ' the', 3: ' dog' },
  },
  perplexity: null,
  decode: [{ set: 'text', tokens: 3, maxAbsDifference: 0.00001, position: 1 }],
  greedy: null,
  layersOf: 'package against the reference engine',
  layers: [
    { index: 0, name: 'embedding', relativeError: 0.01, maxAbsDifference: 0.1, cosine: 0.999 },
    { index: 1, name: 'layer 0 and final norm', relativeError: 0.02, maxAbsDifference: 0.2, cosine: 0.998 },
  ],
  tensors: [
    {
      name: 'model.layers.0.mlp.down_proj.weight',
      layer: 0,
      scheme: 'int4 group 32',
      shape: [8, 64],
      sqnrDb: 21.5,
      floorDb: 12.5,
      cosine: 0.996,
      maxAbsDifference: 0.04,
      worstGroupSteps: 1,
      verdict: 'pass',
    },
    {
      name: 'model.norm.weight',
      layer: null,
      scheme: 'f32',
      shape: [64],
      sqnrDb: null,
      floorDb: 80,
      cosine: 1,
      maxAbsDifference: 0,
      worstGroupSteps: null,
      verdict: 'pass',
    },
  ],
  localisation: null,
  routingMargin: null,
  notes: [],
  reproduce: 'halfbyte verify out/model-int4 --reference model',
  provenance: {
    versions: { node: '20.11.0', 'onnxruntime-node': '1.30.0' },
    platform: 'linux x64',
    manifestSha256: 'ab'.repeat(32),
    options: { target: 'cpu' },
    reference: [{ name: 'model.safetensors', size: 4000, sha256: 'cd'.repeat(32), of: 'header' }],
  },
  ...change,
});

/** A report whose every text is hostile and whose numbers are not finite. */
export function hostileReport(): VerifyReport {
  const base = report();
  const token = { id: 7, text: HOSTILE };
  const candidate = { ...token, probability: Number.NaN };
  return report({
    verdict: 'fail',
    summary: HOSTILE,
    subject: {
      ...base.subject,
      path: HOSTILE,
      model: HOSTILE,
      target: HOSTILE,
      schemes: { [HOSTILE]: 1 },
      sizes: [{ scheme: HOSTILE, weights: 1, parameters: 0, nbytes: 0 }],
      files: [{ name: HOSTILE, size: 1 }],
    },
    reference: { kind: 'command', path: HOSTILE },
    checks: [
      check({ verdict: 'fail', id: HOSTILE, message: HOSTILE, where: HOSTILE, measured: Number.NaN, unit: HOSTILE }),
      check({ verdict: 'ambiguous', group: 'gate', id: HOSTILE, message: HOSTILE, where: HOSTILE }),
    ],
    comparisons: [
      comparison({
        set: HOSTILE,
        metrics: [{ id: HOSTILE, value: Number.NaN, interval: null, unit: HOSTILE, better: 'lower' }],
        kl: [Number.NaN, Number.POSITIVE_INFINITY, 0, 0.1, 0.2],
        relativeError: Number.NaN,
        disagreements: [
          { sequence: 0, position: 1, token, next: null, kl: Number.NaN, reference: [candidate], actual: [candidate] },
        ],
      }),
    ],
    tokens: {
      sets: [
        {
          name: HOSTILE,
          sequences: [
            [1, 7, 3],
            [1, 7],
          ],
        },
      ],
      texts: { 7: HOSTILE },
    },
    layersOf: HOSTILE,
    layers: [{ index: 0, name: HOSTILE, relativeError: Number.NaN, maxAbsDifference: Number.NaN, cosine: Number.NaN }],
    tensors: base.tensors.map((tensor) => ({ ...tensor, name: HOSTILE, scheme: HOSTILE, cosine: Number.NaN })),
    localisation: {
      firstLayer: null,
      findings: [HOSTILE],
      worstTensors: [HOSTILE],
      hypotheses: [{ id: HOSTILE, statement: HOSTILE, errorIfSo: 0, errorOtherwise: 1, likely: true }],
    },
    notes: [HOSTILE],
    reproduce: HOSTILE,
    provenance: {
      versions: { [HOSTILE]: HOSTILE },
      platform: HOSTILE,
      manifestSha256: null,
      options: { [HOSTILE]: HOSTILE },
      reference: [{ name: HOSTILE, size: 1, sha256: HOSTILE, of: 'file' }],
    },
  });
}
