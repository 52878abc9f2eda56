import { dirname } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { EnvironmentError, InvalidInputError } from '../core/errors.js';

export type OnnxRuntime = typeof Ort;

/** Settings of an ONNX Runtime session. */
export interface SessionSettings {
  /** Threads inside an operator; default: ONNX Runtime's, one a physical core. */
  threads?: number | undefined;
  /**
   * `all` fuses DequantizeLinear + MatMul into MatMulNBits with int8 activations; to run such a graph as it is written,
   * use `basic`.
   */
  graphOptimizationLevel?: 'disabled' | 'basic' | 'extended' | 'layout' | 'all' | undefined;
  /** Entries of onnxruntime_session_options_config_keys.h, without the leading `session.`. */
  configEntries?: Record<string, string> | undefined;
}

/** Loads onnxruntime-node at its first use: it is 300 MB that most commands do not need. Throws EnvironmentError. */
export async function loadOnnxRuntime(
  load: () => Promise<object> = () => import('onnxruntime-node'),
): Promise<OnnxRuntime> {
  try {
    const module = (await load()) as OnnxRuntime & { default?: OnnxRuntime };
    // CommonJS: whether its names are exports of their own depends on who loads it (Node, a bundler, tsx).
    const ort = module.default ?? module;
    settleHalves(ort);
    return ort;
  } catch (error) {
    throw new EnvironmentError(
      `onnxruntime-node does not load on this machine: ${firstLine(error)}`,
      'install it with ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node (64-bit Linux, macOS or Windows).',
    );
  }
}

/**
 * Makes float16 tensors hold Uint16Array. onnxruntime-common decides with its first tensor, and takes Float16Array where
 * the engine has one (Node 24), which the binding does not know: it finds 0 bytes in it.
 */
function settleHalves({ Tensor }: OnnxRuntime): void {
  const own = Object.getOwnPropertyDescriptor(globalThis, 'Float16Array');
  if (own) Reflect.deleteProperty(globalThis, 'Float16Array');
  try {
    new Tensor('float32', new Float32Array(1), [1]);
  } finally {
    if (own) Object.defineProperty(globalThis, 'Float16Array', own);
  }
}

/** Opens an ONNX file on the CPU. Throws InvalidInputError where ONNX Runtime refuses it. */
export async function openSession(
  file: string,
  settings: SessionSettings = {},
): Promise<{ ort: OnnxRuntime; session: Ort.InferenceSession }> {
  const ort = await loadOnnxRuntime();
  try {
    const session = await ort.InferenceSession.create(file, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: settings.graphOptimizationLevel ?? 'all',
      // Errors are thrown as well; ONNX Runtime's own lines on stderr would tell them twice.
      logSeverityLevel: 4,
      ...(settings.threads === undefined ? {} : { intraOpNumThreads: settings.threads }),
      ...(settings.configEntries === undefined ? {} : { extra: { session: settings.configEntries } }),
    });
    return { ort, session };
  } catch (error) {
    throw outOfMemory(error, file) ?? refused(file, error);
  }
}

/**
 * Opens a model from memory whose external data lies in `dir`; `file` is what messages call it. Throws
 * InvalidInputError where ONNX Runtime refuses it.
 */
export async function openSessionOf(
  model: Uint8Array,
  file: string,
  settings: SessionSettings = {},
): Promise<{ ort: OnnxRuntime; session: Ort.InferenceSession }> {
  const ort = await loadOnnxRuntime();
  try {
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: settings.graphOptimizationLevel ?? 'all',
      logSeverityLevel: 4,
      ...(settings.threads === undefined ? {} : { intraOpNumThreads: settings.threads }),
      // A model from memory has no folder of its own in which external data could be looked for.
      extra: { session: { ...settings.configEntries, model_external_initializers_file_folder_path: dirname(file) } },
    });
    return { ort, session };
  } catch (error) {
    const refusal = `${file}: ONNX Runtime does not show values inside this graph: ${firstLine(error)}`;
    throw outOfMemory(error, file) ?? new InvalidInputError(refusal);
  }
}

/** Runs a session; ONNX Runtime's errors become ours and name the file. */
export async function runSession(
  session: Ort.InferenceSession,
  file: string,
  feeds: Ort.InferenceSession.FeedsType,
  fetches: Ort.InferenceSession.FetchesType,
): Promise<Ort.InferenceSession.ReturnType> {
  try {
    return await session.run(feeds, fetches);
  } catch (error) {
    throw (
      outOfMemory(error, file) ??
      new InvalidInputError(
        `${file}: ONNX Runtime failed while running this graph: ${firstLine(error)}`,
        'check the package with halfbyte verify, or convert the checkpoint again.',
      )
    );
  }
}

function refused(file: string, error: unknown): InvalidInputError {
  return new InvalidInputError(
    `${file}: ONNX Runtime cannot load this graph: ${firstLine(error)}`,
    'copy the package again with all its files, or convert the checkpoint again.',
  );
}

function outOfMemory(error: unknown, file: string): EnvironmentError | null {
  const message = error instanceof Error ? error.message : String(error);
  if (!/bad_alloc|failed to allocate memory|Array buffer allocation failed/i.test(message)) return null;
  return new EnvironmentError(
    `${file}: not enough memory: ${firstLine(error)}`,
    'close other programs, or use a smaller context.',
  );
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] as string;
}
