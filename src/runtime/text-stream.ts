/** Text that comes token by token and never as half a character. */
export interface TextStream {
  /** Text that the id completes; empty while a character or a merge is still open. */
  push(id: number): Promise<string>;
  /** What is still held back, with U+FFFD for bytes that never became a character. */
  end(): Promise<string>;
}

/** Ids of the text before that are decoded along: enough for any rule about the first token of a text. */
const SEAM = 8;

/**
 * Decodes a growing text in small windows: each window starts where the last one that ended on a whole character
 * started to print, so that decoders which treat a first token differently see the same start twice (vLLM's
 * detokenize_incrementally).
 */
export function textStream(decode: (ids: readonly number[]) => Promise<string>, before: readonly number[]): TextStream {
  let window = before.slice(-SEAM);
  let printed = window.length;
  const unprinted = async () => (await decode(window)).slice((await decode(window.slice(0, printed))).length);
  return {
    async push(id) {
      window.push(id);
      const text = await unprinted();
      // U+FFFD at the end: the bytes of a character that is not complete yet.
      if (text.length === 0 || text.endsWith('\uFFFD')) return '';
      window = window.slice(printed);
      printed = window.length;
      return text;
    },
    async end() {
      const text = await unprinted();
      window = [];
      printed = 0;
      return text;
    },
  };
}
