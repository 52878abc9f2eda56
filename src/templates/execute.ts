import { type Budget, MOST_CHARACTERS } from './budget.js';
import { raise } from './errors.js';
import { call, callArguments, evaluate } from './evaluate.js';
import { runFilter } from './filters.js';
import { loopAt } from './loop.js';
import { print } from './print.js';
import { Scope } from './scope.js';
import type { Expression, Parameter, Statement, Target } from './syntax.js';
import {
  type CallArguments,
  Callable,
  isTrue,
  iterate,
  Namespace,
  orElse,
  Tuple,
  Undefined,
  type Value,
} from './values.js';

/** How a body ended. */
type End = 'break' | 'continue' | undefined;

/** One rendering: text so far, and what it may still cost. */
export class Execution {
  #parts: string[] = [];
  #length = 0;
  constructor(private readonly budget: Budget) {}

  /** The text of a body. */
  text(body: Statement[], scope: Scope): string {
    const [parts, length] = [this.#parts, this.#length];
    [this.#parts, this.#length] = [[], 0];
    try {
      if (this.#run(body, scope)) raise('break or continue outside of a loop');
      return this.#parts.join('');
    } finally {
      [this.#parts, this.#length] = [parts, length];
    }
  }

  #write(text: string): void {
    this.#length += text.length;
    this.budget.text(this.#length > MOST_CHARACTERS ? this.#length : text.length);
    this.#parts.push(text);
  }

  #run(body: Statement[], scope: Scope): End {
    for (const statement of body) {
      const end = this.#execute(statement, scope);
      if (end) return end;
    }
    return undefined;
  }

  #execute(statement: Statement, scope: Scope): End {
    const { budget } = this;
    budget.step();
    switch (statement.type) {
      case 'text':
        this.#write(statement.text);
        return;
      case 'output':
        this.#write(print(evaluate(statement.value, scope, budget), budget));
        return;
      case 'if': {
        const holds = isTrue(evaluate(statement.condition, scope, budget));
        return this.#run(holds ? statement.body : statement.otherwise, scope);
      }
      case 'for':
        return this.#loop(statement, scope);
      case 'set':
        this.#assign(statement.target, evaluate(statement.value, scope, budget), scope);
        return;
      case 'setBlock': {
        const text = this.text(statement.body, new Scope(scope));
        const value = statement.filter ? this.#filtered(statement.filter, text, scope) : text;
        this.#assign(statement.target, value, scope);
        return;
      }
      case 'macro':
        scope.set(statement.name, this.#macro(statement.name, statement.parameters, statement.body, scope));
        return;
      case 'call': {
        const { call: called, parameters, body } = statement;
        if (called.type !== 'call') return;
        const args = callArguments(called.args, scope, budget);
        args.named.set('caller', this.#macro('caller', parameters, body, scope));
        this.#write(print(call(evaluate(called.callee, scope, budget), args, budget), budget));
        return;
      }
      case 'filter': {
        const text = this.text(statement.body, new Scope(scope));
        this.#write(print(this.#filtered(statement.filter, text, scope), budget));
        return;
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of statement.targets) this.#assign(target, evaluate(value, scope, budget), inner);
        return this.#run(statement.body, inner);
      }
      case 'generation':
        // transformers makes a call block of it, whose body is a scope of its own
        this.#write(this.text(statement.body, new Scope(scope)));
        return;
      case 'break':
      case 'continue':
        return statement.type;
    }
  }

  /** The filters of a block, the innermost of which has its text for a value. */
  #filtered(filter: Expression, text: string, scope: Scope): Value {
    if (filter.type !== 'filter') return text;
    const value = filter.of === null ? text : this.#filtered(filter.of, text, scope);
    return runFilter(filter.name, value, callArguments(filter.args, scope, this.budget), this.budget);
  }

  #loop(statement: Extract<Statement, { type: 'for' }>, scope: Scope): End {
    const { budget } = this;
    const { target, condition, body } = statement;
    const items: Value[] = [];
    for (const each of iterate(evaluate(statement.over, scope, budget))) {
      budget.step();
      if (condition !== null) {
        const inner = new Scope(scope);
        this.#assign(target, each, inner);
        if (!isTrue(evaluate(condition, inner, budget))) continue;
      }
      items.push(each);
      budget.items(items.length === 0 ? 0 : 1);
    }
    if (items.length === 0) return this.#run(statement.otherwise, new Scope(scope));
    const state = {};
    for (const [index, each] of items.entries()) {
      const inner = new Scope(scope);
      inner.set('loop', loopAt(items, index, state, budget));
      this.#assign(target, each, inner);
      if (this.#run(body, inner) === 'break') break;
    }
    return undefined;
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === 'name') scope.set(target.name, value);
    else if (target.type === 'member') {
      const namespace = scope.get(target.of);
      if (!(namespace instanceof Namespace)) raise('cannot assign attribute on non-namespace object');
      else namespace.members.set(target.name, value);
    } else {
      const items = [...iterate(value)];
      const { length } = target.items;
      if (items.length !== length) raise(`${items.length} values for ${length} names`);
      for (const [index, each] of target.items.entries()) this.#assign(each, items[index], scope);
    }
  }

  #macro(name: string, parameters: Parameter[], body: Statement[], scope: Scope): Callable {
    const asks = (special: string) => !parameters.some((each) => each.name === special) && mentions(body, special);
    const [takesRest, takesNamed, takesCaller] = ['varargs', 'kwargs', 'caller'].map(asks);
    return new Callable(name, ({ positional, named }: CallArguments) => {
      const inner = new Scope(scope);
      const left = new Map(named);
      const rest = positional.slice(parameters.length);
      for (const [index, { name: parameter, standard }] of parameters.entries()) {
        const isGiven = left.has(parameter);
        if (isGiven && index < positional.length) raise(`macro ${name} got multiple values for ${parameter}`);
        const given = isGiven ? left.get(parameter) : positional[index];
        left.delete(parameter);
        if (given !== undefined) inner.set(parameter, given);
        else if (standard !== null) inner.set(parameter, evaluate(standard, inner, this.budget));
        else inner.set(parameter, new Undefined(`parameter '${parameter}' was not provided, which`));
      }
      if (takesCaller) {
        inner.set(
          'caller',
          orElse(left.get('caller'), () => new Undefined('No caller defined, which')),
        );
        left.delete('caller');
      }
      if (takesNamed) inner.set('kwargs', new Map(left));
      else if (left.size > 0) raise(`macro '${name}' takes no keyword argument '${[...left.keys()][0]}'`);
      if (takesRest) inner.set('varargs', new Tuple(rest));
      else if (rest.length > 0) raise(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
      return this.text(body, inner);
    });
  }
}

/** Whether a body reads a name: macros get `varargs`, `kwargs` and `caller` only where they do. */
function mentions(body: unknown, name: string): boolean {
  if (Array.isArray(body)) return body.some((each) => mentions(each, name));
  if (typeof body !== 'object' || body === null) return false;
  const node = body as Record<string, unknown>;
  if (node.type === 'name' && node.name === name) return true;
  return Object.values(node).some((each) => mentions(each, name));
}
