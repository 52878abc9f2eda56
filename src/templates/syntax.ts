/** The tree of a template, after jinja2's nodes. */
export interface Arguments {
  positional: Expression[];
  named: [string, Expression][];
  /** `*list` and `**dict`. */
  list: Expression | null;
  dict: Expression | null;
}

export type Expression =
  | { type: 'constant'; value: string | bigint | number | boolean | null }
  | { type: 'name'; name: string }
  | { type: 'list' | 'tuple'; items: Expression[] }
  | { type: 'dict'; entries: [Expression, Expression][] }
  | { type: 'attribute'; of: Expression; name: string }
  | { type: 'item'; of: Expression; key: Expression }
  | { type: 'slice'; of: Expression; parts: (Expression | null)[] }
  | { type: 'call'; callee: Expression; args: Arguments }
  /** `of` is null in `{% filter %}`, where the block's text comes first. */
  | { type: 'filter'; of: Expression | null; name: string; args: Arguments }
  | { type: 'test'; of: Expression; name: string; args: Arguments }
  | { type: 'unary'; operator: 'not' | '-' | '+'; of: Expression }
  | { type: 'binary'; operator: string; left: Expression; right: Expression }
  | { type: 'logic'; operator: 'and' | 'or'; left: Expression; right: Expression }
  | { type: 'concat'; parts: Expression[] }
  | { type: 'compare'; left: Expression; rest: [string, Expression][] }
  | { type: 'choice'; condition: Expression; value: Expression; otherwise: Expression | null };

/** What `set` and `for` assign to. */
export type Target =
  | { type: 'name'; name: string }
  | { type: 'member'; of: string; name: string }
  | { type: 'targets'; items: Target[] };

export interface Parameter {
  name: string;
  standard: Expression | null;
}

export type Statement =
  | { type: 'text'; text: string }
  | { type: 'output'; value: Expression }
  | { type: 'if'; condition: Expression; body: Statement[]; otherwise: Statement[] }
  | {
      type: 'for';
      target: Target;
      over: Expression;
      condition: Expression | null;
      body: Statement[];
      otherwise: Statement[];
    }
  | { type: 'set'; target: Target; value: Expression }
  | { type: 'setBlock'; target: Target; filter: Expression | null; body: Statement[] }
  | { type: 'macro'; name: string; parameters: Parameter[]; body: Statement[] }
  | { type: 'call'; call: Expression; parameters: Parameter[]; body: Statement[] }
  | { type: 'filter'; filter: Expression; body: Statement[] }
  | { type: 'with'; targets: [Target, Expression][]; body: Statement[] }
  | { type: 'generation'; body: Statement[] }
  | { type: 'break' }
  | { type: 'continue' };
