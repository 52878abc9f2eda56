import type * as Ort from 'onnxruntime-node';
import { InvalidInputError } from '../core/errors.js';
import { modelWithOutputs } from '../formats/onnx-outputs.js';
import { withFloatProducts } from '../formats/onnx-reader.js';
import { type Package, type PipelineStage, packageFile } from '../formats/package-reader.js';
import {
  loadOnnxRuntime,
  type OnnxRuntime,
  openSession,
  openSessionOf,
  runSession,
  type SessionSettings,
} from './onnxruntime.js';

/** How the graphs of a pipeline are opened. */
export interface StageSettings extends SessionSettings {
  /** Without the rounding of activations, the same graphs and weights otherwise. */
  floatProducts?: boolean;
  /** Values inside a graph, by its file, that come out as well. */
  shown?: ReadonlyMap<string, readonly string[]>;
}

/** A graph of a pipeline, loaded. */
export interface Stage {
  settings: PipelineStage;
  session: Ort.InferenceSession;
  /** Runs it on the values that it names; `into` gives the memory for an output, or null for new memory. */
  run(
    values: Record<string, Ort.Tensor>,
    into: (output: string) => Ort.Tensor | null,
  ): Promise<Record<string, Ort.Tensor>>;
}

/** One tensor of a static cache, by its names going in and coming out. */
export interface CacheTensor {
  past: string;
  present: string;
  type: 'float32' | 'float16' | 'uint16';
  shape: number[];
}

/** Opens the graphs of a pipeline. Throws InvalidInputError where one lacks an input or output that it is said to have. */
export async function openStages(
  opened: Package,
  stages: PipelineStage[],
  { floatProducts = false, shown, ...settings }: StageSettings,
): Promise<{ ort: OnnxRuntime; stages: Stage[] }> {
  const loaded: Stage[] = [];
  try {
    for (const stage of stages) {
      const file = packageFile(opened, stage.filename);
      // A static graph is run as it is written: more optimization would fuse its pairs into integer operators.
      const isStatic = !(stage.run_on_prompt && stage.run_on_token_gen);
      const own: SessionSettings = isStatic ? { ...settings, graphOptimizationLevel: 'basic' } : settings;
      const names = shown?.get(stage.filename) ?? [];
      const isWritten = !floatProducts && names.length === 0;
      const change = floatProducts ? withFloatProducts : undefined;
      const { session } = isWritten
        ? await openSession(file, own)
        : await openSessionOf(modelWithOutputs(file, names, change), file, own);
      loaded.push(stageOf(stage, session, file, names));
    }
    return { ort: await loadOnnxRuntime(), stages: loaded };
  } catch (error) {
    for (const { session } of loaded) await session.release();
    throw error;
  }
}

function stageOf(
  settings: PipelineStage,
  session: Ort.InferenceSession,
  file: string,
  shown: readonly string[],
): Stage {
  for (const [kind, listed, found] of [
    ['input', settings.inputs, session.inputNames],
    ['output', settings.outputs, session.outputNames],
  ] as const) {
    const stranger =
      listed.find((name) => !found.includes(name)) ??
      found.find((name) => !listed.includes(name) && !shown.includes(name));
    if (stranger === undefined) continue;
    throw new InvalidInputError(
      `${file}: the ${kind} "${stranger}" stands in ${listed.includes(stranger) ? 'genai_config.json' : 'the graph'} alone.`,
      `correct the ${kind}s of the stage "${settings.name}", or convert the checkpoint again.`,
    );
  }
  return {
    settings,
    session,
    async run(values, into) {
      const feeds = Object.fromEntries(
        settings.inputs.map((name) => {
          const value = values[name];
          if (!value) {
            throw new InvalidInputError(
              `${file}: no stage before "${settings.name}" makes its input "${name}".`,
              'correct the order of the stages in genai_config.json, or convert the checkpoint again.',
            );
          }
          return [name, value];
        }),
      );
      const fetches = Object.fromEntries([...settings.outputs, ...shown].map((name) => [name, into(name)]));
      return (await runSession(session, file, feeds, fetches)) as Record<string, Ort.Tensor>;
    },
  };
}

function metadataOf(list: readonly Ort.InferenceSession.ValueMetadata[], name: string) {
  const found = list.find((each) => each.name === name);
  return found?.isTensor ? found : undefined;
}

/** The cache of a pipeline, layer by layer. Throws InvalidInputError where it is not static or comes out unlike it goes in. */
export function cacheTensors(
  stages: Stage[],
  inputs: Record<string, string>,
  outputs: Record<string, string>,
  where: string,
): CacheTensor[] {
  const tensors: CacheTensor[] = [];
  const patterns = [
    [inputs.past_key_names ?? 'past_keys_%d', outputs.present_key_names ?? 'present_keys_%d'],
    [inputs.past_value_names ?? 'past_values_%d', outputs.present_value_names ?? 'present_values_%d'],
  ];
  for (let layer = 0; ; layer++) {
    const before = tensors.length;
    for (const [past, present] of patterns.map((pair) => pair.map((name) => name.replace('%d', String(layer))))) {
      const stage = stages.find(({ session }) => session.inputNames.includes(past));
      if (!stage) continue;
      const [into, out] = [
        metadataOf(stage.session.inputMetadata, past),
        metadataOf(stage.session.outputMetadata, present),
      ];
      const shape = (into?.shape ?? []).filter((dim): dim is number => typeof dim === 'number');
      const type = into?.type as CacheTensor['type'];
      const isCache = shape.length === 4 && ['float32', 'float16', 'uint16'].includes(type);
      if (!isCache || !out || out.type !== type || out.shape.join() !== shape.join()) {
        throw new InvalidInputError(
          `${where}: the cache "${past}" is ${into?.type} [${into?.shape}], "${present}" ${out?.type} [${out?.shape}]; ` +
            'both must be of one float type and one static shape [1, heads, positions, width].',
          'convert the checkpoint again.',
        );
      }
      tensors.push({ past, present, type, shape });
    }
    if (tensors.length === before) break;
  }
  if (tensors.length > 0) return tensors;
  throw new InvalidInputError(
    `${where}: no graph of the pipeline has a cache named "${patterns[0][0]}".`,
    'correct model.decoder.inputs in genai_config.json, or convert the checkpoint again.',
  );
}
