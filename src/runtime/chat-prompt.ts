import { InvalidInputError } from '../core/errors.js';
import type { TokenizerFiles } from '../formats/tokenizer-files.js';
import { namedTokens } from './special-tokens.js';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/**
 * The prompt of a conversation that the model shall answer, with the names that transformers gives a template. `now` is
 * the time that strftime_now prints. Throws InvalidInputError without a template, where it raises an error, uses what is
 * not computed here or does not end.
 */
export async function chatPrompt(
  { chatTemplate, config }: TokenizerFiles,
  where: string,
  messages: readonly ChatMessage[],
  now = new Date(),
): Promise<string> {
  if (chatTemplate === null) {
    throw new InvalidInputError(
      `${where}: the tokenizer has no chat template (chat_template in tokenizer_config.json, or chat_template.jinja).`,
      'leave --chat out and write the prompt as the model expects it.',
    );
  }
  const { renderTemplate } = await import('../templates/render.js');
  const { fromPlain } = await import('../templates/values.js');
  const { TemplateRaised, TemplateUnsupported } = await import('../templates/errors.js');
  const given = { messages, tools: null, documents: null, add_generation_prompt: true };
  try {
    const names = Object.entries({ ...namedTokens(config), ...given });
    return renderTemplate(chatTemplate, new Map(names.map(([name, value]) => [name, fromPlain(value)])), now);
  } catch (error) {
    if (error instanceof TemplateRaised) {
      throw new InvalidInputError(
        `${where}: the chat template refuses these messages: ${error.message.slice(0, 400)}`,
        'leave --chat or --system out.',
      );
    }
    if (error instanceof TemplateUnsupported) {
      throw new InvalidInputError(
        `${where}: the chat template uses what is not computed here: ${error.message.slice(0, 400)}.`,
        'write the prompt as the model expects it and leave --chat out.',
      );
    }
    throw error;
  }
}
