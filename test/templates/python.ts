import { Budget } from '../../src/templates/budget.js';
import { evaluate } from '../../src/templates/evaluate.js';
import { tokenize } from '../../src/templates/lexer.js';
import { parseExpression } from '../../src/templates/parse-expression.js';
import { Scope } from '../../src/templates/scope.js';
import { TokenStream } from '../../src/templates/token-stream.js';
import type { Value } from '../../src/templates/values.js';

/** A dict in Python's notation, which keeps 1 and 1.0 apart and keys in order, as the names of a template. */
export function names(python: string): Map<string, Value> {
  const tokens = new TokenStream(tokenize(`{{ ${python} }}`));
  tokens.next();
  return evaluate(parseExpression(tokens), new Scope(), new Budget()) as Map<string, Value>;
}
