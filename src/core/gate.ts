import { UsageError } from './errors.js';
import { nearest } from './nearest.js';

/** A demand of the command line on a measured number, as `kl_divergence<0.02`. */
export interface Gate {
  text: string;
  /** Such as `total.`, where the caller has prefixes; else ''. */
  prefix: string;
  metric: string;
  operator: '<' | '<=' | '>' | '>=';
  limit: number;
}

/**
 * Reads `--gate`: an optional prefix, one of the `known` metrics, a comparison, a number. Throws UsageError, with
 * `example` where the form is wrong.
 */
export function readGate(
  text: string,
  known: readonly string[],
  example: string,
  prefixes: readonly string[] = [],
): Gate {
  const match = /^\s*([a-z]+\.)?([a-z0-9_]+)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*$/.exec(text);
  const [, prefix = '', metric = '', operator, digits] = match ?? [];
  const limit = match ? Number(digits) : Number.NaN;
  if (!Number.isFinite(limit) || (prefix !== '' && !prefixes.includes(prefix))) {
    throw new UsageError(`--gate ${text}: needed is <metric><comparison><number>.`, `--gate '${example}'.`);
  }
  if (!known.includes(metric)) {
    const also = prefixes.map((each) => `, each also as ${each}<metric>`).join('');
    const guess = nearest(metric, [...known]) ?? known[0];
    throw new UsageError(
      `--gate ${text}: there is no metric "${metric}"; there are ${known.join(', ')}${also}.`,
      `--gate '${prefix}${guess}${operator}${digits}'.`,
    );
  }
  return { text: text.trim(), prefix, metric, operator: operator as Gate['operator'], limit };
}

/** Whether a number keeps a gate. NaN, which was not found, keeps none. */
export function holds(value: number, { operator, limit }: Gate): boolean {
  switch (operator) {
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '>':
      return value > limit;
    default:
      return value >= limit;
  }
}
