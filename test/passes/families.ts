import type { Graph } from '../../src/core/graph.js';
import type { JsonObject } from '../../src/core/json.js';
import type { ConvertOptions } from '../../src/core/options.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import type { TargetStage } from '../../src/core/target.js';
import { FLOAT32 } from '../../src/passes/assign_schemes.js';
import { find, ids } from '../../src/registry.js';

const int4: QuantizationArgs = { ...FLOAT32, scheme: 'int4', strategy: 'group', group_size: 32 };
const f16: QuantizationArgs = { ...FLOAT32, scheme: 'f16' };
const asymmetric: QuantizationArgs = { ...int4, symmetric: false, scale_dtype: 'F16' };

const base: ConvertOptions = {
  target: 'cpu',
  weights: int4,
  embeddings: int4,
  lmHead: int4,
  only: [],
  skip: [],
  overrides: [],
  accuracyLevel: 4,
  contextLength: 32,
  prefill: 16,
  activations: 'f32',
  attention: 'gqa',
  mla: 'latent',
  experts: 'auto',
};
const as = (scheme: QuantizationArgs) => ({ weights: scheme, embeddings: scheme, lmHead: scheme });

/** Settings that lead targets to every pass and every form of one. */
const settings: Record<string, ConvertOptions[]> = {
  cpu: [
    base,
    { ...base, ...as(FLOAT32), mla: 'expanded', experts: 'plain' },
    { ...base, ...as(f16), experts: 'plain' },
    { ...base, ...as(asymmetric), mla: 'expanded', experts: 'qmoe' },
  ],
  qnn: [
    { ...base, target: 'qnn', activations: 'uint16', attention: 'npu' },
    { ...base, target: 'qnn', ...as(f16), activations: 'f16', attention: 'npu' },
    { ...base, target: 'qnn', ...as(FLOAT32), activations: 'uint16', attention: 'gqa' },
    { ...base, target: 'qnn', ...as(asymmetric) },
  ],
};

/** Sizes that lead to forms which no family's example has. */
const variants: Record<string, Record<string, JsonObject>> = {
  llama: {
    '': {},
    ' with heads of 8': { head_dim: 8 },
    ' with heads of 12': { head_dim: 12 },
    ' with heads of 16': { head_dim: 16 },
    ' with rows of 40': { hidden_size: 40, head_dim: 16 },
    ' with relu': { hidden_act: 'relu' },
  },
};

export interface Drawn {
  name: string;
  graph: Graph;
  stage: TargetStage;
}

/** Every graph of every family with the passes of every kind of target; families without a static form for qnn left out. */
export async function drawings(): Promise<Drawn[]> {
  const all: Drawn[] = [];
  for (const family of ids('architectures')) {
    const architecture = (await find('architectures', family))!;
    for (const [sizes, changed] of Object.entries(variants[family] ?? { '': {} })) {
      const config = architecture.parseConfig({ ...structuredClone(architecture.example), ...changed });
      for (const [targetId, list] of Object.entries(settings)) {
        const target = (await find('targets', targetId))!;
        for (const [index, options] of list.entries()) {
          const graphs = {
            decoder: architecture.build(config, options),
            ...architecture.extraGraphs?.(config, options),
          };
          for (const [name, graph] of Object.entries(graphs)) {
            const isStatic = graph.nodes.every(({ op }) => !['LatentAttention', 'Router', 'Experts'].includes(op));
            if (targetId !== 'cpu' && !isStatic) continue;
            for (const stage of target.stages(options, name, undefined)) {
              all.push({ name: `${family}${sizes} for ${targetId}, settings ${index}: ${stage.file}`, graph, stage });
            }
          }
        }
      }
    }
  }
  return all;
}
