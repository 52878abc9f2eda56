import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { compare, contains, operate } from './operators.js';
import {
  type CallArguments,
  Callable,
  equal,
  isIterable,
  isNumber,
  Loop,
  lengthOf,
  SafeText,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

type Test = (value: Value, args: Value[], budget: Budget) => boolean;

const comparison =
  (operator: string): Test =>
  (value, [other], budget) =>
    compare(operator, value, other, budget);

const remainder = (value: Value, by: bigint, budget: Budget) => operate('%', value, by, budget);

/** `is` of Python: identity, which for numbers and texts is chance. */
const sameAs: Test = (value, [other]) => {
  const isPlain = (each: Value) => typeof each === 'string' || typeof each === 'bigint' || typeof each === 'number';
  if (isPlain(value) && isPlain(other)) return unsupported('the test sameas for texts and numbers');
  return value === other;
};

const cased =
  (isRight: (text: string) => boolean): Test =>
  (value) => {
    if (typeof value !== 'string') return unsupported(`the tests lower and upper of a ${typeName(value)}`);
    return value.toLowerCase() !== value.toUpperCase() && isRight(value);
  };

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['boolean', (value) => typeof value === 'boolean'],
  // jinja2's Undefined has a __call__ that raises
  ['callable', (value) => value instanceof Callable || value instanceof Loop || value instanceof Undefined],
  ['defined', (value) => !(value instanceof Undefined)],
  ['divisibleby', (value, [by], budget) => equal(operate('%', value, by, budget), 0n, budget)],
  ['even', (value, _args, budget) => equal(remainder(value, 2n, budget), 0n, budget)],
  ['false', (value) => value === false],
  ['float', (value) => typeof value === 'number'],
  ['in', (value, [container], budget) => contains(container, value, budget)],
  ['integer', (value) => typeof value === 'bigint'],
  ['iterable', (value) => isIterable(value)],
  ['lower', cased((text) => text === text.toLowerCase())],
  ['mapping', (value) => value instanceof Map],
  ['none', (value) => value === null],
  ['number', (value) => isNumber(value)],
  ['odd', (value, _args, budget) => equal(remainder(value, 2n, budget), 1n, budget)],
  ['sameas', sameAs],
  [
    'sequence',
    (value) =>
      value instanceof Undefined ||
      ((typeof value === 'string' || Array.isArray(value) || value instanceof Map || value instanceof Tuple) &&
        lengthOf(value) !== undefined),
  ],
  ['string', (value) => typeof value === 'string' || value instanceof SafeText],
  ['true', (value) => value === true],
  ['undefined', (value) => value instanceof Undefined],
  ['upper', cased((text) => text === text.toUpperCase())],
  ...[
    ...['==', 'eq', 'equalto'].map((name) => [name, '==']),
    ...['!=', 'ne'].map((name) => [name, '!=']),
    ...['>', 'gt', 'greaterthan'].map((name) => [name, '>']),
    ...['<', 'lt', 'lessthan'].map((name) => [name, '<']),
    ...['>=', 'ge'].map((name) => [name, '>=']),
    ...['<=', 'le'].map((name) => [name, '<=']),
  ].map(([name, operator]): [string, Test] => [name, comparison(operator)]),
]);

/** Tests by how many arguments they take; all others take none. */
const BINARY = new Set(
  'divisibleby in sameas == eq equalto != ne > gt greaterthan < lt lessthan >= ge <= le'.split(' '),
);

/** Runs a test by its name. */
export function runTest(name: string, value: Value, args: CallArguments, budget: Budget): boolean {
  const test = TESTS.get(name);
  if (test === undefined) {
    if (['escaped', 'filter', 'test'].includes(name)) return unsupported(`the test ${name}`);
    return raise(`No test named '${name.slice(0, 80)}'`);
  }
  if (args.named.size > 0) return unsupported(`arguments with names of the test ${name}`);
  const needed = BINARY.has(name) ? 1 : 0;
  if (args.positional.length !== needed) return raise(`the test ${name} takes ${needed} arguments`);
  return test(value, args.positional, budget);
}
