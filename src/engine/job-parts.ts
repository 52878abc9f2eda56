import type { Dressing } from '../core/dressing.js';
import type { Layout } from '../core/layout.js';
import type { Job } from '../core/plan.js';
import type { PartSize, Scheme } from '../core/scheme.js';
import { find } from '../registry.js';

/** What a job writes: the parts of its scheme, or those into which a layout packs them. */
export interface JobParts {
  scheme: Scheme;
  /** Set where codes of the source are kept: the layout that unpacks them. */
  unpacker?: Layout | undefined;
  /** Rows that are done together; Infinity for a whole tensor. */
  quantum: number;
  /** Whether a run of rows is one piece of each part. */
  isContiguous: boolean;
  /** Exact sizes of the written parts of `count` rows. */
  sizes(count: number): Record<string, PartSize>;
  /** Sizes of the scheme's parts of `count` rows, where a layout packs them. */
  unpacked?(count: number): Record<string, PartSize>;
  pack?: Dressing['pack'];
}

/** How a job's parts are made. Its scheme and layouts have been looked up by the plan before. */
export async function partsOf({ name, scheme: args, layout, keepCodes, source }: Job): Promise<JobParts> {
  const { rows, cols } = source;
  const scheme = await find('schemes', args.scheme);
  if (!scheme) throw new Error(`weight ${name}: scheme ${args.scheme} is not registered`);
  const unpacker = keepCodes && source.kind === 'packed' ? await find('layouts', source.layout) : undefined;
  const unpacked = (count: number) => scheme.layout(count, cols, args);
  // kept codes have the scale of their tensor already
  const own = scheme.rowQuantum(args);
  const quantum = unpacker && !Number.isFinite(own) ? 1 : own;
  if (layout === undefined) {
    return { scheme, unpacker, quantum, isContiguous: true, sizes: unpacked };
  }
  const dressing = (await find('layouts', layout))?.dressing;
  if (!dressing) throw new Error(`weight ${name}: layout ${layout} is not one that is written`);
  const sizes = (count: number) => dressing.parts(count, cols, args);
  return {
    scheme,
    unpacker,
    quantum: leastCommonMultiple(quantum, dressing.rowQuantum(args)),
    isContiguous: Object.values(sizes(rows)).every(({ segments = 1 }) => segments === 1),
    sizes,
    unpacked,
    pack: dressing.pack,
  };
}

/** Addresses in kernel memory are multiples of 16. */
export const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;

/** Where a part of some rows stands: `segments` pieces of nbytes / segments each, `stride` bytes apart. */
export interface PartRange {
  part: string;
  file: string;
  offset: number;
  nbytes: number;
  segments: number;
  stride: number;
}

/** The places of rows [from, from + count) of a job, in the order of `job.outputs`. */
export function partRanges(job: Job, { sizes }: JobParts, from: number, count: number): PartRange[] {
  const before = from === 0 ? undefined : sizes(from);
  const size = sizes(count);
  return Object.entries(job.outputs).map(([part, { file, offset, nbytes: whole }]) => {
    const { segments = 1, fixed } = size[part];
    const nbytes = fixed && from > 0 ? 0 : size[part].nbytes;
    const skipped = fixed ? 0 : (before?.[part].nbytes ?? 0) / segments;
    return { part, file, offset: offset + skipped, nbytes, segments, stride: whole / segments };
  });
}

export function leastCommonMultiple(a: number, b: number): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY;
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
