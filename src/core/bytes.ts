const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** A size for people, in decimal units with three digits: 999 B, 1.23 MB, 45.6 GB. */
export function formatBytes(bytes: number): string {
  let size = bytes;
  let unit = 0;
  // 999.5 would be printed as 1000.
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  if (unit === 0) return `${Math.round(size)} B`;
  return `${size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${units[unit]}`;
}

/** How many parameters, for people: 0.15 million, 671.00 million, 1.78 billion. */
export function formatParameters(count: number): string {
  // 999.995 would be printed as 1000.00.
  const [scaled, name] = count < 999.995e6 ? [count / 1e6, 'million'] : [count / 1e9, 'billion'];
  return `${scaled.toFixed(2)} ${name} parameters`;
}
