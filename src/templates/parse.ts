import { raise, unsupported } from './errors.js';
import { tokenize } from './lexer.js';
import { parseBlockFilters, parseExpression, parseTuple } from './parse-expression.js';
import type { Expression, Parameter, Statement, Target } from './syntax.js';
import { TokenStream } from './token-stream.js';

/** Parses a template with the extensions of transformers: break, continue, generation. */
export function parseTemplate(template: string): Statement[] {
  const tokens = new TokenStream(tokenize(template));
  const body = statements(tokens, []);
  if (!tokens.is('eof')) tokens.fail('nothing is open');
  return body;
}

/** Statements up to a tag that begins with one of `ends`, whose name is then the current token. */
function statements(tokens: TokenStream, ends: string[]): Statement[] {
  const body: Statement[] = [];
  for (;;) {
    if (tokens.is('eof')) {
      if (ends.length > 0) raise(`the template ends where ${ends.join(' or ')} is needed`);
      return body;
    }
    if (tokens.is('text')) body.push({ type: 'text', text: tokens.next().value });
    else if (tokens.skip('begin', 'variable')) {
      body.push({ type: 'output', value: parseTuple(tokens) });
      tokens.expect('end');
    } else {
      tokens.expect('begin', 'block');
      if (tokens.is('name', ...ends) && ends.length > 0) return body;
      body.push(statement(tokens));
    }
  }
}

/** The body of a block and its end tag. */
function block(tokens: TokenStream, end: string): Statement[] {
  tokens.expect('end');
  const body = statements(tokens, [end]);
  close(tokens, end);
  return body;
}

function close(tokens: TokenStream, name: string): void {
  tokens.expect('name', name);
  tokens.expect('end');
}

function statement(tokens: TokenStream): Statement {
  const { value: name } = tokens.expect('name');
  const read = STATEMENTS.get(name);
  if (read === undefined) {
    if (KNOWN.has(name)) unsupported(`the tag {% ${name} %}`);
    return raise(`unknown tag {% ${name} %}`);
  }
  return read(tokens);
}

/** Tags of jinja2 that a chat template has no use for: other templates, escaping. */
const KNOWN = new Set(['block', 'extends', 'include', 'import', 'from', 'autoescape', 'trans', 'do', 'debug']);

const STATEMENTS = new Map<string, (tokens: TokenStream) => Statement>([
  ['if', conditional],
  ['for', loop],
  ['set', assignment],
  ['macro', macro],
  ['call', callBlock],
  ['filter', (tokens) => ({ type: 'filter', filter: parseBlockFilters(tokens), body: block(tokens, 'endfilter') })],
  ['with', withBlock],
  ['generation', (tokens) => ({ type: 'generation', body: block(tokens, 'endgeneration') })],
  ['break', (tokens) => jump(tokens, 'break')],
  ['continue', (tokens) => jump(tokens, 'continue')],
]);

function jump(tokens: TokenStream, type: 'break' | 'continue'): Statement {
  tokens.expect('end');
  return { type };
}

function conditional(tokens: TokenStream): Statement {
  const condition = parseTuple(tokens, false);
  tokens.expect('end');
  const body = statements(tokens, ['elif', 'else', 'endif']);
  if (tokens.skip('name', 'elif')) return { type: 'if', condition, body, otherwise: [conditional(tokens)] };
  const otherwise = tokens.skip('name', 'else') ? elseBody(tokens, 'endif') : [];
  close(tokens, 'endif');
  return { type: 'if', condition, body, otherwise };
}

function elseBody(tokens: TokenStream, end: string): Statement[] {
  tokens.expect('end');
  return statements(tokens, [end]);
}

function loop(tokens: TokenStream): Statement {
  const target = parseTarget(tokens);
  tokens.expect('name', 'in');
  const over = parseTuple(tokens, false);
  const condition = tokens.skip('name', 'if') ? parseExpression(tokens) : null;
  if (tokens.is('name', 'recursive')) unsupported('a recursive for loop');
  tokens.expect('end');
  const body = statements(tokens, ['endfor', 'else']);
  const otherwise = tokens.skip('name', 'else') ? elseBody(tokens, 'endfor') : [];
  close(tokens, 'endfor');
  return { type: 'for', target, over, condition, body, otherwise };
}

function assignment(tokens: TokenStream): Statement {
  const target = parseTarget(tokens, true);
  if (tokens.skip('operator', '=')) {
    const value = parseTuple(tokens);
    tokens.expect('end');
    return { type: 'set', target, value };
  }
  const filter = tokens.skip('operator', '|') ? parseBlockFilters(tokens) : null;
  return { type: 'setBlock', target, filter, body: block(tokens, 'endset') };
}

/** Names with commas between them, in brackets where they are nested. */
function parseTarget(tokens: TokenStream, withMembers = false): Target {
  const items = [oneTarget(tokens, withMembers)];
  let isTuple = false;
  while (tokens.skip('operator', ',')) {
    isTuple = true;
    if (tokens.is('name', 'in') || tokens.is('operator', '=', ')')) break;
    items.push(oneTarget(tokens, withMembers));
  }
  return isTuple ? { type: 'targets', items } : items[0];
}

function oneTarget(tokens: TokenStream, withMembers: boolean): Target {
  if (tokens.skip('operator', '(')) {
    const target = parseTarget(tokens);
    tokens.expect('operator', ')');
    return target;
  }
  const name = tokens.expect('name').value;
  if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name)) raise(`cannot assign to ${name}`);
  if (withMembers && tokens.skip('operator', '.')) {
    return { type: 'member', of: name, name: tokens.expect('name').value };
  }
  return { type: 'name', name };
}

function parseParameters(tokens: TokenStream): Parameter[] {
  const parameters: Parameter[] = [];
  tokens.expect('operator', '(');
  while (!tokens.is('operator', ')')) {
    if (parameters.length > 0) tokens.expect('operator', ',');
    const { value: name } = tokens.expect('name');
    const standard = tokens.skip('operator', '=') ? parseExpression(tokens) : null;
    if (standard === null && parameters.some((each) => each.standard)) raise(`parameter ${name} needs a default`);
    parameters.push({ name, standard });
  }
  tokens.next();
  return parameters;
}

function macro(tokens: TokenStream): Statement {
  const name = tokens.expect('name').value;
  const parameters = parseParameters(tokens);
  return { type: 'macro', name, parameters, body: block(tokens, 'endmacro') };
}

function callBlock(tokens: TokenStream): Statement {
  const parameters = tokens.is('operator', '(') ? parseParameters(tokens) : [];
  const call = parseExpression(tokens);
  if (call.type !== 'call') return tokens.fail('needed is a call');
  return { type: 'call', call, parameters, body: block(tokens, 'endcall') };
}

function withBlock(tokens: TokenStream): Statement {
  const targets: [Target, Expression][] = [];
  while (!tokens.is('end')) {
    if (targets.length > 0) tokens.expect('operator', ',');
    const target = oneTarget(tokens, false);
    tokens.expect('operator', '=');
    targets.push([target, parseExpression(tokens)]);
  }
  return { type: 'with', targets, body: block(tokens, 'endwith') };
}
