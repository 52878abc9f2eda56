import type { ValueInfo } from '../../core/graph.js';
import { own } from '../../core/own.js';
import { eachNode, onDevice, type Rule } from './rule.js';

/** Inputs that say how large a result is, from the second input on unless listed. */
const SHAPE_INPUTS: Record<string, number[]> = own({
  Reshape: [1],
  Expand: [1],
  Tile: [1],
  Slice: [1, 2, 3, 4],
  Pad: [1],
  Split: [1],
  Unsqueeze: [1],
  Squeeze: [1],
  Resize: [2, 3],
  ConstantOfShape: [0],
  Range: [0, 1, 2],
});

/** Operators whose result's size depends on the values of their input. */
const DATA_DEPENDENT = ['NonZero', 'Unique', 'Compress', 'NonMaxSuppression'];

const symbolic = ({ shape }: ValueInfo) => shape.some((dim) => typeof dim === 'string');
const signature = ({ name, shape }: ValueInfo) => `${name} [${shape.join(', ')}]`;

export const SHAPE_RULES: Rule[] = [
  {
    id: 'dynamic-shape',
    severity: 'error',
    advice: 'fix every dimension when the graph is made: batch 1, the prompt window or one token, the whole cache.',
    source: 'onnxruntime-qnn builder/qnn_model.cc: "Dynamic shape is not supported yet"',
    find: onDevice(function* ({ graph }) {
      for (const value of [...graph.inputs, ...graph.outputs].filter(symbolic)) {
        yield { node: null, message: `${signature(value)} has a symbolic dimension` };
      }
    }),
  },
  {
    id: 'computed-shape',
    severity: 'error',
    advice: 'give the shape as a constant, or choose an operator whose result has a fixed size.',
    source: 'onnxruntime-qnn docs, "Model requirements": shapes must be fixed to specific values',
    find: eachNode((node, view) => {
      if (DATA_DEPENDENT.includes(node.op)) return `the size of what ${node.op} makes depends on its input's values`;
      const computed = (SHAPE_INPUTS[node.op] ?? []).map((index) => node.inputs[index] ?? '');
      const found = computed.find((name) => name !== '' && !view.constants.has(name));
      return found && `${node.op} takes ${found}, which is computed at run time, as a shape`;
    }),
  },
  {
    id: 'batch-size',
    severity: 'error',
    advice: 'make the graph for batch 1.',
    source: 'onnxruntime-genai src/models/decoder_only_pipeline.cpp: a pipeline runs batch 1 alone',
    find: onDevice(function* ({ graph }) {
      for (const value of graph.inputs) {
        const [batch] = value.shape;
        if (value.shape.length > 1 && typeof batch === 'number' && batch !== 1) {
          yield { node: null, message: `input ${signature(value)} has batch ${batch}` };
        }
      }
    }),
  },
  {
    id: 'rank',
    severity: 'error',
    advice: 'reshape: leading dimensions of a product can be one.',
    source: 'pytorch/executorch #22253: HTP rejects rank > 5 as it prepares the graph; onnxruntime-qnn #51',
    find: eachNode((node, { ranks, constants }, { rank: limit }) => {
      const wide = [...node.inputs, ...node.outputs].find((name) => (ranks.get(name) ?? 0) > limit);
      if (wide === undefined || constants.has(node.outputs[0])) return undefined;
      return `${wide} has rank ${ranks.get(wide)}; the device runs ranks up to ${limit}`;
    }),
  },
  {
    id: 'rank-5',
    severity: 'warning',
    advice: 'merge leading dimensions: a rank of 4 runs about twice as fast.',
    source: 'onnxruntime-qnn #745: rank-5 tensors are supported on HTP but perform poorly',
    find: eachNode((node, { ranks, constants }, { rank: limit }) => {
      const wide = node.outputs.find((name) => ranks.get(name) === 5);
      return limit < 5 || wide === undefined || constants.has(wide) ? undefined : `${wide} has rank 5`;
    }),
  },
  {
    id: 'norm-rank',
    severity: 'warning',
    advice: 'reshape to rank 3 around the norm.',
    source:
      'onnxruntime/mobius 78437cd, QNN capability table: rank-4 RMSNorm is reported wrong on HTP; more than 4 is refused',
    find: eachNode((node, { ranks }) => {
      const isNorm = node.op === 'RMSNormalization' || node.op === 'SimplifiedLayerNormalization';
      const rank = ranks.get(node.inputs[0]) ?? 0;
      return isNorm && rank >= 4 ? `${node.op} works on rank ${rank}` : undefined;
    }),
  },
];
