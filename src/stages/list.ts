import { UsageError } from '../core/errors.js';
import { find, ids, REGISTRY_FOLDERS, type RegistryFolder, spelledId } from '../registry.js';

/** An entry of a registry folder with what there is to say about it in a few words. */
export interface ListedEntry {
  id: string;
  about: string;
}

export interface Listing {
  what: RegistryFolder;
  entries: ListedEntry[];
}

/** Lists what there is of a kind: targets, layouts, schemes, architectures or metrics. Throws UsageError for others. */
export async function list(what: string): Promise<Listing> {
  const folder = REGISTRY_FOLDERS.find((each) => each === spelledId(what) || each === `${spelledId(what)}s`);
  if (!folder) {
    throw new UsageError(`there is no list of "${what}".`, `halfbyte list ${REGISTRY_FOLDERS.join(' | ')}.`);
  }
  return { what: folder, entries: await Promise.all(ids(folder).map((id) => entry(folder, id))) };
}

async function entry(folder: RegistryFolder, id: string): Promise<ListedEntry> {
  return { id, about: await ABOUT[folder](id) };
}

const ABOUT: Record<RegistryFolder, (id: string) => Promise<string>> = {
  async targets(id) {
    const target = await find('targets', id);
    if (target?.defaults.attention !== undefined) return 'a pipeline of static graphs for an NPU';
    return target?.transformersJs ? 'one graph for transformers.js and browsers' : 'one graph';
  },
  async layouts(id) {
    const dressing = (await find('layouts', id))?.dressing;
    if (!dressing) return 'read';
    const mixes = Object.keys(dressing.container?.mixes ?? {});
    const mixed = mixes.length > 0 ? `; mixes ${mixes.join(', ')}` : '';
    return `read and written, ${dressing.defaults.scheme} unless --weights says otherwise${mixed}`;
  },
  async schemes(id) {
    return (await find('schemes', id))?.type === 'int' ? 'integers' : 'floats';
  },
  async metrics(id) {
    return (await find('metrics', id))?.unit ?? '';
  },
  async architectures() {
    return 'model_type of config.json';
  },
};

/** A listing as text for a terminal. */
export function describeList({ entries }: Listing): string {
  const width = Math.max(...entries.map(({ id }) => id.length));
  return entries.map(({ id, about }) => `${id.padEnd(width)}  ${about}`.trimEnd()).join('\n');
}
