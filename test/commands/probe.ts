/** A command that fails, waits and talks as told, started as a program of its own by house.test.ts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Flags } from '@oclif/core';
import { HalfbyteCommand } from '../../src/command.js';
import { InvalidInputError, VerificationError } from '../../src/core/errors.js';
import { endFailed } from '../../src/report/failure.js';

const errors: Record<string, () => unknown> = {
  verification: () => new VerificationError('too far off', 'a larger group'),
  input: () => new InvalidInputError('config.json: no model_type.'),
  disk: () => Object.assign(new Error('ENOSPC: ...'), { code: 'ENOSPC', syscall: 'write', path: '/out/x' }),
  defect: () => new TypeError('x is not a function'),
};

class Probe extends HalfbyteCommand {
  static override flags = {
    throw: Flags.string({ options: [...Object.keys(errors), 'later'] }),
    wait: Flags.string({ options: ['listening', 'deaf', 'stubborn', 'talking'] }),
    verdict: Flags.string({ options: ['pass', 'fail'] }),
  };

  async run() {
    const { flags } = await this.parse(Probe);
    if (flags.throw === 'later') {
      setTimeout(() => {
        throw new Error('thrown by a timer');
      });
      await sleep(60_000);
    }
    if (flags.throw) throw errors[flags.throw]();
    if (flags.wait) await this.#wait(flags.wait);
    this.note('a note');
    this.log('answer 42');
    if (flags.verdict === 'fail') this.exitCode = 1;
    return { answer: 42 };
  }

  async #wait(how: string) {
    if (how === 'talking') {
      const { signal } = this;
      for (;;) {
        this.log('word '.repeat(1000));
        await sleep(5, undefined, { signal });
      }
    }
    const ready = () => process.stderr.write('waiting\n');
    if (how === 'deaf') {
      ready();
      await sleep(60_000);
    }
    const { signal } = this;
    const stopped = sleep(60_000, undefined, { signal });
    ready();
    await stopped.catch(async (reason) => {
      if (how === 'listening') throw reason;
      process.stderr.write('stopping\n');
      await sleep(60_000);
    });
  }
}

const argv = process.argv.slice(2);
const fail = (error: unknown) => endFailed(error, argv);
process.on('uncaughtException', fail);
await Probe.run(argv, { root: fileURLToPath(new URL('../..', import.meta.url)) }).catch(fail);
