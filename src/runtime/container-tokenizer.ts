import { createHash } from 'node:crypto';
import type { Checkpoint } from '../core/checkpoint.js';
import type { GgufMetadata } from '../core/gguf.js';
import type { JsonObject } from '../core/json.js';
import { PROBE } from '../formats/gguf/pretokenizers.js';
import { ggufTokenizer } from '../formats/gguf/tokenizer.js';
import { readTokenizerFiles } from '../formats/tokenizer-files.js';
import { openTokenizer } from './tokenizer.js';

/** The tokenizer of a checkpoint as metadata of a GGUF file. */
export async function tokenizerMetadata(
  checkpoint: Checkpoint,
  config: JsonObject,
): Promise<{ metadata: GgufMetadata; notes: string[] }> {
  const files = readTokenizerFiles(checkpoint.dir);
  if (!files) {
    return {
      metadata: { 'tokenizer.ggml.model': { type: 'string', value: 'none' } },
      notes: ['the checkpoint has no tokenizer.json: the file holds no tokenizer, and takes and gives token ids only.'],
    };
  }
  const metadata = await ggufTokenizer(files, config, async () => {
    // an incomplete vocabulary cannot encode the probe, and is none of those known by it
    try {
      const tokenizer = await openTokenizer(files, checkpoint.dir);
      const ids = await tokenizer.encode(PROBE);
      return createHash('sha256')
        .update(`[${ids.join(', ')}]`)
        .digest('hex');
    } catch {
      return undefined;
    }
  });
  return { metadata, notes: [] };
}
