/** Flags of a command by their long name: `flag` takes no value, `value` takes one. */
export type FlagNames = Record<string, 'flag' | 'value'>;

/** Words of a command line as a POSIX shell takes them again, without the flags of `hidden`. */
export function commandLine(words: readonly string[], hidden: FlagNames = {}): string {
  const kept: string[] = [];
  let rest = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    const [, name, joined] = /^--([a-z0-9-]+)(=)?/.exec(word) ?? [];
    const kind = rest || name === undefined ? undefined : hidden[name];
    if (kind === undefined) kept.push(quoted(word));
    else if (kind === 'value' && !joined) at++;
    if (word === '--') rest = true;
  }
  return kept.join(' ');
}

/** A word as it is where no shell would read anything into it, else in single quotes. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
