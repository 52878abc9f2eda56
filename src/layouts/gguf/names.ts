import type { Family } from './families.js';

/** A Hugging Face name in the terms of a family: GGUF's name, and the expert where it is one of several. */
export interface MappedName {
  name: string;
  expert?: number;
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** A pattern with its numbers as groups, `{}` before `{e}`. */
const patternOf = (template: string) =>
  new RegExp(`^${escaped(template).replace('\\{\\}', '(\\d+)').replace('\\{e\\}', '(\\d+)')}$`);

const ending = /(\.weight|[._]bias)$/;

interface Rule {
  pattern: RegExp;
  target: string;
}

const rulesOf = (names: Record<string, string>): Rule[] =>
  Object.entries(names).map(([template, target]) => ({ pattern: patternOf(template), target }));

/** GGUF's name of a Hugging Face tensor; undefined where the family has none. */
export function ggufNames(family: Family): (name: string) => MappedName | undefined {
  const plain = rulesOf(family.names);
  const experts = rulesOf(family.experts ?? {});
  return (name) => {
    const end = ending.exec(name)?.[0];
    if (!end) return undefined;
    const stem = name.slice(0, -end.length);
    const suffix = end === '.weight' ? '.weight' : '.bias';
    for (const { pattern, target } of plain) {
      const match = pattern.exec(stem);
      if (match) return { name: target.replace('{}', match[1]) + suffix };
    }
    for (const { pattern, target } of experts) {
      const match = pattern.exec(stem);
      if (match) return { name: target.replace('{}', match[1]) + suffix, expert: Number(match[2]) };
    }
    return undefined;
  };
}

/** The Hugging Face name of a GGUF tensor, with `{e}` for the expert where it holds all of them. */
export function huggingFaceNames(family: Family): (name: string) => string | undefined {
  const rules = Object.entries({ ...family.names, ...family.experts }).map(([template, target]) => ({
    pattern: patternOf(target),
    template,
  }));
  return (name) => {
    const end = ending.exec(name)?.[0];
    if (!end) return undefined;
    for (const { pattern, template } of rules) {
      const match = pattern.exec(name.slice(0, -end.length));
      if (!match) continue;
      const suffix = template.endsWith('e_score_correction') ? '_bias' : end;
      return template.replace('{}', match[1]) + suffix;
    }
    return undefined;
  };
}

/** Layers by number, what belongs to none before them, names in order: the order of llama.cpp's quantizer. */
export function compareNames(a: string, b: string): number {
  const layer = (name: string) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
  return layer(a) - layer(b) || (a < b ? -1 : a > b ? 1 : 0);
}
