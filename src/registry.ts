import { readdirSync } from 'node:fs';
import type { Architecture } from './core/architecture.js';
import type { Layout } from './core/layout.js';
import type { Metric } from './core/metric.js';
import { nearest } from './core/nearest.js';
import type { Scheme } from './core/scheme.js';
import type { Target } from './core/target.js';

/** What a file in each registry folder exports as its default. */
export interface Entries {
  architectures: Architecture;
  schemes: Scheme;
  layouts: Layout;
  targets: Target;
  metrics: Metric;
}
export type RegistryFolder = keyof Entries;

export const REGISTRY_FOLDERS: readonly RegistryFolder[] = [
  'architectures',
  'schemes',
  'layouts',
  'targets',
  'metrics',
];

// .ts where tsx runs the sources, .js in the build.
const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
// In the build this module may lie in any folder beside those of the registry (scripts/bundle.mjs).
const folders = new URL(extension === '.ts' ? './' : '../', import.meta.url);
const listings = new Map<RegistryFolder, readonly string[]>();
// A plan asks for a scheme once a weight, and import() of a loaded module takes 0.07 ms, in the tests (tsx) some 4 ms.
const loaded = new Map<string, Promise<{ default: unknown }>>();

/** The ids of a registry folder, sorted: the names of its files. Subfolders hold what entries share. */
export function ids(folder: RegistryFolder): readonly string[] {
  let listing = listings.get(folder);
  if (!listing) {
    listing = list(new URL(`${folder}/`, folders));
    listings.set(folder, listing);
  }
  return listing;
}

/**
 * The entry with this id, undefined where the folder has none. `id` may come from an untrusted file: only a name that
 * the folder's own listing holds becomes part of a path.
 */
export async function find<F extends RegistryFolder>(folder: F, id: string): Promise<Entries[F] | undefined> {
  const known = ids(folder).find((each) => each === id);
  if (known === undefined) return undefined;
  const path = `${folder}/${known}${extension}`;
  let module = loaded.get(path);
  if (!module) {
    module = import(new URL(path, folders).href);
    loaded.set(path, module);
  }
  return (await module).default as Entries[F];
}

/** An id as people spell it elsewhere: `Q4_K_M`, `Q8_0`, `compressed-tensors`, `BF16`. */
export const spelledId = (text: string): string => text.toLowerCase().replaceAll('-', '_');

/** Text for the error about an id that `find` does not know: what was found, what there is, what was probably meant. */
export function unknownId(folder: RegistryFolder, id: string): string {
  const known = ids(folder);
  const guess = nearest(id, known);
  const shown = JSON.stringify(id.length > 60 ? `${id.slice(0, 60)}...` : id);
  const meant = guess === undefined ? '' : ` Did you mean "${guess}"?`;
  return `unknown ${folder.slice(0, -1)} ${shown}; known are ${known.join(', ') || 'none'}.${meant}`;
}

function list(folder: URL): string[] {
  const isEntry = (name: string) => name.endsWith(extension) && !name.endsWith('.d.ts');
  try {
    const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile() && isEntry(entry.name));
    return files.map((entry) => entry.name.slice(0, -extension.length)).sort();
  } catch (error) {
    // A folder without entries is in no clone and no build.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
