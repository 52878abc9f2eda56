import { InterruptedError, UsageError } from '../core/errors.js';
import type { ProgressListener } from '../core/progress.js';
import type { CalibrateRequest } from '../stages/calibrate.js';
import type { ConvertSettings } from '../stages/convert.js';
import type { ConvertRequest } from '../stages/convert-options.js';
import type { GenerateOptions as GenerateSettings } from '../stages/generate.js';
import type { QuantizeSettings } from '../stages/quantize.js';
import type { QuantizeRequest } from '../stages/quantize-options.js';
import type { VerifyOptions as VerifySettings } from '../stages/verify.js';

/** Columns of a matrix that share a scale; `channel` is all of them. */
export type GroupSize = number | 'channel';

interface Stopped {
  /** Ends the work with an InterruptedError when it fires. */
  signal?: AbortSignal | undefined;
}

interface Watched extends Stopped {
  onProgress?: ProgressListener | undefined;
}

interface Noted extends Watched {
  /** Hears what was decided for the caller and what is worth knowing, a sentence a call. */
  onNote?: ((text: string) => void) | undefined;
}

type Scheme<Request> = Omit<Request, 'groupSize'> & { groupSize?: GroupSize | undefined };
type Writing<Settings> = Omit<Settings, 'dryRun' | 'threads' | 'accepts'> & { dryRun?: boolean | undefined };

export interface ConvertOptions extends Scheme<ConvertRequest>, Writing<ConvertSettings>, Noted {}

export interface QuantizeOptions extends Scheme<QuantizeRequest>, Writing<QuantizeSettings>, Noted {}

export interface VerifyOptions
  extends Omit<VerifySettings, 'path' | 'ids' | 'gates' | 'strict' | 'reproduce' | 'onProgress'>,
    Watched {
  /** Token ids to compare on besides. */
  ids?: number[][] | undefined;
  /** Demands, as `kl_divergence<0.02`. */
  gates?: string[] | undefined;
  /** Ambiguous counts as failed in reports; the verdict stays what it is. */
  strict?: boolean | undefined;
  /** What the report says of how to make it again; default: this call. */
  reproduce?: string | undefined;
}

export interface InspectOptions extends Stopped {
  /** Holds the graphs of a package to the rules of this device: qnn, openvino, vitisai. */
  lint?: string | undefined;
}

export interface CalibrateOptions extends CalibrateRequest {}

export interface GenerateOptions extends Omit<GenerateSettings, 'package'> {}

interface OptionsOf {
  convert: ConvertOptions;
  quantize: QuantizeOptions;
  verify: VerifyOptions;
  inspect: InspectOptions;
  calibrate: CalibrateOptions;
  generate: GenerateOptions;
}

/** Every option of a stage, and whether it may be left out: the compiler holds the lists below to the types above. */
type Listed<Options> = {
  [Key in keyof Required<Options>]: Record<never, never> extends Pick<Options, Key> ? 'optional' : 'needed';
};

const scheme = {
  weights: 'optional',
  groupSize: 'optional',
  asymmetric: 'optional',
  scales: 'optional',
  algorithm: 'optional',
  only: 'optional',
  skip: 'optional',
  override: 'optional',
} as const;
const writing = {
  output: 'needed',
  dryRun: 'optional',
  force: 'optional',
  workers: 'optional',
  maxMemory: 'optional',
  shard: 'optional',
  sha256: 'optional',
  onProgress: 'optional',
  onNote: 'optional',
  signal: 'optional',
} as const;

const listed: { [Stage in keyof OptionsOf]: Listed<OptionsOf[Stage]> } = {
  convert: {
    ...scheme,
    ...writing,
    target: 'optional',
    embeddings: 'optional',
    lmHead: 'optional',
    accuracyLevel: 'optional',
    contextLength: 'optional',
    prefill: 'optional',
    activations: 'optional',
    attention: 'optional',
    mla: 'optional',
    experts: 'optional',
    runtime: 'optional',
    foundry: 'optional',
    strictConfig: 'optional',
    calibration: 'optional',
  },
  quantize: {
    ...scheme,
    ...writing,
    layout: 'needed',
    strategy: 'optional',
    preset: 'optional',
    unknownArchitecture: 'optional',
    maxShardSize: 'optional',
    errors: 'optional',
    gates: 'optional',
    reports: 'optional',
    reproduce: 'optional',
  },
  verify: {
    reference: 'optional',
    referenceCommand: 'optional',
    referenceTimeout: 'optional',
    saveReference: 'optional',
    saveReferenceTop: 'optional',
    gates: 'optional',
    text: 'optional',
    windows: 'optional',
    ids: 'optional',
    strict: 'optional',
    threads: 'optional',
    reports: 'optional',
    force: 'optional',
    reproduce: 'optional',
    onProgress: 'optional',
    signal: 'optional',
  },
  inspect: { lint: 'optional', signal: 'optional' },
  calibrate: {
    output: 'needed',
    textFile: 'optional',
    idsFile: 'optional',
    tokens: 'optional',
    sequenceLength: 'optional',
    force: 'optional',
    onProgress: 'optional',
    signal: 'optional',
  },
  generate: {
    prompt: 'optional',
    ids: 'optional',
    chat: 'optional',
    system: 'optional',
    maxNewTokens: 'optional',
    greedy: 'optional',
    temperature: 'optional',
    topK: 'optional',
    topP: 'optional',
    repetitionPenalty: 'optional',
    seed: 'optional',
    speculate: 'optional',
    threads: 'optional',
    onText: 'optional',
    forTerminal: 'optional',
    signal: 'optional',
  },
};

/**
 * Options that callers without a compiler may have misspelt: a gate that nobody reads would let everything pass. Throws
 * UsageError, and InterruptedError where the signal has fired before the work began.
 */
export function checked<Stage extends keyof OptionsOf>(
  stage: Stage,
  path: string,
  options: OptionsOf[Stage],
): OptionsOf[Stage] {
  const given: Record<string, unknown> = { ...options };
  const known: Record<string, 'needed' | 'optional'> = listed[stage];
  if (typeof path !== 'string')
    throw new UsageError(`${stage}: the first argument is ${typeof path}; needed is a path.`);
  for (const [name, kind] of Object.entries(known)) {
    if (kind === 'needed' && given[name] === undefined) throw new UsageError(`${stage} needs the option ${name}.`);
  }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue;
    throw new UsageError(`${stage} has no option "${name}".`, `its options are ${Object.keys(known).join(', ')}.`);
  }
  if (options.signal?.aborted) throw new InterruptedError(`Interrupted before ${stage} began.`);
  return options;
}
