import { createHash } from 'node:crypto';
import type { Checkpoint } from '../core/checkpoint.js';
import type { GgufMetadata } from '../core/gguf.js';
import type { JsonObject } from '../core/json.js';
import { swallowsSpacesAsPhi3 } from '../formats/gguf/name.js';
import { PROBE } from '../formats/gguf/pretokenizers.js';
import { ggufTokenizer } from '../formats/gguf/tokenizer.js';
import { readTokenizerFiles } from '../formats/tokenizer-files.js';
import { openTokenizer } from './tokenizer.js';

/** The tokenizer of a checkpoint as metadata of a GGUF file, and whether its special tokens are read as Phi-3's. */
export async function tokenizerMetadata(
  checkpoint: Checkpoint,
  config: JsonObject,
): Promise<{ metadata: GgufMetadata; isPhi3: boolean; notes: string[] }> {
  const files = readTokenizerFiles(checkpoint.dir);
  if (!files) {
    return {
      metadata: { 'tokenizer.ggml.model': { type: 'string', value: 'none' } },
      isPhi3: false,
      notes: [
        'the checkpoint has no tokenizer.json: the file holds no tokenizer. llama.cpp runs it on token ids; programs that ' +
          'ask it for the text of a token, such as node-llama-cpp, end at loading: put tokenizer.json beside config.json for those.',
      ],
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
  return { metadata, isPhi3: swallowsSpacesAsPhi3(files.tokenizer.added_tokens), notes: [] };
}
