import type { DecoderConfig } from '../../core/architecture.js';
import { GENERIC_TYPE } from '../../core/genai-versions.js';
import type { Graph } from '../../core/graph.js';
import type { JsonObject } from '../../core/json.js';
import type { Check } from '../../core/verify-report.js';
import { type Package, pipelineStagesOf } from '../../formats/package-reader.js';
import { padsOnly, tokenIds } from '../../formats/pad-token.js';

/** What the configs of the reference say: of a checkpoint's own files, or of what the manifest and package keep of them. */
export interface ReferenceConfigs {
  config: JsonObject;
  generationConfig: JsonObject;
  decoder: DecoderConfig;
  /** Positions that the package was made for; null where it does not say. */
  contextLength: number | null;
}

const GENAI = 'genai_config.json';

/** genai_config.json: token ids, sizes and sampling against the reference's configs, one check a key that differs. */
export function checkGenaiConfig(opened: Package, reference: ReferenceConfigs): Check[] {
  const { model, search } = opened.genai;
  const { decoder } = model;
  const { decoder: config, generationConfig } = reference;
  const ids = tokenIds(reference);
  const isPipeline = model.type === 'decoder-pipeline';
  const expected: [key: string, found: unknown, wanted: unknown][] = [
    ['model.eos_token_id', asList(model.eos_token_id), asList(ids.eos_token_id)],
    ['model.bos_token_id', model.bos_token_id ?? null, ids.bos_token_id],
    ['model.vocab_size', model.vocab_size, config.vocab_size],
    ['model.decoder.num_hidden_layers', decoder.num_hidden_layers, config.num_hidden_layers],
    ['model.decoder.hidden_size', decoder.hidden_size, config.hidden_size],
  ];
  if (decoder.num_attention_heads !== undefined) {
    expected.push(['model.decoder.num_attention_heads', decoder.num_attention_heads, config.num_attention_heads]);
  }
  if (reference.contextLength !== null) {
    expected.push(['model.context_length', model.context_length, reference.contextLength]);
  }
  // An id that also begins or ends texts may give way to one that no text has.
  if (padsOnly(ids, config.vocab_size)) {
    expected.push(['model.pad_token_id', model.pad_token_id ?? null, ids.pad_token_id]);
  }
  if (!isPipeline && model.type !== GENERIC_TYPE) expected.push(['model.type', model.type, config.model_type]);
  for (const key of ['do_sample', 'temperature', 'top_k', 'top_p', 'repetition_penalty'] as const) {
    if (generationConfig[key] !== undefined) expected.push([`search.${key}`, search[key], generationConfig[key]]);
  }
  const checks = expected.flatMap(([key, found, wanted]): Check[] => {
    if (JSON.stringify(found) === JSON.stringify(wanted)) return [];
    const message = `${GENAI}: ${key} is ${JSON.stringify(found)}; the reference has ${JSON.stringify(wanted)}.`;
    return [{ id: `config ${key}`, group: 'integrity', verdict: 'fail', message, where: key }];
  });
  if (checks.length > 0) return checks;
  const message = `${GENAI} agrees with the reference in ${expected.length} keys.`;
  return [{ id: 'config', group: 'integrity', verdict: 'pass', message, where: GENAI }];
}

const asList = (value: unknown): unknown[] => [value ?? []].flat();

/** The config that a package was made from against the reference's, as the architecture reads both: one check a key. */
export function checkSourceConfig(packageConfig: DecoderConfig, reference: DecoderConfig): Check[] {
  const ours = packageConfig as unknown as JsonObject;
  const theirs = reference as unknown as JsonObject;
  const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  const differing = keys.filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]));
  if (differing.length === 0) {
    const message = `The package was made from a config that says what the reference's says in ${keys.length} keys.`;
    return [{ id: 'source config', group: 'integrity', verdict: 'pass', message, where: 'config.json' }];
  }
  return differing.map((key) => ({
    id: `source config ${key}`,
    group: 'integrity',
    verdict: 'fail',
    message: `The package was made with ${key} ${JSON.stringify(ours[key])}; the reference's config.json has ${JSON.stringify(theirs[key])}.`,
    where: `config.json ${key}`,
  }));
}

