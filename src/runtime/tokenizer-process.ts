/** The process that runs the tokenizer library: started by tokenizer-client.ts, which says why, and ended by it. */
import { AddedToken, Tokenizer } from 'tokenizers';
import type { SpecialToken, TokenizerAnswer, TokenizerRequest, TokenizerSource } from './tokenizer-protocol.js';

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
  refuseChance(tokenizer, [...addedTokens(json), ...special]);
  return tokenizer;
}

function addedTokens(json: string): Pick<SpecialToken, 'content' | 'normalized'>[] {
  const { added_tokens: tokens } = JSON.parse(json) as {
    added_tokens?: Pick<SpecialToken, 'content' | 'normalized'>[];
  };
  return tokens ?? [];
}

/** Of added tokens that the normalizer makes one text of, the library takes one by chance, each time it opens a file. */
function refuseChance(tokenizer: Tokenizer, tokens: Pick<SpecialToken, 'content' | 'normalized'>[]): void {
  const normalizer = tokenizer.getNormalizer();
  if (normalizer === null) return;
  const seen = new Map<string, string>();
  for (const { content, normalized } of tokens) {
    if (normalized === false) continue;
    const text = normalizer.normalizeString(content);
    const other = seen.get(text);
    if (other !== undefined && other !== content) {
      throw new Error(
        `the added tokens ${JSON.stringify(other)} and ${JSON.stringify(content)} are one text after normalization`,
      );
    }
    seen.set(text, content);
  }
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
