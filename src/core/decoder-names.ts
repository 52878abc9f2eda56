/** Where a checkpoint keeps its decoder: the prefixes of its layers and of its head, '' for none. */
export interface DecoderPlace {
  body: string;
  head: string;
}

/** As transformers writes a causal model, and as the architectures name their weights. */
const USUAL: DecoderPlace = { body: 'model.', head: '' };

/** Segments of a prefix that say "the text model" where the layers have no embedding table beside them. */
const TEXT_SEGMENTS = new Set(['model', 'language_model', 'text_model']);

const LAYERS = /^((?:[^.]+\.)*?)layers\.\d+\./;
const TABLE = /^((?:[^.]+\.)*?)embed_tokens\./;
const HEAD = /^((?:[^.]+\.)*?)lm_head\./;

function prefixesOf(names: Iterable<string>, pattern: RegExp): Set<string> {
  const found = new Set<string>();
  for (const name of names) {
    const prefix = pattern.exec(name)?.[1];
    if (prefix !== undefined && !LAYERS.test(prefix)) found.add(prefix);
  }
  return found;
}

/**
 * Where the decoder is among `names`: base models lack `model.`, multimodal ones have `language_model.` and more before
 * or behind it. A stack of layers is the decoder if its embedding table stands beside it; vision and audio encoders
 * have none. Where more than one could be meant, or none, the names count as they are.
 */
export function decoderPlace(names: Iterable<string>): DecoderPlace {
  const all = [...names];
  const stacks = [...prefixesOf(all, LAYERS)];
  const tables = prefixesOf(all, TABLE);
  const beside = stacks.filter((prefix) => tables.has(prefix));
  // a tied model may store its table as the head alone
  const called = stacks.filter((prefix) =>
    prefix
      .split('.')
      .slice(0, -1)
      .every((each) => TEXT_SEGMENTS.has(each)),
  );
  const bodies = tables.size === 0 ? called : beside;
  const heads = [...prefixesOf(all, HEAD)];
  return {
    body: bodies.length === 1 ? bodies[0] : USUAL.body,
    head: heads.length === 1 ? heads[0] : USUAL.head,
  };
}

/** The part of a decoder that a stored name belongs to, undefined for what is no part of it. */
export function partOfDecoder(name: string, { body, head }: DecoderPlace): 'head' | 'body' | undefined {
  if (name.startsWith(`${head}lm_head.`)) return 'head';
  return name.startsWith(body) ? 'body' : undefined;
}

/** A stored name as the architectures have it; what is no part of the decoder keeps its name. */
export function architectureName(name: string, place: DecoderPlace): string {
  const part = partOfDecoder(name, place);
  if (part === 'head') return name.slice(place.head.length);
  return part === 'body' ? `${USUAL.body}${name.slice(place.body.length)}` : name;
}
