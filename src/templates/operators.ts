import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { formatPercent } from './format-text.js';
import {
  compareValues,
  equal,
  isFloat,
  isNumber,
  isWhole,
  iterate,
  type Number_,
  SafeText,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/** Bits of an int: Python's grow without end. */
const MOST_BITS = 4096;

/** A binary operator of Python. */
export function operate(operator: string, a: Value, b: Value, budget: Budget): Value {
  for (const each of [a, b]) {
    if (each instanceof Undefined) raise(`${each.what} is undefined`);
    if (each instanceof SafeText) unsupported(`"${operator}" with what the filter 'safe' made`);
  }
  if (operator === '%' && typeof a === 'string') return formatPercent(a, b, budget);
  if (isNumber(a) && isNumber(b)) return arithmetic(operator, a, b);
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') {
      budget.text(a.length + b.length);
      return a + b;
    }
    if (Array.isArray(a) && Array.isArray(b)) return sized([...a, ...b], budget);
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple(sized([...a.items, ...b.items], budget));
  }
  if (operator === '*') {
    if (isWhole(b)) return times(a, b, operator, budget);
    if (isWhole(a)) return times(b, a, operator, budget);
  }
  return refuse(operator, a, b);
}

function refuse(operator: string, a: Value, b: Value): never {
  return raise(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

function sized(items: Value[], budget: Budget): Value[] {
  budget.items(items.length);
  return items;
}

function times(value: Value, count: bigint | boolean, operator: string, budget: Budget): Value {
  const n = Math.max(0, Number(count));
  if (typeof value === 'string') {
    budget.text(value.length * n);
    return value.repeat(n);
  }
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : refuse(operator, value, count);
  budget.items(items.length * n);
  const repeated = Array.from({ length: n }, () => items).flat();
  return value instanceof Tuple ? new Tuple(repeated) : repeated;
}

function arithmetic(operator: string, a: Number_, b: Number_): Value {
  if (isFloat(a) || isFloat(b) || operator === '/') return floats(operator, Number(a), Number(b));
  const [x, y] = [BigInt(a), BigInt(b)];
  if (operator === '+') return whole(x + y);
  if (operator === '-') return whole(x - y);
  if (operator === '*') return whole(x * y);
  if (operator === '**') return wholePower(x, y);
  if (y === 0n) return raise('division by zero');
  const rest = x % y;
  const goesDown = rest !== 0n && rest < 0n !== y < 0n;
  if (operator === '//') return x / y - (goesDown ? 1n : 0n);
  return goesDown ? rest + y : rest;
}

function whole(value: bigint): bigint {
  if (BigInt.asIntN(MOST_BITS, value) !== value) unsupported(`an int of more than ${MOST_BITS} bits`);
  return value;
}

function wholePower(x: bigint, y: bigint): Value {
  if (y < 0n) return x === 0n ? raise('0.0 cannot be raised to a negative power') : Number(x) ** Number(y);
  if (y > BigInt(MOST_BITS) && x !== 0n && x !== 1n && x !== -1n) unsupported(`an int of more than ${MOST_BITS} bits`);
  return whole(x ** (y > BigInt(MOST_BITS) ? y % 2n : y));
}

function floats(operator: string, a: number, b: number): Value {
  if (operator === '+') return a + b;
  if (operator === '-') return a - b;
  if (operator === '*') return a * b;
  if (operator === '**') {
    if (a === 0 && b < 0) raise('0.0 cannot be raised to a negative power');
    if (a < 0 && !Number.isInteger(b)) unsupported('a complex number');
    return a ** b;
  }
  if (b === 0) return raise('division by zero');
  if (operator === '/') return a / b;
  const rest = a % b;
  const modulo = rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
  return operator === '%' ? modulo : Math.floor(a / b);
}

export function negate(value: Value, operator: '-' | '+'): Value {
  if (value instanceof Undefined) return raise(`${value.what} is undefined`);
  if (!isNumber(value)) return raise(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  if (typeof value === 'boolean') return operator === '-' ? -BigInt(value) : BigInt(value);
  return operator === '-' ? -value : value;
}

/** A comparison of Python, `in` and `not in` among them. */
export function compare(operator: string, a: Value, b: Value, budget: Budget): boolean {
  if (operator === '==') return equal(a, b, budget);
  if (operator === '!=') return !equal(a, b, budget);
  if (operator === 'in') return contains(b, a, budget);
  if (operator === 'not in') return !contains(b, a, budget);
  for (const each of [a, b]) if (each instanceof Undefined) raise(`${each.what} is undefined`);
  const order = compareValues(a, b, operator, budget);
  if (operator === '<') return order < 0;
  if (operator === '>') return order > 0;
  return operator === '<=' ? order <= 0 : order >= 0;
}

export function contains(container: Value, value: Value, budget: Budget): boolean {
  if (typeof container === 'string') {
    if (value instanceof SafeText) return unsupported("looking for what the filter 'safe' made");
    if (typeof value !== 'string') {
      return raise(`'in <string>' requires string as left operand, not ${typeName(value)}`);
    }
    budget.text(container.length);
    return container.includes(value);
  }
  if (container instanceof Map && typeof value === 'string') return container.has(value);
  for (const each of iterate(container)) if (equal(each, value, budget)) return true;
  return false;
}
