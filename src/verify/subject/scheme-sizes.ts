import { schemeText } from '../../core/scheme-text.js';
import type { SchemeSize } from '../../core/verify-report.js';
import type { Manifest } from '../../formats/manifest.js';

/**
 * Weights, parameters and bytes of each scheme, largest first. A weight that several graphs share counts once, tables
 * of positions not at all: together they are the manifest's `totals`.
 */
export function schemeSizes(tensors: Manifest['tensors']): SchemeSize[] {
  const sizes = new Map<string, SchemeSize>();
  const counted = new Set<string>();
  for (const { shape, scheme, source, parts } of Object.values(tensors).flatMap((each) => Object.values(each))) {
    if (typeof source === 'object' && 'rotary' in source) continue;
    const ranges = Object.values(parts);
    const place = ranges.map(({ file, offset }) => `${file} ${offset}`).join();
    if (counted.has(place)) continue;
    counted.add(place);
    const name = schemeText(scheme);
    const size = sizes.get(name) ?? { scheme: name, weights: 0, parameters: 0, nbytes: 0 };
    size.weights += 1;
    size.parameters += shape.reduce((product, each) => product * each, 1);
    size.nbytes += ranges.reduce((sum, { nbytes }) => sum + nbytes, 0);
    sizes.set(name, size);
  }
  return [...sizes.values()].sort((a, b) => b.nbytes - a.nbytes || (a.scheme < b.scheme ? -1 : 1));
}
