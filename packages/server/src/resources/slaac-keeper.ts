import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { credentialsOf } from '../policy/credentials.ts';
import { followed, followStep } from './automatic-addresses.ts';

export type SlaacKeeperDeps = EngineDeps & { readonly signal: AbortSignal; readonly log: Logger };

const LOOK_EVERY_MS = 5000;

/** So long a subnet is left to the request that is at it. */
const PATIENCE_MS = 10_000;

/** A step's time. */
const STEP_MS = 30_000;

const CREDENTIALS = credentialsOf({ projectId: '', isAdmin: true });

/**
 * Sees to it that ports follow the subnets of SLAAC of their network to the end, when the requests that began with it have left or died. Every server does so: of
 * two that do the same step one is planned anew.
 */
export class SlaacKeeper {
  readonly #deps: SlaacKeeperDeps;
  readonly #loop: Loop;
  /** Since when subnets are not done, as far as it is known here. */
  readonly #since = new Map<string, number>();

  constructor(deps: SlaacKeeperDeps) {
    this.#deps = deps;
    const { log, signal } = deps;
    this.#loop = startLoop({ name: 'slaac', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Does what is due. */
  async round(patienceMs: number = PATIENCE_MS): Promise<void> {
    const { tables, monotonicMs, signal, log } = this.#deps;
    const open = [...tables.of('subnet').values()].filter((one) => followed(one) !== undefined).map(({ id }) => id);
    for (const id of this.#since.keys()) if (!open.includes(id)) this.#since.delete(id);
    for (const id of open) {
      const since = this.#since.get(id) ?? monotonicMs();
      this.#since.set(id, since);
      if (monotonicMs() - since < patienceMs) continue;
      while (!signal.aborted && (await followStep(this.#deps, id, this.#asked())));
      log.info({ subnet: id }, 'the ports of a network follow a subnet of SLAAC');
    }
  }

  #asked(): Asked {
    const { signal, monotonicMs, resources } = this.#deps;
    return {
      credentials: CREDENTIALS,
      signal,
      isGone: signal.aborted,
      deadlineMs: monotonicMs() + STEP_MS,
      idempotencyKey: null,
      isSet: () => false,
      loaded: resources.current,
    };
  }
}
