import type { ProgressListener } from '../core/progress.js';
import type { SaveSettings } from './referees/saved-reference.js';
import type { SetRequest } from './tokens/choose-sets.js';

export interface VerifySettings extends SetRequest {
  /** Whether the command line says what is good enough. */
  isGated: boolean;
  save?: SaveSettings | undefined;
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress: ProgressListener;
}
