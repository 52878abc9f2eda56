import { InterruptedError } from './errors.js';

/** Throws InterruptedError once `signal` says so; `doing` is what that ends, as `verifying`. */
export function stopIfAsked(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted) throw new InterruptedError(`Interrupted while ${doing}.`);
}
