/** Projections that vLLM and SGLang run as one, by the last part of their names, and the name of that one there. */
const FUSED: { parts: string[]; as: string }[] = [
  { parts: ['q_proj', 'k_proj', 'v_proj'], as: 'qkv_proj' },
  { parts: ['q_a_proj', 'kv_a_proj_with_mqa'], as: 'fused_qkv_a_proj' },
  { parts: ['gate_proj', 'up_proj'], as: 'gate_up_proj' },
  { parts: ['w1', 'w3'], as: 'w13' },
];

const EXPERT = /^(.*\.experts)\.\d+\.\w+$/;

const moduleOf = (name: string) => name.replace(/\.weight$/, '');

/** A module of which a projection is a part to engines, by its path there: `...self_attn.qkv_proj`; undefined for none. */
export function fusedProjection(name: string): string | undefined {
  const module = moduleOf(name);
  const start = module.lastIndexOf('.') + 1;
  const fused = FUSED.find(({ parts }) => parts.includes(module.slice(start)));
  return fused && module.slice(0, start) + fused.as;
}

/** A module that engines run with one scheme for all of its parts: the routed experts of a layer, or a fused projection. */
export function fusedModule(name: string): string | undefined {
  return EXPERT.exec(moduleOf(name))?.[1] ?? fusedProjection(name);
}

/** Whether a weight is that of a routed expert. */
export const isExpert = (name: string): boolean => EXPERT.test(moduleOf(name));

/** Modules of these matrices as engines look for them in a list: the experts of a layer by their path, fused ones besides their parts. */
export function listedModules(names: readonly string[]): string[] {
  const modules = names.flatMap((name) => {
    const fused = fusedModule(name);
    if (!fused) return [moduleOf(name)];
    return isExpert(name) ? [fused] : [moduleOf(name), fused];
  });
  return [...new Set(modules)];
}

const escaped = (text: string) => text.replace(/[.[\]]/g, '\\$&');

/** Regular expressions, one for each module of these matrices, that match its parts and the whole as engines call it. */
export function modulePatterns(names: readonly string[]): string[] {
  const patterns = names.map((name) => {
    const fused = fusedModule(name);
    if (!fused) return `^${escaped(moduleOf(name))}$`;
    if (isExpert(name)) return `^${escaped(fused)}(\\.|$)`;
    const start = fused.lastIndexOf('.') + 1;
    const as = fused.slice(start);
    const { parts } = FUSED.find((each) => each.as === as) ?? { parts: [] };
    return `^${escaped(fused.slice(0, start))}(${[...parts, as].join('|')})$`;
  });
  return [...new Set(patterns)];
}
