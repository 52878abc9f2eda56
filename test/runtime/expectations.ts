import * as assert from 'uvu/assert';
import type { HalfbyteError } from '../../src/core/errors.js';

/** Awaits a rejection with an error of this class whose message matches, and returns the error. */
export async function rejects(
  promise: Promise<unknown>,
  // biome-ignore lint/suspicious/noExplicitAny: each error class has its own constructor
  type: new (...parts: any[]) => HalfbyteError,
  message: RegExp,
): Promise<HalfbyteError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.instance(error, type);
  assert.match((error as HalfbyteError).message, message);
  return error as HalfbyteError;
}

/** The largest absolute difference of two arrays of equal length; NaN differs from everything. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  assert.is(a.length, b.length, 'lengths');
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}
