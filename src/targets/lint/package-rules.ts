import type { ElementType } from '../../core/dtype.js';
import type { ValueInfo } from '../../core/graph.js';
import { own } from '../../core/own.js';
import { at, listAt, namesOf, objectAt, providersOf, stagesOf } from './config.js';
import { configIssues } from './genai-schema.js';
import type { Hit, Rule } from './rule.js';

const CONFIG = 'genai_config.json';
const inConfig = (message: string): Hit => ({ file: CONFIG, node: null, message });

const BITS: Partial<Record<ElementType, number>> = own({
  ...{ FLOAT: 32, INT32: 32, INT64: 64, FLOAT16: 16, BFLOAT16: 16, INT16: 16, UINT16: 16 },
  ...{ INT8: 8, UINT8: 8, BOOL: 8, FLOAT8E4M3FN: 8, FLOAT8E5M2: 8, INT4: 4, UINT4: 4 },
});

const bytesOf = (dtype: ElementType, shape: number[]): number | undefined => {
  const bits = BITS[dtype];
  return bits && Math.ceil((shape.reduce((product, each) => product * each, 1) * bits) / 8);
};

const signature = ({ dtype, shape }: ValueInfo) => `${dtype} [${shape.join(', ')}]`;

export const PACKAGE_RULES: Rule[] = [
  {
    id: 'config-fields',
    severity: 'error',
    advice: 'correct the field, or leave it out.',
    source: 'onnxruntime-genai a0c04eb, src/config.cpp: fields of another name or type are refused',
    *find({ genai }) {
      // A package of one graph has other fields; what is wrong with it here is that no stage asks the device.
      if (at(genai, 'model', 'decoder', 'pipeline') === undefined) return;
      for (const issue of configIssues(genai)) yield inConfig(issue);
    },
  },
  {
    id: 'provider',
    severity: 'error',
    advice: 'convert the checkpoint for this device with --target.',
    source: 'onnxruntime-genai src/config.h: provider_options of each stage',
    *find(subject) {
      const { device } = subject;
      const asked = stagesOf(subject).flatMap(({ settings }) => Object.keys(providersOf(settings)));
      if (asked.includes(device.provider)) return;
      const found = asked.length > 0 ? `they ask ${[...new Set(asked)].join(', ')}` : 'they run on the CPU';
      yield inConfig(`no stage asks the provider ${device.provider}: ${found}`);
    },
  },
  {
    id: 'provider-options',
    severity: 'warning',
    advice: 'add the option to the stage’s session_options.',
    source: 'onnxruntime-genai src/models/session_options.cpp and the bundles of Olive and winml-cli',
    *find(subject) {
      const { provider, providerOptions } = subject.device;
      for (const { name, settings } of stagesOf(subject)) {
        const options = providersOf(settings)[provider];
        for (const [key, wanted] of options ? Object.entries(providerOptions) : []) {
          if (options[key] !== wanted) {
            yield inConfig(`stage ${name}: ${key} is ${JSON.stringify(options[key] ?? null)}; needed is "${wanted}"`);
          }
        }
      }
    },
  },
  {
    id: 'stage-names',
    severity: 'error',
    advice: 'list the graph’s own inputs and outputs: values flow from stage to stage by name.',
    source: 'onnxruntime-genai src/models/decoder_only_pipeline.cpp',
    *find(subject) {
      const { genai } = subject;
      const layers = Number(at(genai, 'model', 'decoder', 'num_hidden_layers') ?? 0);
      const patterns = Object.values(objectAt(genai, 'model', 'decoder', 'inputs')).map(String);
      const known = new Set(patterns.flatMap((pattern) => namesOf(pattern, layers)));
      for (const { name, file, settings, view } of stagesOf(subject)) {
        if (!view) {
          yield inConfig(`stage ${name}: the package has no graph ${JSON.stringify(file)}`);
          continue;
        }
        for (const side of ['inputs', 'outputs'] as const) {
          const listed = listAt(settings, side).map(String);
          const own = view.graph[side].map((value) => value.name);
          for (const each of listed) {
            if (!own.includes(each)) yield inConfig(`stage ${name}: ${file} has no ${side.slice(0, -1)} ${each}`);
          }
          for (const each of own) {
            if (!listed.includes(each)) yield inConfig(`stage ${name}: its list of ${side} leaves out ${each}`);
          }
        }
        for (const { name: input } of view.graph.inputs) {
          if (!known.has(input)) yield inConfig(`stage ${name}: no earlier stage makes ${input}`);
        }
        for (const { name: output } of view.graph.outputs) known.add(output);
      }
    },
  },
  {
    id: 'border-type',
    severity: 'error',
    advice: 'make both sides of a border with the same options.',
    source: 'onnxruntime-genai src/models/decoder_only_pipeline.cpp: a stage’s output is fed as it is',
    *find({ views }) {
      const made = new Map<string, { file: string; value: ValueInfo }>();
      for (const { file, graph } of views) {
        for (const value of graph.inputs) {
          const maker = made.get(value.name);
          const fits = !maker || (maker.value.dtype === value.dtype && maker.value.shape.length === value.shape.length);
          if (!fits) {
            const message = `input ${value.name} is ${signature(value)}; ${maker.file} makes ${signature(maker.value)}`;
            yield { file, node: null, message };
          }
        }
        for (const value of graph.outputs) made.set(value.name, { file, value });
      }
    },
  },
  {
    id: 'external-data',
    severity: 'error',
    advice: 'copy the whole package again.',
    source: 'onnx docs/ExternalData.md: a path below the model’s directory, offset and length within the file',
    *find({ views, files }) {
      for (const { file, graph, external } of views) {
        for (const { name, dtype, shape } of graph.initializers) {
          const place = external[name];
          if (!place) continue;
          const [size, needed] = [files[place.file], bytesOf(dtype, shape)];
          // Without a length the tensor takes as much as it needs.
          const nbytes = Number.isNaN(place.nbytes) ? (needed ?? 0) : place.nbytes;
          const end = place.offset + nbytes;
          const complain = (found: string): Hit => ({ file, node: null, message: `weight ${name}: ${found}` });
          if (size === undefined) yield complain(`the package has no file ${JSON.stringify(place.file)}`);
          else if (!(place.offset >= 0 && end <= size)) {
            yield complain(`bytes ${place.offset} to ${end} of ${place.file}, which has ${size}`);
          } else if (needed !== undefined && nbytes !== needed) {
            yield complain(`${nbytes} bytes for ${dtype} [${shape.join(', ')}], which takes ${needed}`);
          }
        }
      }
    },
  },
  {
    id: 'shared-weights',
    severity: 'warning',
    advice: 'write both graphs over one weight file; QNN shares it with ep.share_ep_contexts.',
    source: 'onnxruntime-genai and Olive ee6f40f, StaticLLM: context and iterator share one data file',
    *find({ views }) {
      const [first, ...others] = views.filter((view) => view.onDevice);
      for (const { file, external } of others) {
        for (const [name, place] of Object.entries(external)) {
          const shared = first.external[name];
          const same = shared && shared.file === place.file && shared.offset === place.offset;
          if (same) continue;
          yield {
            file,
            node: null,
            message: shared
              ? `weight ${name} has a copy of its own beside that of ${first.file}`
              : `${first.file} has no weight ${name}`,
          };
        }
      }
    },
  },
  {
    id: 'pad-token',
    severity: 'note',
    advice: 'set pad_token_id to an id that no prompt holds.',
    source: 'onnxruntime-genai src/models/input_ids.cpp: the first pad id ends the prompt',
    *find({ genai }) {
      const pad = at(genai, 'model', 'pad_token_id');
      for (const key of ['eos_token_id', 'bos_token_id']) {
        const ids = [at(genai, 'model', key)].flat();
        if (pad !== undefined && ids.includes(pad)) {
          yield inConfig(`pad_token_id ${String(pad)} is also ${key}: a prompt that holds it is cut there`);
        }
      }
    },
  },
];
