/**
 * A table whose look-ups find its own entries alone. Names from files are looked up in tables, and a plain object also
 * has what it inherits: `constructor`, `toString`, and `__proto__`, which cannot even be set.
 */
export const own = <T>(entries: Readonly<Record<string, T>> = {}): Record<string, T> =>
  Object.assign(Object.create(null), entries);
