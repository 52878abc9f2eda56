import type { GraphNode, Pass } from '../core/graph.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { pass } from '../graph/pass.js';
import { float, integer, type Replacement, replaceEach, text } from '../graph/rewrite.js';
import { chosenExperts } from './chosen_experts.js';
import { derivedWeight } from './derived_weight.js';
import { assigned, integerBits } from './weight_initializers.js';

/** The inputs of an Experts node by what they are. */
function expertsOf(node: GraphNode) {
  const [x, choice, scores, gate, up, down] = node.inputs;
  return { x, choice, scores, gate, up, down, experts: integer(node, 'experts') };
}

type ExpertsForm = 'auto' | 'qmoe' | 'plain';

/** How one Experts node is lowered: as QMoE with this scheme, or plainly (no scheme); `note` says it to the user. */
interface Decision {
  scheme?: QuantizationArgs;
  note: string;
}

const plainly = (why: string): Decision => ({ note: `experts: plain operators (${why})` });

/** QMoE needs integer weights of one scheme and silu; its groups divide the columns, or each row has one scale. */
function decide(node: GraphNode, into: Replacement, form: ExpertsForm): Decision {
  const { gate, up, down } = expertsOf(node);
  const parts = [gate, up, down].map((name) => assigned(into, name));
  const [{ scheme }] = parts;
  const activation = text(node, 'function');
  if (form === 'plain') return plainly('as asked');
  if (!integerBits(scheme)) return plainly(`${scheme.scheme} weights`);
  if (activation !== 'silu') return plainly(`activation ${activation}`);
  if (parts.some((each) => JSON.stringify(each.scheme) !== JSON.stringify(scheme))) return plainly('mixed schemes');
  const group = scheme.strategy === 'channel' ? 1 : (scheme.group_size as number);
  const columns = parts.map(({ shape }) => shape[1]);
  const indivisible = columns.find((cols) => cols % group !== 0);
  // onnxruntime 1.30 takes scales [experts, rows, 1] of either matrix for one scale a row, and refuses the other's groups.
  const isOneGroup = columns.includes(group);
  if (indivisible === undefined && !isOneGroup) return { scheme, note: 'experts: QMoE' };
  const why = isOneGroup
    ? `QMoE has no rows of one group of ${group}`
    : `groups of ${group} do not divide ${indivisible} columns`;
  if (form === 'auto') return plainly(why);
  const { group_size: _, ...rest } = scheme;
  return { scheme: { ...rest, strategy: 'channel' }, note: `experts: QMoE with one scale a row (${why})` };
}

/** The parts of one stacked weight as QMoE takes them: codes [experts, rows, bytes], scales, zero points. */
function stackedParts(into: Replacement, name: string, experts: number) {
  const { scheme, shape } = assigned(into, name);
  const bits = integerBits(scheme) as number;
  const rows = shape[0] / experts;
  const perChannel = scheme.strategy === 'channel';
  const blocks = perChannel ? 1 : shape[1] / (scheme.group_size as number);
  const part = (suffix: string, dtype: 'UINT8' | 'FLOAT' | 'FLOAT16', dims: number[], which: string) =>
    into.graph.initializer(`${name}_${suffix}`, dtype, dims, { weight: name, part: which });
  const half = scheme.scale_dtype === 'F16';
  const perRow = perChannel ? [experts, rows] : [experts, rows, blocks];
  const scales = part('scales', half ? 'FLOAT16' : 'FLOAT', perRow, 'scales');
  return {
    codes: part(`Q${bits}`, 'UINT8', [experts, rows, (shape[1] * bits) / 8], 'codes'),
    scales: half ? into.onnx('Cast', `${into.node.name}/${name}/scales_Cast`, [scales], { to: 1 }) : scales,
    zeroPoints: scheme.symmetric
      ? ''
      : part('zero_points', 'UINT8', [experts, rows, Math.ceil((blocks * bits) / 8)], 'zero_points'),
  };
}

/**
 * Experts -> QMoE (com.microsoft): `router_probs` choose, `router_weights` weigh. Rows of gate and up take turns in
 * fc1 (`swiglu_fusion` 1 with alpha 1 and beta 0 is silu(gate) * up); the factor on the weights is a Mul at the end.
 */
function quantizedExperts(node: GraphNode, into: Replacement, scheme: QuantizationArgs): void {
  const { x, choice, scores, gate, up, down, experts } = expertsOf(node);
  const { shape } = assigned(into, gate);
  const pairs = { interleaveRows: [gate, up] };
  const fc1 = stackedParts(
    into,
    derivedWeight(
      into,
      gate,
      gate.replace(/[^.]*\.weight$/, 'gate_up.weight'),
      pairs,
      [2 * shape[0], shape[1]],
      scheme,
    ),
    experts,
  );
  into.graph.weight({ ...assigned(into, down), scheme });
  const fc2 = stackedParts(into, down, experts);
  const rows = (value: string, segment: string) =>
    into.onnx('Reshape', `${node.name}/${segment}/Reshape`, [value, into.graph.constant('INT64', [-1, experts])]);
  const scale = float(node, 'scale');
  const routed = scale === 1 ? node.outputs[0] : `${node.name}/QMoE/output_0`;
  const inputs = [x, rows(choice, 'choice'), fc1.codes, fc1.scales, '', fc2.codes, fc2.scales, '', '', '', ''];
  inputs.push(fc1.zeroPoints, fc2.zeroPoints, '', rows(scores, 'scores'));
  into.push({
    name: `${node.name}/QMoE`,
    op: 'QMoE',
    domain: 'com.microsoft',
    inputs,
    outputs: [routed],
    attributes: {
      k: integer(node, 'top_k'),
      activation_type: 'swiglu',
      swiglu_fusion: 1,
      activation_alpha: { float: 1 },
      activation_beta: { float: 0 },
      normalize_routing_weights: integer(node, 'normalize'),
      expert_weight_bits: integerBits(scheme) as number,
      ...(scheme.strategy === 'channel' ? {} : { block_size: scheme.group_size as number }),
    },
  });
  if (scale !== 1) {
    into.onnx('Mul', `${node.name}/Mul`, [routed, into.graph.constant('FLOAT', scale)], {}, node.outputs[0]);
  }
}

const EXPERTS = {
  name: 'lower_experts',
  requires: ['halfbyte.Router'],
  removes: ['halfbyte.Experts'],
  leaves: [
    'halfbyte.Activation',
    'halfbyte.Linear',
    'com.microsoft.QMoE',
    'Add',
    'Cast',
    'Concat',
    'Div',
    'Gather',
    'GatherElements',
    'Mul',
    'OneHot',
    'ReduceSum',
    'Reshape',
    'Shape',
    'Split',
    'TopK',
  ],
};

/**
 * Experts -> QMoE, or plain operators that compute the chosen experts alone. Where the groups do not divide the experts'
 * columns, `qmoe` quantizes each row with one scale, and `auto` keeps the groups that were asked for and goes plain. The
 * graph's notes say what stands there and why.
 */
export function lowerExperts(form: ExpertsForm): Pass {
  return pass(EXPERTS, (graph) => {
    const notes = new Set(graph.notes);
    const lowered = replaceEach(graph, 'Experts', (node, into) => {
      const { scheme, note } = decide(node, into, form);
      notes.add(note);
      if (scheme) quantizedExperts(node, into, scheme);
      else chosenExperts(node, into);
    });
    return notes.size > 0 ? { ...lowered, notes: [...notes] } : lowered;
  });
}
