import { unsupported } from './errors.js';
import type { Arguments, Expression } from './syntax.js';
import type { TokenStream } from './token-stream.js';

/** jinja2's expressions, by its parser's levels of binding. */
export function parseExpression(tokens: TokenStream, withCondition = true): Expression {
  return withCondition ? choice(tokens) : or(tokens);
}

/** An expression, or several with commas between them: a tuple. */
export function parseTuple(tokens: TokenStream, withCondition = true): Expression {
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0 && endsTuple(tokens)) break;
    items.push(parseExpression(tokens, withCondition));
    if (!tokens.skip('operator', ',')) break;
    isTuple = true;
  }
  return isTuple ? { type: 'tuple', items } : items[0];
}

const endsTuple = (tokens: TokenStream) =>
  tokens.is('end') || tokens.is('operator', ')', '=') || tokens.is('name', 'in');

function choice(tokens: TokenStream): Expression {
  let value = or(tokens);
  while (tokens.skip('name', 'if')) {
    const condition = or(tokens);
    const otherwise = tokens.skip('name', 'else') ? choice(tokens) : null;
    value = { type: 'choice', condition, value, otherwise };
  }
  return value;
}

function or(tokens: TokenStream): Expression {
  let left = and(tokens);
  while (tokens.skip('name', 'or')) left = { type: 'logic', operator: 'or', left, right: and(tokens) };
  return left;
}

function and(tokens: TokenStream): Expression {
  let left = not(tokens);
  while (tokens.skip('name', 'and')) left = { type: 'logic', operator: 'and', left, right: not(tokens) };
  return left;
}

function not(tokens: TokenStream): Expression {
  return tokens.skip('name', 'not') ? { type: 'unary', operator: 'not', of: not(tokens) } : compare(tokens);
}

function compare(tokens: TokenStream): Expression {
  const left = sum(tokens);
  const rest: [string, Expression][] = [];
  for (;;) {
    if (tokens.is('operator', '==', '!=', '<', '<=', '>', '>=')) rest.push([tokens.next().value, sum(tokens)]);
    else if (tokens.skip('name', 'in')) rest.push(['in', sum(tokens)]);
    else if (tokens.is('name', 'not') && tokens.following.type === 'name' && tokens.following.value === 'in') {
      tokens.next();
      tokens.next();
      rest.push(['not in', sum(tokens)]);
    } else break;
  }
  return rest.length === 0 ? left : { type: 'compare', left, rest };
}

/** A level of binary operators that group to the left. */
function binary(operators: string[], inner: (tokens: TokenStream) => Expression): (tokens: TokenStream) => Expression {
  return (tokens) => {
    let left = inner(tokens);
    while (tokens.is('operator', ...operators)) {
      const operator = tokens.next().value;
      left = { type: 'binary', operator, left, right: inner(tokens) };
    }
    return left;
  };
}

const power = binary(['**'], (tokens) => unary(tokens));
const product = binary(['*', '/', '//', '%'], power);
const sum = binary(['+', '-'], concat);

function concat(tokens: TokenStream): Expression {
  const parts = [product(tokens)];
  while (tokens.skip('operator', '~')) parts.push(product(tokens));
  return parts.length === 1 ? parts[0] : { type: 'concat', parts };
}

function unary(tokens: TokenStream, withFilters = true): Expression {
  let value: Expression;
  if (tokens.is('operator', '-', '+')) {
    const operator = tokens.next().value as '-' | '+';
    value = { type: 'unary', operator, of: unary(tokens, false) };
  } else value = primary(tokens);
  value = postfix(tokens, value);
  return withFilters ? filters(tokens, value) : value;
}

const CONSTANTS = new Map<string, boolean | null>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

function primary(tokens: TokenStream): Expression {
  if (tokens.is('name')) {
    const { value: name } = tokens.next();
    const constant = CONSTANTS.get(name);
    return constant === undefined ? { type: 'name', name } : { type: 'constant', value: constant };
  }
  if (tokens.is('string')) {
    let value = '';
    while (tokens.is('string')) value += tokens.next().value;
    return { type: 'constant', value };
  }
  if (tokens.is('integer')) return { type: 'constant', value: BigInt(tokens.next().value.replaceAll('_', '')) };
  if (tokens.is('float')) return { type: 'constant', value: Number(tokens.next().value.replaceAll('_', '')) };
  if (tokens.skip('operator', '(')) {
    const value: Expression = tokens.is('operator', ')') ? { type: 'tuple', items: [] } : parseTuple(tokens);
    tokens.expect('operator', ')');
    return value;
  }
  if (tokens.skip('operator', '[')) {
    return { type: 'list', items: separated(tokens, ']', () => parseExpression(tokens)) };
  }
  if (tokens.skip('operator', '{')) {
    const entry = (): [Expression, Expression] => {
      const key = parseExpression(tokens);
      tokens.expect('operator', ':');
      return [key, parseExpression(tokens)];
    };
    return { type: 'dict', entries: separated(tokens, '}', entry) };
  }
  return tokens.fail('needed is a value');
}

