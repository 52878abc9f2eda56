import type { Check, WindowError } from '../../core/verify-report.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';
import { atMost } from '../verdict/limit-check.js';
import { short } from '../verdict/short-number.js';
import { TOLERANCE } from '../verdict/tolerance.js';
import type { RunContext } from './run-context.js';

/** Every prompt window of a pipeline on its own: a window that reads its cache wrongly is a small part of a long text. */
export class WindowErrors {
  readonly #windows = new Map<string, { sequence: number; index: number; tokens: number; sums: ErrorSums }>();

  constructor(
    readonly set: string,
    readonly size: number,
    readonly allowance: RunContext['allowance'],
  ) {}

  add(sequence: number, position: number, expected: Float32Array, actual: Float32Array): void {
    const index = Math.floor(position / this.size);
    const key = `${sequence} ${index}`;
    const window = this.#windows.get(key) ?? { sequence, index, tokens: 0, sums: new ErrorSums() };
    this.#windows.set(key, window);
    window.tokens++;
    window.sums.add(expected, actual);
  }

  get errors(): WindowError[] {
    return [...this.#windows.values()].map(({ sequence, index, tokens, sums }) => ({
      set: this.set,
      sequence,
      index,
      from: index * this.size,
      tokens,
      relativeError: sums.signal === 0 ? 0 : Math.sqrt(sums.noise / sums.signal),
      maxAbsDifference: sums.greatest,
    }));
  }

  /** The worst window against what the whole may be off: the bound of a root mean square holds for any part. */
  check(): Check {
    const { isExact, relative, reason } = this.allowance;
    const measure = (each: WindowError) => (isExact ? each.maxAbsDifference : each.relativeError);
    const { errors } = this;
    const worst = errors.reduce((a, b) => (measure(b) <= measure(a) ? a : b));
    const limit = isExact ? TOLERANCE : relative;
    const place = `window ${worst.index} (positions ${worst.from} to ${worst.from + worst.tokens - 1})`;
    const said = isExact ? short(measure(worst)) : `${short(100 * measure(worst))} %`;
    const most = isExact ? `${TOLERANCE}` : `${short(100 * limit)} %: ${reason}`;
    return atMost({
      id: `windows ${this.set}`,
      group: 'structure',
      measured: measure(worst),
      limit,
      unit: isExact ? 'logits' : 'share of the logits',
      where: `sequence ${worst.sequence}, ${place}`,
      message: `The worst of ${errors.length} prompt windows of ${this.set} is ${place}: its logits are ${said} off what the package's own weights give in full precision (at most ${most}).`,
    });
  }
}

/** Of a pipeline; null for packages that take prompts whole. */
export function windowErrors({ opened, allowance }: RunContext, set: string): WindowErrors | null {
  const { type, decoder } = opened.genai.model;
  const window = decoder.sliding_window?.window_size;
  return type === 'decoder-pipeline' && window ? new WindowErrors(set, window, allowance) : null;
}
