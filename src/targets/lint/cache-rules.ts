import type { Dim, ValueInfo } from '../../core/graph.js';
import { at, namesOf, objectAt } from './config.js';
import type { Hit, Rule, Subject } from './rule.js';
import type { GraphView } from './view.js';

/** A layer's cache in a graph: what goes in, and what must come out of the same shape. */
interface CachePair {
  view: GraphView;
  past: string;
  present: string;
}

/** The caches that genai_config.json names, for every graph on the device. */
function* cachePairs({ genai, views }: Subject): Iterable<CachePair> {
  const layers = Number(at(genai, 'model', 'decoder', 'num_hidden_layers') ?? 0);
  const inputs = objectAt(genai, 'model', 'decoder', 'inputs');
  const outputs = objectAt(genai, 'model', 'decoder', 'outputs');
  for (const view of views.filter((each) => each.onDevice)) {
    for (const kind of ['key', 'value']) {
      const [past, present] = [inputs[`past_${kind}_names`], outputs[`present_${kind}_names`]];
      if (typeof past !== 'string' || typeof present !== 'string') continue;
      const presents = namesOf(present, layers);
      for (const [layer, name] of namesOf(past, layers).entries()) yield { view, past: name, present: presents[layer] };
    }
  }
}

const find = (values: ValueInfo[], name: string) => values.find((each) => each.name === name);
const signature = ({ dtype, shape }: ValueInfo) => `${dtype} [${shape.join(', ')}]`;

/** Tokens of a call: the sequence of the hidden states that come in. */
const callLength = (view: GraphView): Dim | undefined =>
  view.graph.inputs.find(
    ({ dtype, shape }) => shape.length === 3 && (dtype === 'FLOAT' || dtype === 'FLOAT16' || dtype === 'UINT16'),
  )?.shape[1];

export const CACHE_RULES: Rule[] = [
  {
    id: 'cache-names',
    severity: 'error',
    advice: 'name caches as past_key_names and present_key_names of genai_config.json say.',
    source: 'onnxruntime-genai src/models/kv_cache.cpp: caches are found by these patterns, layer by layer',
    *find(subject) {
      for (const { view, past, present } of cachePairs(subject)) {
        const { inputs, outputs } = view.graph;
        const complain = (message: string): Hit => ({ file: view.file, node: null, message });
        if (!find(inputs, past)) yield complain(`there is no input ${past}`);
        if (!find(outputs, present)) yield complain(`there is no output ${present}`);
      }
    },
  },
  {
    id: 'cache-shape',
    severity: 'error',
    advice: 'update a cache of fixed length in place (ScatterElements): a cache that grows is a dynamic shape.',
    source:
      'onnxruntime-genai src/models/kv_cache.cpp: with past_present_share_buffer both are one buffer of max_length',
    *find(subject) {
      const length = at(subject.genai, 'search', 'max_length');
      for (const { view, past, present } of cachePairs(subject)) {
        const [before, after] = [find(view.graph.inputs, past), find(view.graph.outputs, present)];
        if (!before || !after) continue;
        const complain = (message: string): Hit => ({ file: view.file, node: null, message });
        if (signature(before) !== signature(after)) {
          yield complain(`${past} is ${signature(before)}, ${present} is ${signature(after)}`);
        } else if (typeof length === 'number' && before.shape[2] !== length) {
          yield complain(`${past} holds ${before.shape[2]} positions; search.max_length is ${length}`);
        }
      }
    },
  },
  {
    id: 'length-inputs',
    severity: 'error',
    advice: 'take past_seq_len as int32 [1, 1] and total_seq_len as int32 [1].',
    source: 'onnxruntime-genai src/models/input_ids.cpp: the runtime feeds both in these shapes',
    *find({ genai, views }) {
      const wanted: [string, number[]][] = [
        ['past_sequence_length', [1, 1]],
        ['total_sequence_length', [1]],
      ];
      for (const [key, shape] of wanted) {
        const name = at(genai, 'model', 'decoder', 'inputs', key);
        if (typeof name !== 'string') continue;
        for (const { file, graph } of views.filter((view) => view.onDevice)) {
          const value = find(graph.inputs, name);
          const fits = value?.dtype === 'INT32' && value.shape.join() === shape.join();
          if (fits) continue;
          const found = value ? `is ${signature(value)}` : 'is missing';
          yield { file, node: null, message: `input ${name} ${found}; needed is INT32 [${shape.join(', ')}]` };
        }
      }
    },
  },
  {
    id: 'window',
    severity: 'error',
    advice: 'convert again with one --prefill, and a --context-length that is a multiple of it.',
    source:
      'onnxruntime-genai src/models/decoder_only_pipeline.cpp: prompts come in windows of sliding_window.window_size',
    *find({ genai, views }) {
      const window = at(genai, 'model', 'decoder', 'sliding_window', 'window_size');
      if (typeof window !== 'number') return;
      const inConfig = (message: string): Hit => ({ file: 'genai_config.json', node: null, message });
      const calls = views.filter((view) => view.onDevice).map(callLength);
      if (!calls.includes(window)) yield inConfig(`no graph takes windows of ${window} tokens`);
      if (!calls.includes(1)) yield inConfig('no graph takes a single token');
      const length = at(genai, 'search', 'max_length');
      if (typeof length === 'number' && length % window !== 0) {
        yield inConfig(
          `search.max_length ${length} is no multiple of the window ${window}: the last one would not fit`,
        );
      }
    },
  },
];
