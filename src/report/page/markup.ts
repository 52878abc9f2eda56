/** HTML or SVG that is safe to put into a page as it stands. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What a template takes: text and numbers are escaped, markup is not, lists are joined, the rest is left out. */
export type Content = string | number | Markup | readonly Content[] | null | undefined | false;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/**
 * Text for an element or a quoted attribute. Control characters, and those that turn the direction of writing and could
 * make a name look like another, become escapes that are seen.
 */
export function escapeText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (character) => {
        return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
      })
      .replace(/[&<>"']/g, (character) => ENTITIES[character])
  );
}

/** A template of HTML or SVG: html`<b title="${name}">${value}</b>`. Attributes that take values are quoted. */
export function html(strings: TemplateStringsArray, ...values: Content[]): Markup {
  let text = strings[0];
  for (const [index, value] of values.entries()) text += textOf(value) + strings[index + 1];
  return new Markup(text);
}

function textOf(content: Content): string {
  if (content === null || content === undefined || content === false) return '';
  if (content instanceof Markup) return content.text;
  if (typeof content === 'object') return content.map(textOf).join('');
  return escapeText(String(content));
}
