import { GENAI_VERSIONS, refusingType } from '../../core/genai-versions.js';
import type { ValueInfo } from '../../core/graph.js';
import type { Json } from '../../core/json.js';
import { hasWindows } from '../../passes/stamp_opsets.js';
import { at, namesOf, objectAt, pipelineOf } from './config.js';
import type { Hit, RuntimeRule, RuntimeSubject } from './rule.js';

const CONFIG = 'genai_config.json';
const inConfig = (message: string): Hit => ({ file: CONFIG, node: null, message });
const isNumber = (value: Json | undefined): value is number => typeof value === 'number';

const shapeOf = ({ shape }: ValueInfo) => `[${shape.join(', ')}]`;

/** The key and the value that go into a graph for each layer, as far as it has them. */
function* layerCaches({
  genai,
  views,
}: RuntimeSubject): Iterable<{ file: string; layer: number; pair: (ValueInfo | undefined)[] }> {
  const decoder = objectAt(genai, 'model', 'decoder');
  const layers = Number(decoder.num_hidden_layers ?? 0);
  const inputs = objectAt(decoder, 'inputs');
  const [keys, values] = ['key', 'value'].map((kind) =>
    namesOf(String(inputs[`past_${kind}_names`] ?? `past_key_values.%d.${kind}`), layers),
  );
  for (const { file, graph } of views) {
    for (let layer = 0; layer < layers; layer++) {
      const pair = [keys[layer], values[layer]].map((name) => graph.inputs.find((each) => each.name === name));
      if (pair.some(Boolean)) yield { file, layer, pair };
    }
  }
}

/** Rules of the runtime itself, whatever device computes: what ONNX Runtime and ONNX Runtime GenAI refuse or get wrong. */
export const RUNTIME_RULES: RuntimeRule[] = [
  {
    id: 'model-type',
    severity: 'error',
    advice: 'set model.type to "decoder", the type of any decoder.',
    source: `onnxruntime-genai src/models/model_type.h at v0.13.0, v0.15.2 and a0c04eb: "Unsupported model_type"`,
    *find({ genai }) {
      const type = at(genai, 'model', 'type');
      const refusing = typeof type === 'string' ? refusingType(type) : [];
      if (refusing.length > 0) yield inConfig(`model.type "${String(type)}" is not known to ${refusing.join(', ')}`);
    },
  },
  {
    id: 'release-fields',
    severity: 'warning',
    advice: 'leave the field out, or say which release the package is for.',
    source: 'onnxruntime-genai src/config.cpp at v0.13.0 and v0.15.2: a field that a release does not know is refused',
    *find({ genai }) {
      const newest = GENAI_VERSIONS[GENAI_VERSIONS.length - 1];
      const slack = at(genai, 'model', 'decoder', 'sliding_window', 'cache_slack');
      if (slack !== undefined) yield inConfig(`sliding_window.cache_slack is read by ${newest} alone`);
      for (const { name, settings } of pipelineOf(genai)) {
        if (settings.inherit_session_options === undefined) continue;
        yield inConfig(`stage ${name}: inherit_session_options is read by ${newest} alone`);
      }
    },
  },
  {
    id: 'window-layers',
    severity: 'error',
    advice: 'name a layer that is none: "layers": [<num_hidden_layers>].',
    source: 'onnxruntime-genai a0c04eb, src/models/kv_cache.cpp and windowed_kv_cache.cpp: on the CPU too',
    *find({ genai }) {
      const window = objectAt(genai, 'model', 'decoder', 'sliding_window');
      if (pipelineOf(genai).length === 0 || window.slide_key_value_cache !== false) return;
      const layers = [window.layers ?? []].flat().filter(isNumber);
      const count = Number(at(genai, 'model', 'decoder', 'num_hidden_layers') ?? 0);
      const cut = layers.filter((layer) => layer < count);
      const which = layers.length === 0 ? 'every layer' : cut.length > 0 ? `layers ${cut.join(', ')}` : undefined;
      if (which)
        yield inConfig(`sliding_window makes the cache of ${which} ${String(window.window_size)} positions long`);
    },
  },
  {
    id: 'pad-id',
    severity: 'error',
    advice: 'set pad_token_id to an id of the vocabulary that no text has.',
    source: 'onnxruntime-genai src/generators.cpp: prompts are filled up with it and embedded',
    *find({ genai }) {
      const [pad, size] = ['pad_token_id', 'vocab_size'].map((key) => at(genai, 'model', key));
      if (!isNumber(pad) || !isNumber(size) || (pad >= 0 && pad < size)) return;
      yield inConfig(`pad_token_id ${pad} is no id of a vocabulary of ${size}`);
    },
  },
  {
    id: 'cache-pair',
    severity: 'error',
    advice: 'convert again: a latent cache goes in and out in two halves.',
    source: 'onnxruntime-genai src/models/kv_cache.cpp: each layer is fed a key and a value of one shape',
    *find(subject) {
      if (pipelineOf(subject.genai).length > 0) return;
      for (const { file, layer, pair } of layerCaches(subject)) {
        const [key, value] = pair;
        const complain = (found: string): Hit => ({ file, node: null, message: `layer ${layer}: ${found}` });
        if (!key || !value) yield complain(`its cache has no ${key ? 'value' : 'key'}`);
        else if (shapeOf(key) !== shapeOf(value)) yield complain(`key ${shapeOf(key)}, value ${shapeOf(value)}`);
      }
    },
  },
  {
    id: 'shared-buffer',
    severity: 'error',
    advice: 'set search.past_present_share_buffer to false.',
    source:
      'onnxruntime-genai src/models/kv_cache.cpp: past and present are one buffer, which only its operator may know',
    *find(subject) {
      if (at(subject.genai, 'search', 'past_present_share_buffer') !== true) return;
      for (const { file, graph } of subject.views) {
        const growing = [...layerCaches(subject)].filter(
          (each) => each.file === file && each.pair.some((cache) => typeof cache?.shape[2] === 'string'),
        );
        const able = graph.nodes.filter(({ op }) => op === 'GroupQueryAttention').length;
        if (able >= growing.length) continue;
        const message = `${growing.length} layers have a cache, ${able} an operator that updates one in place`;
        yield { file, node: null, message };
      }
    },
  },
  {
    id: 'window-opset',
    severity: 'warning',
    advice: 'convert again: the opset is the one that those releases refuse.',
    source: 'onnxruntime up to 1.23.2, run on eight models with windows: logits 2.8 to 10 off, without an error',
    *find({ views }) {
      for (const { file, graph } of views) {
        const opset = graph.opsets[''] ?? 0;
        if (!hasWindows(graph) || opset >= 24) continue;
        const message = `windows of attention with opset ${opset}: ONNX Runtime before 1.24 loads and miscomputes them`;
        yield { file, node: null, message };
      }
    },
  },
];
