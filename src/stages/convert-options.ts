import type { DecoderConfig } from '../core/architecture.js';
import { UsageError } from '../core/errors.js';
import { GENAI_VERSIONS, type GenaiVersion } from '../core/genai-versions.js';
import type { ConvertOptions } from '../core/options.js';
import type { QuantizationAlgorithm, QuantizationArgs, Scheme } from '../core/scheme.js';
import type { Target } from '../core/target.js';
import { servedPositions } from '../model/model.js';
import { find, spelledId, unknownId } from '../registry.js';

/** What the command line says about a conversion; undefined takes the target's default, then the general one. */
export interface ConvertRequest {
  target?: string | undefined;
  weights?: string | undefined;
  embeddings?: string | undefined;
  lmHead?: string | undefined;
  groupSize?: string | undefined;
  asymmetric?: boolean | undefined;
  scales?: 'f32' | 'f16' | undefined;
  algorithm?: QuantizationAlgorithm | undefined;
  accuracyLevel?: number | undefined;
  contextLength?: number | undefined;
  prefill?: number | undefined;
  activations?: ConvertOptions['activations'] | undefined;
  attention?: ConvertOptions['attention'] | undefined;
  mla?: ConvertOptions['mla'] | undefined;
  experts?: ConvertOptions['experts'] | undefined;
  /** Name in Foundry Local's cache. */
  foundry?: string | undefined;
  /** As `genai@0.15`. */
  runtime?: string | undefined;
  only?: string[] | undefined;
  skip?: string[] | undefined;
  override?: string[] | undefined;
  /** Refuse config keys that the architecture does not know. */
  strictConfig?: boolean | undefined;
}

const GENERAL = { weights: 'int4', groupSize: '32', accuracyLevel: 4, prefill: 64 };

/** Reads `--group-size`. */
export function groupSize(text: string): Pick<QuantizationArgs, 'strategy' | 'group_size'> {
  if (text === 'channel') return { strategy: 'channel' };
  const size = Number(text);
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new UsageError(`--group-size ${text}: needed is a number of columns or "channel".`, '--group-size 32.');
  }
  return { strategy: 'group', group_size: size };
}

/** A scheme named on the command line, with the settings that go with it. Float schemes have none. */
async function schemeArgs(
  flag: string,
  spelled: string,
  request: ConvertRequest,
  target: Target,
  group: string,
): Promise<QuantizationArgs> {
  const id = spelledId(spelled);
  const scheme: Scheme | undefined = await find('schemes', id);
  // Formats of llama.cpp, whose blocks no graph of ONNX reads.
  if (/^(i?q\d|tq\d)/.test(id)) {
    throw new UsageError(
      `--${flag} ${spelled}: is a format of llama.cpp, which an ONNX package cannot hold.`,
      `halfbyte quantize <checkpoint> --layout gguf --weights ${id}, or --${flag} int4 here.`,
    );
  }
  if (!scheme) throw new UsageError(`--${flag} ${id}: ${unknownId('schemes', id)}`, `--${flag} int4.`);
  if (scheme.type === 'float') return scheme.defaults;
  const args: QuantizationArgs = {
    ...scheme.defaults,
    ...groupSize(group),
    symmetric: !(request.asymmetric ?? target.defaults.weights?.symmetric === false),
    scale_dtype: request.scales === 'f16' ? 'F16' : 'F32',
    algorithm: request.algorithm ?? scheme.defaults.algorithm,
  };
  if (args.strategy === 'channel') delete args.group_size;
  scheme.check(args);
  return args;
}

/** `pattern=scheme` of `--override`. */
export function splitOverride(text: string): { pattern: string; id: string } {
  const at = text.lastIndexOf('=');
  if (at < 1 || at === text.length - 1) {
    throw new UsageError(
      `--override ${text}: needed is <glob>=<scheme>.`,
      `--override 'model.layers.*.mlp.down_proj.weight=int8'.`,
    );
  }
  return { pattern: text.slice(0, at), id: text.slice(at + 1) };
}

/** Reads `--foundry`: a name, and a version behind a colon where it has one. */
function foundryName(text: string): string {
  if (/^[\w.-]+(:\d+)?$/.test(text)) return text;
  throw new UsageError(
    `--foundry ${text}: needed is a name, with a number behind a colon or without.`,
    '--foundry my-model:1.',
  );
}

/** Reads `--runtime`. */
function runtimeVersion(text: string): GenaiVersion {
  const version = GENAI_VERSIONS.find((each) => text === `genai@${each}`);
  if (version) return version;
  const known = GENAI_VERSIONS.map((each) => `genai@${each}`);
  throw new UsageError(
    `--runtime ${text}: known are ${known.join(', ')}.`,
    `--runtime ${known.at(-1)}, or leave it out.`,
  );
}

const presetGroup = (preset: QuantizationArgs | undefined): string =>
  preset?.strategy === 'channel' ? 'channel' : (preset?.group_size?.toString() ?? GENERAL.groupSize);

const defaultContextLength = (target: Target, positions: number, prefill: number): number =>
  target.contextLength?.(positions, prefill) ?? positions;

/** Completes what the command line says with the defaults of target and model. Throws UsageError. */
export async function convertOptions(
  request: ConvertRequest,
  target: Target,
  config: DecoderConfig,
): Promise<ConvertOptions> {
  const preset = target.defaults;
  const group = request.groupSize ?? presetGroup(preset.weights);
  const scheme = (flag: string, id: string) => schemeArgs(flag, id, request, target, group);
  const weights = request.weights ?? preset.weights?.scheme ?? GENERAL.weights;
  const prefill = request.prefill ?? preset.prefill ?? GENERAL.prefill;
  const options: ConvertOptions = {
    target: request.target ?? 'cpu',
    weights: await scheme('weights', weights),
    embeddings: await endScheme('embeddings', request.embeddings, preset.embeddings),
    lmHead: await endScheme('lm-head', request.lmHead, preset.lmHead),
    only: request.only ?? [],
    skip: request.skip ?? [],
    overrides: await Promise.all(
      (request.override ?? []).map(splitOverride).map(async ({ pattern, id }) => ({
        pattern,
        scheme: await scheme('override', id),
      })),
    ),
    accuracyLevel: request.accuracyLevel ?? GENERAL.accuracyLevel,
    contextLength: request.contextLength ?? defaultContextLength(target, servedPositions(config), prefill),
    prefill,
    activations: request.activations ?? preset.activations ?? 'f32',
    attention: request.attention ?? preset.attention ?? 'gqa',
    mla: request.mla ?? preset.mla ?? 'latent',
    experts: request.experts ?? preset.experts ?? 'auto',
    ...(request.foundry === undefined ? {} : { foundry: foundryName(request.foundry) }),
    ...(request.runtime === undefined ? {} : { runtime: runtimeVersion(request.runtime) }),
  };
  target.check(options);
  return options;

  /** An end of the model: as named, else as the target has it, else like every other matrix. */
  async function endScheme(flag: string, id: string | undefined, fallback: QuantizationArgs | undefined) {
    if (id !== undefined) return schemeArgs(flag, id, request, target, fallback?.group_size?.toString() ?? group);
    return fallback ?? scheme('weights', weights);
  }
}
