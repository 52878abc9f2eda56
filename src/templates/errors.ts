/** What the template does in Python too: raise_exception, or an error of Python. */
export class TemplateRaised extends Error {}

/** What a template uses of Jinja or Python that is not computed here, or the bound that it passes. */
export class TemplateUnsupported extends Error {}

export function unsupported(what: string): never {
  throw new TemplateUnsupported(what);
}

export function raise(message: string): never {
  throw new TemplateRaised(message);
}
