/** The process that runs the tokenizer library: started by tokenizer-client.ts, which says why, and ended by it. */
import { AddedToken, Tokenizer } from 'tokenizers';
import type { TokenizerAnswer, TokenizerRequest, TokenizerSource } from './tokenizer-protocol.js';

const open = new Map<number, Tokenizer>();

async function answer(request: TokenizerRequest): Promise<unknown> {
  if (request.kind === 'open') {
    open.set(request.tokenizer, load(request.source));
    return null;
  }
  const tokenizer = open.get(request.tokenizer);
  if (tokenizer === undefined) throw new Error('this tokenizer is not open');
  if (request.kind === 'decode') return tokenizer.decodeBatch(request.ids, true);
  const encoding = await tokenizer.encode(request.text, null, { addSpecialTokens: request.withEnds });
  return encoding.getIds();
}

function load({ json, special }: TokenizerSource): Tokenizer {
  const tokenizer = Tokenizer.fromString(json);
  // Settings of the training that tokenizer.json may hold; transformers switches both off for a plain call.
  tokenizer.disableTruncation();
  tokenizer.disablePadding();
  if (special.length > 0) {
    tokenizer.addAddedTokens(
      special.map(({ content, isSpecial, ...flags }) => new AddedToken(content, isSpecial, flags)),
    );
  }
  return tokenizer;
}

process.on('message', (request: TokenizerRequest) => {
  const send = (message: TokenizerAnswer) => process.send?.(message);
  answer(request).then(
    (value) => send({ value }),
    (error: Error) => send({ error: error.message }),
  );
});
// Not exit(): it waits for the library's threads, which may never be done.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
