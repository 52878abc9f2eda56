import type { RowSource } from '../core/weights.js';

/** Where a value of a source is stored. `file` and `offset` are unknown for what a layout decodes. */
export interface StoredPlace {
  tensor: string;
  row: number;
  column: number;
  file?: string;
  offset?: number;
}

/** The stored value behind [row, column] of a source, undefined where it comes from no tensor. */
export function locate(source: RowSource, row: number, column: number): StoredPlace | undefined {
  switch (source.kind) {
    case 'tensor': {
      const { name, file, offset, nbytes } = source.ref;
      const itemBytes = nbytes / (source.rows * source.cols);
      return { tensor: name, row, column, file, offset: offset + Math.floor((row * source.cols + column) * itemBytes) };
    }
    case 'packed':
    case 'scheme':
      return { tensor: source.name, row, column, file: Object.values(source.parts)[0]?.file };
    case 'rowBlocks': {
      const block = Math.floor(row / source.blockRows);
      return locate(source.source, source.from + block * source.stride + (row % source.blockRows), column);
    }
    case 'concat': {
      let start = 0;
      for (const each of source.sources) {
        if (row < start + each.rows) return locate(each, row - start, column);
        start += each.rows;
      }
      return undefined;
    }
    case 'interleave': {
      const turns = source.sources.length;
      return locate(source.sources[row % turns], Math.floor(row / turns), column);
    }
    case 'permute':
      return locate(source.source, source.order[row], column);
    case 'transpose':
      return locate(source.source, column, row);
    case 'plus':
      return locate(source.source, row, column);
    case 'rotary':
      return undefined;
  }
}
