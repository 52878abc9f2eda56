import { VerificationError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import type { Finding, LintedPackage } from '../core/lint.js';
import type { Plan } from '../core/plan.js';
import { printableLines } from '../core/printable.js';
import type { Unfused } from '../graph/pass.js';
import { find } from '../registry.js';

/** What a device has to say about a package. */
export interface LintReport {
  target: string;
  errors: number;
  warnings: number;
  /** Findings of severity `note`; `notes` are what the command tells besides. */
  remarks: number;
  findings: Finding[];
}

const CONFIG = 'genai_config.json';

/** Findings of one rule that a terminal shows; the rest is counted. */
const SHOWN = 8;

/** Findings with their counts. */
export const lintReport = (target: string, findings: Finding[]): LintReport => {
  const count = (severity: Finding['severity']) => findings.filter((each) => each.severity === severity).length;
  return { target, errors: count('error'), warnings: count('warning'), remarks: count('note'), findings };
};

/** Whether a stage's settings ask for a provider of their own: those without stay on the CPU. */
export function asksProvider(settings: unknown): boolean {
  const options = (settings as { provider_options?: unknown } | undefined)?.provider_options;
  return Array.isArray(options) && options.some((each) => Object.keys(each ?? {}).some((name) => name !== 'cpu'));
}

/** A plan as the rules see it: its graphs are final before a weight is read. */
export function plannedPackage({ graphs, texts, files }: Plan): LintedPackage {
  const genai = texts.find(({ name }) => name === CONFIG);
  return {
    graphs: graphs.map(({ file, graph, external, pipeline }) => ({
      file,
      graph,
      external,
      onDevice: asksProvider(pipeline?.session_options),
    })),
    genai: genai ? (JSON.parse(genai.content) as JsonObject) : null,
    files: Object.fromEntries(files.map(({ name, nbytes }) => [name, nbytes])),
  };
}

/** Holds a plan to the rules of its target; null for a target without rules, unless a pass found something. */
export async function lintPlan(planned: Plan): Promise<LintReport | null> {
  const { target } = planned.options;
  const lint = (await find('targets', target))?.lint;
  const findings = [...(planned.findings ?? []), ...(lint?.(plannedPackage(planned)) ?? [])];
  return lint || findings.length > 0 ? lintReport(target, findings) : null;
}

const UNFUSED = 'fusion';

/** A fusion that did not fire: the package is right, and slower than it could be. */
export const unfusedFinding = (file: string, { pass, fusion, first, second }: Unfused): Finding => ({
  rule: UNFUSED,
  severity: 'warning',
  file,
  node: second.name,
  message: `${first.name} stays an operator of its own; both are made for one ${fusion.into}`,
  advice: 'report the model: the package computes what it should, and slower than it could.',
  source: `pass ${pass}`,
});

const line = ({ file, node, message }: Finding) => `    ${file}${node === null ? '' : `: ${node}`}: ${message}`;

/** Findings rule by rule: what is wrong where, what to do, and who says so. */
export function describeLint({ target, errors, warnings, remarks, findings }: LintReport): string {
  const counts = Object.entries({ error: errors, warning: warnings, note: remarks })
    .map(([word, count]) => `${count} ${word}${count === 1 ? '' : 's'}`)
    .join(', ');
  if (findings.length === 0) return `lint for ${target}: nothing found`;
  const lines = [`lint for ${target}: ${counts}`];
  for (const rule of new Set(findings.map((each) => each.rule))) {
    const found = findings.filter((each) => each.rule === rule);
    const [{ severity, advice, source }] = found;
    lines.push(`  ${severity} ${rule}`, ...found.slice(0, SHOWN).map(line));
    if (found.length > SHOWN) lines.push(`    and ${found.length - SHOWN} more`);
    lines.push(`    what to do: ${advice}`, `    source: ${source}`);
  }
  return printableLines(lines);
}

/** What a conversion tells of its lint: the warnings in one line, fusions that did not fire, what concerns the package. */
export const lintNotes = (lint: LintReport): string[] => [
  ...warningsNote(lint),
  ...unfusedNote(lint),
  ...packageNotes(lint),
];

function unfusedNote({ findings }: LintReport): string[] {
  const found = findings.filter(({ rule }) => rule === UNFUSED);
  if (found.length === 0) return [];
  const [{ file, node, message, source, advice }] = found;
  const rest = found.length > 1 ? `, and ${found.length - 1} more` : '';
  return [`a fusion did not fire (${source}): ${file}: ${node}: ${message}${rest}. Try this: ${advice}`];
}

function warningsNote({ target, findings }: LintReport): string[] {
  const warned = findings.filter(({ severity, rule }) => severity === 'warning' && rule !== UNFUSED);
  if (warned.length === 0) return [];
  const rules = [...new Set(warned.map(({ rule }) => rule))];
  const count = (rule: string) => warned.filter((each) => each.rule === rule).length;
  const counts = rules.map((rule) => `${rule} ${count(rule)}`).join(', ');
  return [`lint for ${target} warns: ${counts}; see them with "halfbyte inspect --lint ${target}"`];
}

/** What is worth knowing of the package as a whole although nothing is wrong with it, as a pad id that prompts may hold. */
function packageNotes({ findings }: LintReport): string[] {
  const found = findings.filter(({ severity, file, node }) => severity === 'note' && node === null && file === CONFIG);
  return [...new Set(found.map(({ rule }) => rule))].map((rule) => {
    const own = found.filter((each) => each.rule === rule);
    return `${CONFIG}: ${own.map(({ message }) => message).join('; ')}. Try this: ${own[0].advice}`;
  });
}

/** Throws VerificationError where a device would refuse what a conversion is about to write. */
export function refuseErrors({ target, errors, findings }: LintReport): void {
  if (errors === 0) return;
  const found = findings.filter(({ severity }) => severity === 'error');
  const shown = found.slice(0, 3).map(({ rule, file, node, message }) => {
    return `${file}${node === null ? '' : `: ${node}`}: ${message} (${rule})`;
  });
  const rest = found.length > shown.length ? `, and ${found.length - shown.length} more` : '';
  throw new VerificationError(
    `the target ${target} would refuse this package: ${shown.join('; ')}${rest}.`,
    found[0].advice,
  );
}