/** Whether every name that genai_config.json gives for an input or output is one of the graph's. */
export function checkGraphNames(opened: Package, graphs: Map<string, Graph>): Check {
  const { decoder } = opened.genai.model;
  const layers = decoder.num_hidden_layers ?? 0;
  const stages = pipelineStagesOf(opened.genai);
  const used: [file: string, kind: 'inputs' | 'outputs', name: string][] =
    stages.length > 0
      ? stages.flatMap(({ filename, inputs, outputs }) => [
          ...inputs.map((name): [string, 'inputs', string] => [filename, 'inputs', name]),
          ...outputs.map((name): [string, 'outputs', string] => [filename, 'outputs', name]),
        ])
      : (['inputs', 'outputs'] as const).flatMap((kind) =>
          Object.values(decoder[kind])
            .flatMap((name) =>
              name.includes('%d')
                ? Array.from({ length: layers }, (_, layer) => name.replace('%d', String(layer)))
                : [name],
            )
            .map((name): [string, 'inputs' | 'outputs', string] => [decoder.filename ?? 'model.onnx', kind, name]),
        );
  const base = { id: 'config names', group: 'integrity' as const, where: GENAI };
  for (const [file, kind, name] of used) {
    if (graphs.get(file)?.[kind].some((each) => each.name === name)) continue;
    const message = `${GENAI}: "${name}" stands among the ${kind} of ${file}, which has none of that name.`;
    return { ...base, verdict: 'fail', message };
  }
  return {
    ...base,
    verdict: 'pass',
    message: `The ${used.length} names of inputs and outputs are those of the graphs.`,
  };
}

/** Heads and their size as genai_config.json says, against the cache that the graphs take: whoever runs it makes that cache. */
export function checkCacheSizes(opened: Package, graphs: Map<string, Graph>): Check[] {
  const { decoder } = opened.genai.model;
  const name = (decoder.inputs.past_key_names ?? 'past_key_values.%d.key').replace('%d', '0');
  const cache = [...graphs.values()].flatMap(({ inputs }) => inputs).find((each) => each.name === name);
  if (!cache) return [];
  const found: [key: string, value: unknown, size: unknown][] = [
    ['num_key_value_heads', decoder.num_key_value_heads, cache.shape[1]],
    ['head_size', decoder.head_size, cache.shape[3]],
  ];
  return found.flatMap(([key, value, size]): Check[] => {
    if (value === undefined || typeof size !== 'number' || value === size) return [];
    const message = `${GENAI}: model.decoder.${key} is ${value}; the graph's ${name} has ${size}.`;
    return [{ id: `config ${key}`, group: 'integrity', verdict: 'fail', message, where: `model.decoder.${key}` }];
  });
}

/** Operators of a graph against the count that the manifest keeps. */
export function checkOperators(file: string, graph: Graph, expected: Readonly<Record<string, number>>): Check {
  const found: Record<string, number> = {};
  for (const { op } of graph.nodes) found[op] = (found[op] ?? 0) + 1;
  const names = [...new Set([...Object.keys(found), ...Object.keys(expected)])].sort();
  const differing = names.filter((op) => (found[op] ?? 0) !== (expected[op] ?? 0));
  const base = { id: `operators ${file}`, group: 'integrity' as const, where: file };
  if (differing.length === 0) {
    const message = `${file} has the ${graph.nodes.length} nodes that halfbyte.json lists.`;
    return { ...base, verdict: 'pass', message };
  }
  const listed = differing.map((op) => `${op} ${found[op] ?? 0} instead of ${expected[op] ?? 0}`).join(', ');
  return { ...base, verdict: 'fail', message: `${file} has other operators than halfbyte.json lists: ${listed}.` };
}
