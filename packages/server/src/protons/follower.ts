/** Loads what rows of protons come to when they have changed: on every server, whoever changed them. */
import { type Logger, type Loop, startLoop } from '@cable/kit';
import { PROTON } from '../engine/fences.ts';
import type { ResourceRegistry } from '../engine/registry.ts';
import type { Tables } from '../tables.ts';

export type ProtonFollowerDeps = {
  readonly tables: Pick<Tables, 'any' | 'onChange'>;
  readonly resources: Pick<ResourceRegistry, 'current'>;
  /** Called before the first proton is loaded. Idempotent. */
  readonly start: () => Promise<void>;
  readonly load: () => Promise<void>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Level-triggered: each run compares what is loaded with the rows. */
export class ProtonFollower {
  readonly #deps: ProtonFollowerDeps;
  readonly #loop: Loop;

  constructor(deps: ProtonFollowerDeps) {
    this.#deps = deps;
    this.#loop = startLoop({
      name: 'protons',
      log: deps.log,
      signal: deps.signal,
      everyMs: 60_000,
      backoff: { minMs: 50, maxMs: 5000 },
      run: () => this.#run(),
    });
    deps.tables.onChange((_revision, changes) => {
      if (changes.some(({ type, before, after }) => type === PROTON && before?.['digest'] !== after?.['digest'])) {
        this.#loop.trigger();
      }
    });
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  async #run(): Promise<void> {
    const { tables, resources, start, load } = this.#deps;
    if (tables.any(PROTON).size > 0) await start();
    const loaded = resources.current.protons;
    const rows = [...tables.any(PROTON).values()];
    const isCurrent = rows.length === loaded.size && rows.every(({ id, digest }) => loaded.get(id) === digest);
    if (!isCurrent) await load();
  }
}
