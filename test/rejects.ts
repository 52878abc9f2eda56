import * as assert from 'uvu/assert';
import type { UsageError } from '../src/core/errors.js';

/** Awaits an error of this class whose message or advice matches every pattern. */
export async function rejects(
  run: Promise<unknown>,
  type: new (...args: never[]) => Error,
  ...patterns: RegExp[]
): Promise<void> {
  try {
    await run;
  } catch (error) {
    assert.instance(error, type, String(error));
    const told = `${(error as Error).message} ${(error as UsageError).advice}`;
    for (const pattern of patterns) assert.match(told, pattern);
    return;
  }
  assert.unreachable('was not refused');
}
