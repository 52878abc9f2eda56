import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Smaller inputs are opened within a second: a child, which takes some 0.2 seconds to start, would not be noticed. */
const LARGE = 16 * 2 ** 20;

/** Whether a file that is named, or the files of a folder that is, are so large that opening them may take a while. */
export function namesLargeInput(words: readonly string[]): boolean {
  const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return words.some((word) => {
    try {
      const found = word.startsWith('-') ? undefined : statSync(word, { throwIfNoEntry: false });
      if (!found?.isDirectory()) return (found?.size ?? 0) > LARGE;
      return readdirSync(word).reduce((sum, name) => sum + sizeOf(join(word, name)), 0) > LARGE;
    } catch {
      // Whatever it is, the command says it.
      return false;
    }
  });
}
