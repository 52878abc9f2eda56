import type { Finding, LintedPackage } from '../../core/lint.js';
import type { Target } from '../../core/target.js';
import { ACTIVATION_RULES } from './activation-rules.js';
import { CACHE_RULES } from './cache-rules.js';
import { OPERATOR_RULES } from './operator-rules.js';
import { PACKAGE_RULES } from './package-rules.js';
import type { Device, Rule } from './rule.js';
import { SHAPE_RULES } from './shape-rules.js';
import { GraphView } from './view.js';
import { WEIGHT_RULES } from './weight-rules.js';

/** Every rule, in the order of its findings. */
export const RULES: Rule[] = [
  ...PACKAGE_RULES,
  ...SHAPE_RULES,
  ...CACHE_RULES,
  ...OPERATOR_RULES,
  ...WEIGHT_RULES,
  ...ACTIVATION_RULES,
];

/** The rules as they hold on a device: some are weaker there, some do not hold, and some have another source. */
export function rulesOf(device: Device): Rule[] {
  return RULES.flatMap((rule) => {
    const exception = device.exceptions[rule.id];
    return exception === null ? [] : [{ ...rule, ...exception }];
  });
}

/** The lint of a target for this device: what the device would refuse, run elsewhere or get wrong. */
export function lintFor(device: Device): NonNullable<Target['lint']> {
  const rules = rulesOf(device);
  return ({ graphs, genai, files }: LintedPackage): Finding[] => {
    const subject = { device, views: graphs.map((each) => new GraphView(each)), genai, files };
    return rules.flatMap(({ id, severity, advice, source, find }) =>
      Array.from(find(subject), (hit) => ({ rule: id, severity, ...hit, advice, source })),
    );
  };
}
