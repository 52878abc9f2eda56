import { raise, unsupported } from './errors.js';
import { SPACE } from './spaces.js';

/** `text` outside of tags; `begin` and `end` of a tag, the others inside one. */
export interface Token {
  type: 'text' | 'begin' | 'end' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'eof';
  /** Of `begin` and `end` the kind of the tag: block or variable. */
  value: string;
  line: number;
}

const BEGIN = /\{%|\{\{|\{#/g;
const RAW = new RegExp(`\\{%([-+]?)[${SPACE}]*raw[${SPACE}]*(?:-%\\}[${SPACE}]*|%\\})`, 'y');
const END_RAW = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?`, 'g');
const ENDS = {
  block: new RegExp(`\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?`, 'y'),
  variable: new RegExp(`-\\}\\}[${SPACE}]*|\\}\\}`, 'y'),
};
const SPACES = new RegExp(`[${SPACE}]+`, 'y');
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const TRAILING_SPACE = new RegExp(`[${SPACE}]+$`);
const ONLY_SPACE = new RegExp(`^[${SPACE}]*$`);
const CLOSES: Record<string, string> = { ')': '(', ']': '[', '}': '{' };

/** jinja2's lexer with trim_blocks and lstrip_blocks, as transformers sets them. */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let at = 0;
  // Whether what was read last ended a line: only then may the text of lstrip_blocks begin at its start.
  let startsLine = true;
  let lines = 1;
  let counted = 0;
  const line = () => {
    for (; counted < at; counted++) if (source[counted] === '\n') lines++;
    return lines;
  };

  const pushText = (text: string, sign: string, isVariable: boolean) => {
    let kept = text;
    if (sign === '-') kept = text.replace(TRAILING_SPACE, '');
    else if (sign !== '+' && !isVariable) {
      const start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || startsLine) && ONLY_SPACE.test(text.slice(start))) kept = text.slice(0, start);
    }
    if (kept !== '') tokens.push({ type: 'text', value: kept, line: line() });
  };
  const match = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = at;
    return expression.exec(source);
  };
  const advance = (found: RegExpExecArray) => {
    at = found.index + found[0].length;
    startsLine = found[0].endsWith('\n');
  };

  while (at < source.length) {
    const begin = match(BEGIN);
    if (begin === null) {
      tokens.push({ type: 'text', value: source.slice(at), line: line() });
      break;
    }
    const text = source.slice(at, begin.index);
    at = begin.index;
    const raw = match(RAW);
    const sign = raw ? raw[1] : (/[-+]/.exec(source[at + 2] ?? '')?.[0] ?? '');
    pushText(text, sign, begin[0] === '{{');
    if (raw) {
      advance(raw);
      const end = match(END_RAW);
      if (end === null) return raise('a raw block has no end');
      pushText(source.slice(at, end.index), end[1], false);
      advance(end);
      continue;
    }
    at += begin[0].length + sign.length;
    startsLine = false;
    if (begin[0] === '{#') {
      const end = match(COMMENT_END);
      if (end === null) return raise('a comment has no end');
      advance(end);
      continue;
    }
    readTag(begin[0] === '{%' ? 'block' : 'variable');
  }
  tokens.push({ type: 'eof', value: '', line: line() });
  return tokens;

  function readTag(kind: 'block' | 'variable'): void {
    const push = (type: Token['type'], value: string) => tokens.push({ type, value, line: line() });
    push('begin', kind);
    const open: string[] = [];
    for (;;) {
      const end = open.length === 0 ? match(ENDS[kind]) : null;
      if (end) {
        push('end', kind);
        advance(end);
        return;
      }
      const found = (type: Token['type'], expression: RegExp): boolean => {
        const token = match(expression);
        if (token === null) return false;
        push(type, token[0]);
        advance(token);
        return true;
      };
      const space = match(SPACES);
      if (space) advance(space);
      else if (found('float', FLOAT) || found('integer', INTEGER) || found('name', NAME)) continue;
      else if (found('string', STRING)) {
        const token = tokens[tokens.length - 1];
        token.value = unescaped(token.value.slice(1, -1));
      } else if (found('operator', OPERATOR)) balance(open, tokens[tokens.length - 1]);
      else if (at >= source.length) raise(`line ${line()}: a tag has no end`);
      else raise(`line ${line()}: unexpected character ${JSON.stringify(source[at])}`);
    }
  }
}

function balance(open: string[], { value, line }: Token): void {
  if ('([{'.includes(value)) open.push(value);
  else if (value in CLOSES && open.pop() !== CLOSES[value]) raise(`line ${line}: unexpected "${value}"`);
}

const ESCAPES: Record<string, string> = {
  ...{ n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
};

/** Python's unicode-escape; what it does not know stays as it is written. */
function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x, u, long, octal, other) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = x ?? u ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if ('xuU'.includes(other)) raise('a string has an escape that is cut short');
      if (other === 'N') unsupported('the escape \\N{...} in a string');
      return Object.hasOwn(ESCAPES, other) ? ESCAPES[other] : whole;
    },
  );
}
