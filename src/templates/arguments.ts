import { raise } from './errors.js';
import { type CallArguments, isWhole, typeName, type Value } from './values.js';

/** Arguments by the names of the parameters, as Python binds them; undefined for one that is not given. */
export function bind(where: string, args: CallArguments, names: string[], needed = 0): (Value | undefined)[] {
  if (args.positional.length > names.length) raise(`${where}() takes at most ${names.length} arguments`);
  const values: (Value | undefined)[] = names.map((_, index) => args.positional[index]);
  for (const [name, value] of args.named) {
    const index = names.indexOf(name);
    if (index < 0) raise(`${where}() got an unexpected keyword argument '${name}'`);
    if (values[index] !== undefined) raise(`${where}() got multiple values for argument '${name}'`);
    values[index] = value;
  }
  const missing = values.findIndex((value, index) => index < needed && value === undefined);
  if (missing >= 0) raise(`${where}() misses its argument '${names[missing]}'`);
  return values;
}

/** Arguments that Python takes by position only. */
export function positional(where: string, args: CallArguments, most: number, needed = 0): (Value | undefined)[] {
  if (args.named.size > 0) raise(`${where}() takes no keyword arguments`);
  if (args.positional.length > most) raise(`${where}() takes at most ${most} arguments`);
  if (args.positional.length < needed) raise(`${where}() takes at least ${needed} arguments`);
  return args.positional;
}

export function wholeArgument(where: string, value: Value | undefined, standard: number): number {
  if (value === undefined) return standard;
  if (!isWhole(value)) return raise(`${where}: '${typeName(value)}' object cannot be interpreted as an integer`);
  return Number(value);
}

export function textArgument(where: string, value: Value | undefined): string {
  if (typeof value === 'string') return value;
  return raise(`${where}: the argument must be str, not ${value === undefined ? 'missing' : typeName(value)}`);
}
