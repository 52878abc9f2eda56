import type { Checkpoint } from './checkpoint.js';

/** What of a multimodal checkpoint is not read, in a sentence. */
export function leftOutText({ model_type, names, nbytes }: NonNullable<Checkpoint['leftOut']>): string {
  const parts = [...new Set(names.map((name) => name.replace(/^model\./, '').split('.')[0]))].sort();
  const what = parts.length === 0 ? 'nothing else is stored' : `left out are ${parts.join(', ')}`;
  const size = nbytes < 1e6 ? `${(nbytes / 1e3).toFixed(1)} kB` : `${(nbytes / 1e6).toFixed(1)} MB`;
  return `${model_type}: the text model is taken, with its text_config; ${what} (${names.length} tensors, ${size}).`;
}
