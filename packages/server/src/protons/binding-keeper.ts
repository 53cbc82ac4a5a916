/** Bindings that nobody has made in time fail: on whichever server looks first, whatever became of the one that was asked. */
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { PortOwner } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { failed } from './binding.ts';
import { write } from './controllers.ts';

const LOOK_EVERY_MS = 500;
const STEP_MS = 5000;

/** As nobody's request: what it writes no rule is asked for. */
const CREDENTIALS = credentialsOf({ projectId: 'cable', isAdmin: true });

/** One a server, from the first proton on. */
export class BindingKeeper {
  readonly #deps: EngineDeps;
  readonly #signal: AbortSignal;
  readonly #loop: Loop;

  constructor(deps: EngineDeps, { log, signal }: { readonly log: Logger; readonly signal: AbortSignal }) {
    this.#deps = deps;
    this.#signal = signal;
    this.#loop = startLoop({ name: 'bindings', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.#round() });
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  async #round(): Promise<void> {
    const now = this.#deps.now().getTime();
    for (const row of this.#deps.tables.of('port_owner').by('phase' as never, 'Pending')) {
      if (this.#signal.aborted) return;
      if (row.deadline !== null && Date.parse(row.deadline) <= now) await this.#fail(row);
    }
  }

  async #fail({ id, generation }: PortOwner): Promise<void> {
    await transact(this.#deps, this.#asked(), (planning) => {
      const row = planning.plan.rely('port_owner', id) as unknown as PortOwner | undefined;
      if (row?.phase !== 'Pending' || row.generation !== generation) return;
      const who = row.controller === null ? 'no controller has claimed it' : `${row.controller} has not plugged it`;
      write(planning, row, failed(row, `${row.reason === null ? '' : `${row.reason}; `}${who} in time`));
    });
  }

  #asked(): Asked {
    const { monotonicMs, resources } = this.#deps;
    return {
      ...{ credentials: CREDENTIALS, signal: this.#signal, isGone: this.#signal.aborted, idempotencyKey: null },
      ...{ deadlineMs: monotonicMs() + STEP_MS, isSet: () => false, loaded: resources.current },
    };
  }
}
