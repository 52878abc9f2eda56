/** Whether a name matches a glob in which `*` stands for any run of characters, dots included, and `?` for one. */
export function matchesGlob(name: string, glob: string): boolean {
  const escaped = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`, 's').test(name);
}