/** Items with commas between them, up to and with `close`. */
function separated<T>(tokens: TokenStream, close: string, item: () => T): T[] {
  const items: T[] = [];
  while (!tokens.is('operator', close)) {
    if (items.length > 0) tokens.expect('operator', ',');
    if (tokens.is('operator', close)) break;
    items.push(item());
  }
  tokens.expect('operator', close);
  return items;
}

function postfix(tokens: TokenStream, value: Expression): Expression {
  let result = value;
  for (;;) {
    if (tokens.skip('operator', '.')) {
      if (tokens.is('integer')) {
        result = { type: 'item', of: result, key: { type: 'constant', value: BigInt(tokens.next().value) } };
      } else result = { type: 'attribute', of: result, name: tokens.expect('name').value };
    } else if (tokens.skip('operator', '[')) result = subscript(tokens, result);
    else if (tokens.is('operator', '(')) result = { type: 'call', callee: result, args: parseArguments(tokens) };
    else return result;
  }
}

function subscript(tokens: TokenStream, of: Expression): Expression {
  const parts: (Expression | null)[] = [null];
  let isSlice = false;
  while (!tokens.is('operator', ']')) {
    if (tokens.skip('operator', ':')) {
      isSlice = true;
      parts.push(null);
    } else if (tokens.is('operator', ',')) unsupported('several subscripts in one bracket');
    else parts[parts.length - 1] = parseExpression(tokens);
  }
  tokens.next();
  if (isSlice && parts.length <= 3) return { type: 'slice', of, parts };
  const [key] = parts;
  return isSlice || key === null ? tokens.fail('needed is a subscript') : { type: 'item', of, key };
}

function filters(tokens: TokenStream, value: Expression): Expression {
  let result = value;
  for (;;) {
    if (tokens.is('operator', '|')) result = parseFilter(tokens, result);
    else if (tokens.skip('name', 'is')) result = test(tokens, result);
    else if (tokens.is('operator', '(')) result = { type: 'call', callee: result, args: parseArguments(tokens) };
    else return result;
  }
}

const NO_ARGUMENTS: Arguments = { positional: [], named: [], list: null, dict: null };

function dottedName(tokens: TokenStream): string {
  let { value } = tokens.expect('name');
  while (tokens.skip('operator', '.')) value += `.${tokens.expect('name').value}`;
  return value;
}

/** `| name(arguments)`, once. */
function parseFilter(tokens: TokenStream, of: Expression | null): Expression {
  tokens.expect('operator', '|');
  return filterCall(tokens, of);
}

function filterCall(tokens: TokenStream, of: Expression | null): Expression {
  const name = dottedName(tokens);
  const args = tokens.is('operator', '(') ? parseArguments(tokens) : NO_ARGUMENTS;
  return { type: 'filter', of, name, args };
}

/** The filters of `{% filter a | b %}` and of `{% set x | a %}`. */
export function parseBlockFilters(tokens: TokenStream): Expression {
  let result = filterCall(tokens, null);
  while (tokens.is('operator', '|')) result = parseFilter(tokens, result);
  return result;
}

function test(tokens: TokenStream, of: Expression): Expression {
  const isNegated = tokens.skip('name', 'not');
  const name = dottedName(tokens);
  let args = NO_ARGUMENTS;
  const { type, value } = tokens.current;
  const startsValue =
    ['name', 'string', 'integer', 'float'].includes(type) || (type === 'operator' && '[{'.includes(value));
  if (tokens.is('operator', '(')) args = parseArguments(tokens);
  else if (startsValue && !tokens.is('name', 'else', 'or', 'and')) {
    if (tokens.is('name', 'is')) tokens.fail('tests cannot follow one another');
    args = { ...NO_ARGUMENTS, positional: [postfix(tokens, primary(tokens))] };
  }
  const found: Expression = { type: 'test', of, name, args };
  return isNegated ? { type: 'unary', operator: 'not', of: found } : found;
}

export function parseArguments(tokens: TokenStream): Arguments {
  tokens.expect('operator', '(');
  const args: Arguments = { positional: [], named: [], list: null, dict: null };
  separated(tokens, ')', () => {
    if (tokens.skip('operator', '*')) args.list = parseExpression(tokens);
    else if (tokens.skip('operator', '**')) args.dict = parseExpression(tokens);
    else if (tokens.is('name') && tokens.following.type === 'operator' && tokens.following.value === '=') {
      const name = tokens.next().value;
      tokens.next();
      args.named.push([name, parseExpression(tokens)]);
    } else if (args.named.length > 0 || args.list || args.dict) tokens.fail('a value without a name comes first');
    else args.positional.push(parseExpression(tokens));
  });
  return args;
}
