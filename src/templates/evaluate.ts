import type { Budget } from './budget.js';
import { raise, unsupported } from './errors.js';
import { runFilter } from './filters.js';
import { attribute, item, slice } from './members.js';
import { compare, negate, operate } from './operators.js';
import { print } from './print.js';
import type { Scope } from './scope.js';
import type { Arguments, Expression } from './syntax.js';
import { runTest } from './tests.js';
import {
  type CallArguments,
  Callable,
  isTrue,
  iterate,
  keyOf,
  orElse,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/** What an expression is worth in a scope. */
export function evaluate(expression: Expression, scope: Scope, budget: Budget): Value {
  budget.step();
  const value = (each: Expression): Value => evaluate(each, scope, budget);
  switch (expression.type) {
    case 'constant':
      return expression.value;
    case 'name':
      return orElse(scope.get(expression.name), () => new Undefined(`'${expression.name.slice(0, 80)}'`));
    case 'list':
      return expression.items.map(value);
    case 'tuple':
      return new Tuple(expression.items.map(value));
    case 'dict':
      return new Map(expression.entries.map(([key, each]) => [keyOf(value(key)), value(each)]));
    case 'attribute':
      return attribute(value(expression.of), expression.name, budget);
    case 'item':
      return item(value(expression.of), value(expression.key), budget);
    case 'slice': {
      const of = value(expression.of);
      return slice(
        of,
        expression.parts.map((part) => (part === null ? undefined : value(part))),
        budget,
      );
    }
    case 'call':
      return call(value(expression.callee), callArguments(expression.args, scope, budget), budget);
    case 'filter': {
      if (expression.of === null) return unsupported('a filter without a value');
      const of = value(expression.of);
      return runFilter(expression.name, of, callArguments(expression.args, scope, budget), budget);
    }
    case 'test': {
      const of = value(expression.of);
      return runTest(expression.name, of, callArguments(expression.args, scope, budget), budget);
    }
    case 'unary':
      if (expression.operator === 'not') return !isTrue(value(expression.of));
      return negate(value(expression.of), expression.operator);
    case 'binary':
      return operate(expression.operator, value(expression.left), value(expression.right), budget);
    case 'logic': {
      const left = value(expression.left);
      return isTrue(left) === (expression.operator === 'or') ? left : value(expression.right);
    }
    case 'concat': {
      const parts = expression.parts.map((part) => print(value(part), budget));
      budget.text(parts.reduce((sum, part) => sum + part.length, 0));
      return parts.join('');
    }
    case 'compare': {
      let left = value(expression.left);
      for (const [operator, each] of expression.rest) {
        const right = value(each);
        if (!compare(operator, left, right, budget)) return false;
        left = right;
      }
      return true;
    }
    case 'choice':
      if (isTrue(value(expression.condition))) return value(expression.value);
      if (expression.otherwise !== null) return value(expression.otherwise);
      return new Undefined('the inline if-expression evaluated to false and no else section was defined, which');
  }
}

export function call(callee: Value, args: CallArguments, budget: Budget): Value {
  if (callee instanceof Undefined) return raise(`${callee.what} is undefined`);
  if (!(callee instanceof Callable)) return raise(`'${typeName(callee)}' object is not callable`);
  return budget.deeper(() => callee.call(args, budget));
}

export function callArguments(args: Arguments, scope: Scope, budget: Budget): CallArguments {
  const positional = args.positional.map((each) => evaluate(each, scope, budget));
  const named = new Map(args.named.map(([name, each]): [string, Value] => [name, evaluate(each, scope, budget)]));
  if (args.list) positional.push(...iterate(evaluate(args.list, scope, budget)));
  if (args.dict) {
    const dict = evaluate(args.dict, scope, budget);
    if (!(dict instanceof Map)) return raise('argument after ** must be a mapping');
    for (const [name, each] of dict) named.set(String(name), each);
  }
  return { positional, named };
}
