import { InvalidInputError } from '../core/errors.js';
import type { WeightSource } from '../core/weights.js';
import type { GraphBuilder, Value } from '../graph/builder.js';
import { type ActivationName, gatedMlp, gatedMlpWeights } from './mlp.js';

/** How tokens choose their experts. */
export interface Routing {
  experts: number;
  topK: number;
  /** What makes scores of the gate's logits. */
  scoring: 'softmax' | 'sigmoid';
  /** Experts stand in this many groups of equal size; a token chooses within its `chosenGroups` best groups. */
  groups: number;
  chosenGroups: number;
  /** A group counts by its greatest choice, or by the sum of its two greatest. */
  groupScore: 'max' | 'top2';
  /** Whether the weights of the chosen experts are divided by their sum + `normalizeEpsilon`. */
  normalize: boolean;
  normalizeEpsilon: number;
  /** Factor on the weights. */
  scale: number;
}

/** Routing without groups: softmax over all experts, the best `topK`. */
export function plainRouting(experts: number, topK: number, normalize: boolean): Routing {
  return checkedRouting({
    experts,
    topK,
    scoring: 'softmax',
    groups: 1,
    chosenGroups: 1,
    groupScore: 'max',
    normalize,
    normalizeEpsilon: 0,
    scale: 1,
  });
}

/** The routing, if it can be: groups of equal size, of which enough are chosen for every expert of a token. */
export function checkedRouting(routing: Routing): Routing {
  const { experts, groups, chosenGroups, topK, groupScore } = routing;
  const refuse = (found: string, needed: string): never => {
    throw new InvalidInputError(
      `config.json: ${found}; needed is ${needed}.`,
      'correct the keys of the experts in config.json, or download it again.',
    );
  };
  if (experts % groups !== 0) refuse(`${experts} experts in ${groups} groups`, 'a number of groups that divides them');
  if (chosenGroups > groups) refuse(`${chosenGroups} groups chosen of ${groups}`, 'at most all of them');
  const eligible = (experts / groups) * chosenGroups;
  if (topK > eligible) refuse(`${topK} experts a token, of ${eligible} that it may choose`, 'at most all of them');
  if (chosenGroups < groups && groupScore === 'top2' && experts / groups < 2) {
    refuse('groups of one expert that count by their two best', 'at least two experts in a group');
  }
  return routing;
}

/** Where a family stores its experts. */
export interface ExpertNames {
  /** Path of the router's gate, as `model.layers.0.mlp.gate`. */
  router: string;
  /** Full name of the bias that moves the choice of experts and not their weights, where the family has one. */
  correction?: string;
  /** Path of the experts, as `model.layers.0.mlp.experts`: expert 0's gate is `<experts>.0.<gate>.weight`. */
  experts: string;
  gate: string;
  up: string;
  down: string;
}

/** Names of a layer as most families store it: `<path>.gate`, `<path>.experts.0.gate_proj`. */
export function expertNames(path: string): ExpertNames {
  return {
    router: `${path}.gate`,
    experts: `${path}.experts`,
    gate: 'gate_proj',
    up: 'up_proj',
    down: 'down_proj',
  };
}

const stackName = (names: ExpertNames, part: 'gate' | 'up' | 'down') => `${names.experts}.${names[part]}.weight`;

/**
 * Routed experts on x [.., hidden_size]: the weighted sum of each token's chosen gated MLPs of width `intermediate`.
 * Experts of one kind are one weight, stacked by rows: gate and up [experts * intermediate, hidden_size], down
 * [experts * hidden_size, intermediate]. The router stays float: a rounded gate chooses other experts.
 */
export function routedExperts(
  g: GraphBuilder,
  x: Value,
  names: ExpertNames,
  routing: Routing,
  intermediate: number,
  activation: ActivationName,
): Value {
  const { experts } = routing;
  const hidden = x.shape.at(-1) as number;
  const gate = g.weight(`${names.router}.weight`, [experts, hidden], 'float');
  const correction = names.correction && g.weight(names.correction, [experts], 'float');
  const [choice, scores] = g.nodes(
    'Router',
    'router',
    [x, gate, correction],
    {
      scoring: routing.scoring,
      groups: routing.groups,
      topk_groups: routing.chosenGroups,
      group_score: routing.groupScore,
    },
    [experts, experts],
  );
  return g.node(
    'Experts',
    'experts',
    [
      x,
      choice,
      scores,
      g.weight(stackName(names, 'gate'), [experts * intermediate, hidden]),
      g.weight(stackName(names, 'up'), [experts * intermediate, hidden]),
      g.weight(stackName(names, 'down'), [experts * hidden, intermediate]),
    ],
    {
      experts,
      top_k: routing.topK,
      normalize: routing.normalize ? 1 : 0,
      normalize_epsilon: { float: routing.normalizeEpsilon },
      scale: { float: routing.scale },
      function: activation,
    },
    hidden,
  );
}

/** The weights that `routedExperts` draws: the router's under their own names, each kind of expert as a stack. */
export function routedExpertsWeights(names: ExpertNames, experts: number): Record<string, WeightSource> {
  const stack = (part: 'gate' | 'up' | 'down'): [string, WeightSource] => [
    stackName(names, part),
    { concat: Array.from({ length: experts }, (_, index) => `${names.experts}.${index}.${names[part]}.weight`) },
  ];
  const router = [`${names.router}.weight`, ...(names.correction ? [names.correction] : [])];
  return Object.fromEntries([
    ...router.map((name): [string, WeightSource] => [name, name]),
    stack('gate'),
    stack('up'),
    stack('down'),
  ]);
}

/** Adds the experts that every token takes, one gated MLP of their joint width under `<path>.shared_experts`; 0: none. */
export function sharedExperts(
  g: GraphBuilder,
  x: Value,
  routed: Value,
  path: string,
  width: number,
  activation: ActivationName,
): Value {
  if (width === 0) return routed;
  const shared = gatedMlp(g, x, `${path}.shared_experts`, width, activation, false, 'shared_experts');
  return g.node('Add', 'shared_experts/Add', [routed, shared], {}, x.shape.at(-1)!);
}

/** Names of the weights that `sharedExperts` draws for so many experts. */
export function sharedExpertsWeights(path: string, experts: number): string[] {
  return experts === 0 ? [] : gatedMlpWeights(`${path}.shared_experts`);
}
