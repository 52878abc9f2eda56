/** What Python's str.isspace() and \s hold for white space, as the inside of a character class. JavaScript's \s differs. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** Where Python's str.splitlines() cuts. */
export const LINE_BREAK = '\\r\\n|[\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029]';
