import type { Finding, LintedPackage } from '../../core/lint.js';
import type { Target } from '../../core/target.js';
import { ACTIVATION_RULES } from './activation-rules.js';
import { CACHE_RULES } from './cache-rules.js';
import { OPERATOR_RULES } from './operator-rules.js';
import { PACKAGE_RULES } from './package-rules.js';
import type { Device, Rule, RuleOver, RuntimeSubject } from './rule.js';
import { RUNTIME_RULES } from './runtime-rules.js';
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

/** The lint of a target for this device: what the runtime or the device would refuse, run elsewhere or get wrong. */
export function lintFor(device: Device): NonNullable<Target['lint']> {
  const rules = rulesOf(device);
  return (linted) => {
    const subject = subjectOf(linted);
    return [...findings(RUNTIME_RULES, subject), ...findings(rules, { ...subject, device })];
  };
}

/** What the runtime itself would refuse or get wrong, whatever device computes. */
export const lintRuntime: NonNullable<Target['lint']> = (linted) => findings(RUNTIME_RULES, subjectOf(linted));

const subjectOf = ({ graphs, genai, files }: LintedPackage): RuntimeSubject => ({
  views: graphs.map((each) => new GraphView(each)),
  genai,
  files,
});

const findings = <S>(rules: RuleOver<S>[], subject: S): Finding[] =>
  rules.flatMap(({ id, severity, advice, source, find }) =>
    Array.from(find(subject), (hit) => ({ rule: id, severity, ...hit, advice, source })),
  );
