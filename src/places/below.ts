import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A model below a folder: its path, joined to the folder's, and what it is by the names of its files. */
export interface Place {
  path: string;
  kind: 'checkpoint' | 'package' | 'GGUF file';
}

/** How deep models are looked for: models/owner/name/snapshots/revision is four. */
const DEPTH = 4;
/** Folders that are looked into, and places that are told, at most. */
const FOLDERS = 2000;
const PLACES = 20;

/**
 * Checkpoints, packages and GGUF files below a folder, in order of their paths, the nearest folders first; none where the
 * folder is itself a checkpoint, a package or the place of one GGUF file. Links to folders are not followed.
 */
export function placesBelow(dir: string): Place[] {
  if (!(statSync(dir, { throwIfNoEntry: false })?.isDirectory() ?? false)) return [];
  const own = modelsIn(dir);
  if (own.length === 1) return [];
  const places = [...own];
  let folders = own.length > 0 ? [] : foldersIn(dir);
  let looked = 0;
  for (let depth = 1; depth <= DEPTH && folders.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of folders) {
      if (looked++ >= FOLDERS || places.length >= PLACES) return places.slice(0, PLACES);
      const found = modelsIn(folder);
      places.push(...found);
      if (found.length === 0) next.push(...foldersIn(folder));
    }
    folders = next;
  }
  return places.slice(0, PLACES);
}

/** What a folder is: a package, a checkpoint, or the place of GGUF files. */
function modelsIn(folder: string): Place[] {
  const names = entriesOf(folder).map(({ name }) => name);
  if (names.includes('genai_config.json')) return [{ path: folder, kind: 'package' }];
  if (names.includes('config.json')) return [{ path: folder, kind: 'checkpoint' }];
  // Parts of one file are one.
  const files = names.filter((name) => name.endsWith('.gguf') && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/.test(name));
  return files.map((name) => ({ path: join(folder, name), kind: 'GGUF file' as const }));
}

const foldersIn = (folder: string): string[] =>
  entriesOf(folder)
    .filter((entry) => entry.isDirectory() && !/^(\.git|node_modules)$/.test(entry.name))
    .map(({ name }) => join(folder, name));

/** In order of their names; none of a folder that cannot be read. */
function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}
