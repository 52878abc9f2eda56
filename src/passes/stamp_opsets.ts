import type { Graph, Pass } from '../core/graph.js';
import { pass } from '../graph/pass.js';

/** The opset that comes with the first ONNX Runtime (1.24) whose GroupQueryAttention has right windows. */
const WINDOWED_OPSET = 24;

/** Whether GroupQueryAttention cuts attention to a window somewhere. */
export const hasWindows = ({ nodes }: Pick<Graph, 'nodes'>): boolean =>
  nodes.some(({ op, attributes }) => op === 'GroupQueryAttention' && (attributes.local_window_size as number) > 0);

/**
 * Sets a graph's opsets. ONNX Runtime up to 1.23 computes windows wrongly without a word, so that a graph with windows
 * is stamped with an opset that those refuse; the operators in use mean the same in both.
 */
export const stampOpsets = (opsets: Record<string, number>): Pass =>
  pass({ name: 'stamp_opsets', removes: [], leaves: [] }, (graph) => ({
    ...graph,
    opsets: hasWindows(graph) ? { ...opsets, '': WINDOWED_OPSET } : opsets,
  }));
