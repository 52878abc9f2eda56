import { InterruptedError } from '../../core/errors.js';

export function stopIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new InterruptedError('Interrupted while verifying.');
}
