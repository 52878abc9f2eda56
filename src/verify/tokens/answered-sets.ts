import { inTemporaryDirectory } from '../../formats/temporary-directory.js';
import type { Reference } from '../referees/open-reference.js';
import { askCommand } from '../referees/reference-command.js';
import { type ChosenSets, chooseSets, type SetLimits, type SetRequest } from './choose-sets.js';

/**
 * Chooses the token sets and hands them to `run` with all answers that are stored: a command is asked first, and what it
 * answers can be read until `run` ends. Throws as `chooseSets` and `askCommand` do.
 */
export async function withAnsweredSets(
  request: SetRequest,
  limits: SetLimits,
  { stored, checkpoint, command }: Pick<Reference, 'stored' | 'checkpoint' | 'command'>,
  run: (chosen: ChosenSets) => Promise<void>,
): Promise<void> {
  const chosen = await chooseSets(request, limits, stored, checkpoint !== null || command !== null);
  if (!command) return run(chosen);
  await inTemporaryDirectory(async (dir) => {
    const answer = await askCommand(command, chosen.sets, dir, limits.vocabulary);
    for (const set of chosen.sets) {
      const found = answer.sets.find(({ name }) => name === set.name);
      if (found) set.answers.push({ referee: 'command', stored: found });
    }
    await run(chosen);
  });
}
