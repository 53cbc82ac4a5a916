/** Status of ports on the vrouter. Bindings that nobody has made in time fail, and changes of protons that are over end: on whichever server looks first, whatever became of the one that was asked. */
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { PortOwner } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { BIND_MS, failed } from './binding.ts';
import { endOver } from './change.ts';
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
  /** When a pending binding was seen first, by port and generation. */
  #since: ReadonlyMap<string, number> = new Map();

  constructor(deps: EngineDeps, { log, signal }: { readonly log: Logger; readonly signal: AbortSignal }) {
    this.#deps = deps;
    this.#signal = signal;
    this.#loop = startLoop({ name: 'bindings', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.#round() });
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  async #round(): Promise<void> {
    const { tables, monotonicMs, log } = this.#deps;
    await endOver(this.#deps, this.#asked());
    const open = new Map<string, number>();
    for (const row of tables.of('port_owner').by('phase' as never, 'Pending')) {
      // Clocks of servers differ: it counts from when this one has seen it first.
      const name = `${row.id} ${row.generation}`;
      const since = this.#since.get(name) ?? monotonicMs();
      open.set(name, since);
      if (this.#signal.aborted) return;
      if (monotonicMs() - since < BIND_MS && !this.#isLong(row)) continue;
      // What keeps one from being written keeps no other.
      await this.#fail(row).catch((err: unknown) =>
        log.warn({ port: row.id, err }, 'a binding that is over was not ended'),
      );
    }
    this.#since = open;
  }

  /** Whatever the clocks of servers say: nobody was there when it was over. */
  #isLong({ deadline }: PortOwner): boolean {
    return deadline !== null && this.#deps.now().getTime() > Date.parse(deadline) + BIND_MS;
  }

  async #fail({ id, generation }: PortOwner): Promise<void> {
    await transact(this.#deps, this.#asked(), (planning) => {
      const row = planning.plan.rely('port_owner', id) as unknown as PortOwner | undefined;
      if (row?.phase !== 'Pending' || row.generation !== generation) return;
      const who = row.controller === null ? 'no controller has claimed it' : `${row.controller} has not plugged it`;
      write(planning, row, failed(row, `${row.reason === null ? '' : `${row.reason}; `}${who} in time`));
    });
  }

  /** What hosts have told of a port on the vrouter, on it and on the port itself. */
  async writeStatus(id: string, status: 'ACTIVE' | 'DOWN'): Promise<void> {
    await transact(this.#deps, this.#asked(), (planning) => {
      const row = planning.plan.rely('port_owner', id);
      // It has been unbound, or bound anew, meanwhile: what that comes to is looked at by itself.
      if (row === undefined || row.status === null || row.status === status) return;
      write(planning, row, { status });
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
