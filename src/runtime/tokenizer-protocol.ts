/** A token that tokenizer_config.json adds, with the flags of the library. */
export interface SpecialToken {
  content: string;
  isSpecial: boolean;
  singleWord: boolean;
  leftStrip: boolean;
  rightStrip: boolean;
  normalized: boolean;
}

/** tokenizer.json and what tokenizer_config.json adds to it. */
export interface TokenizerSource {
  json: string;
  special: readonly SpecialToken[];
}

/** What the tokenizers' process is asked; `tokenizer` is a number that the caller chose with `open`. */
export type TokenizerRequest = { tokenizer: number } & (
  | { kind: 'open'; source: TokenizerSource }
  /** Ids of a text; `withEnds` runs the post-processor. */
  | { kind: 'encode'; text: string; withEnds: boolean }
  /** A text for each list of ids, special tokens left out. */
  | { kind: 'decode'; ids: number[][] }
);
export type TokenizerAnswer = { value: unknown } | { error: string };
