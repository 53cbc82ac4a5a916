import { type Logger, type Loop, startLoop } from '@cable/kit';
import { namespaceProject, type Service } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { refuseBehind } from '../engine/loaded-types.ts';
import { Plan } from '../engine/plan.ts';

export type AnnouncedKeeperDeps = EngineDeps & { readonly signal: AbortSignal; readonly log: Logger };

/** Hosts that are dead announce nothing any more, as soon as that is looked at. */
const LOOK_EVERY_MS = 5000;

/** What a host has said counts as long as it says it anew with its reports; then it may report to another server. */
const SAID_MS = 20_000;

type Said = { readonly addresses: ReadonlySet<string>; readonly atMs: number };

type AnnouncedBy = Service['announced_by'];

/** Keeps in each Service which host announces which of its addresses, as hosts report it: for who looks, nothing follows from it. */
export class AnnouncedKeeper {
  readonly #deps: AnnouncedKeeperDeps;
  readonly #loop: Loop;
  readonly #said = new Map<string, Said>();

  constructor(deps: AnnouncedKeeperDeps) {
    this.#deps = deps;
    const { log, signal } = deps;
    this.#loop = startLoop({
      ...{ name: 'announced addresses', log, signal, everyMs: LOOK_EVERY_MS },
      run: () => this.round(),
    });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** The host says that it announces these, and no others. */
  take(host: string, addresses: readonly string[]): void {
    const before = this.#said.get(host);
    const isSame = before?.addresses.size === addresses.length && addresses.every((one) => before.addresses.has(one));
    this.#said.set(host, { addresses: new Set(addresses), atMs: this.#deps.monotonicMs() });
    if (!isSame && (before !== undefined || addresses.length > 0)) this.#loop.trigger();
  }

  /** Looks at each Service once. */
  async round(): Promise<void> {
    const { tables, signal, monotonicMs } = this.#deps;
    for (const [host, { atMs }] of this.#said) {
      if (monotonicMs() - atMs > SAID_MS || !this.#isAlive(host)) this.#said.delete(host);
    }
    for (const { id } of [...tables.of('service').values()]) {
      if (signal.aborted) return;
      if (this.#wanted(id) !== undefined) await this.#write(id);
    }
  }

  #isAlive(host: string): boolean {
    return this.#deps.tables.of('alive').get(host) !== undefined;
  }

  /** Undefined: it is so already. */
  #wanted(id: string): AnnouncedBy | undefined {
    const { tables } = this.#deps;
    // A Service of before has none of it.
    const service: (Partial<Service> & Pick<Service, 'id'>) | undefined = tables.of('service').get(id);
    const { announced_ips: addresses = [], announced_by: before = [], project_id: project = '' } = service ?? {};
    if (addresses.length === 0 && before.length === 0) return undefined;
    // Only who is a node of the cluster is believed.
    const own = [...this.#said].filter(([host]) => {
      const cluster = tables.of('host').get(host)?.cluster ?? null;
      return cluster !== null && project === namespaceProject(cluster, '');
    });
    const kept = before.filter(
      ({ address, host_id: host }) => addresses.includes(address) && !this.#said.has(host) && this.#isAlive(host),
    );
    const said = addresses.flatMap((address) =>
      own.flatMap(([host, { addresses: all }]) => (all.has(address) ? [{ address, host_id: host }] : [])),
    );
    const wanted = [...kept, ...said].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    return wanted.map(keyOf).join() === before.map(keyOf).join() ? undefined : wanted;
  }

  async #write(id: string): Promise<void> {
    const { tables, store, changeover, now, log } = this.#deps;
    const leave = await changeover.enter();
    const plan = new Plan(this.#deps, `${now().toISOString().slice(0, 19)}Z`);
    try {
      refuseBehind(this.#deps);
      const service = tables.of('service').get(id);
      const wanted = this.#wanted(id);
      if (service === undefined || wanted === undefined) return;
      plan.replace('service', { ...service, announced_by: wanted });
      const { compares, ops } = plan.transaction();
      const { ok, revision } = await store.txn(compares, ops);
      await tables.waitFor(revision, LOOK_EVERY_MS);
      if (ok)
        log.info(
          { service: service.name, by: wanted.map(keyOf) },
          'addresses of a Service are announced by other hosts',
        );
    } finally {
      plan.dispose();
      leave();
    }
  }
}

function keyOf({ address, host_id: host }: AnnouncedBy[number]): string {
  return `${address} ${host}`;
}
