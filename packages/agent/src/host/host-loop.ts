import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { HostSlice, VifStatus } from '@cable/model';
import type { DesiredState } from '../desired.ts';
import type { HostLinkResult } from '../devices/host-links.ts';
import type { LinkTable } from '../devices/link-table.ts';
import { vifDeviceName } from '../plan/host-links.ts';
import type { LocalDevice } from '../plan/local.ts';
import type { Planner } from '../plan/plan.ts';
import type { Reconciler } from '../reconcile/reconciler.ts';
import { type HostState, NO_STATE } from '../stream/host-state.ts';
import type { SlotTable } from './slots.ts';
import { vifStatuses } from './vif-status.ts';

/** What the host is, as of the last round. */
export type HostSnapshot = {
  /** Of what is in the kernel; 0: nothing yet. */
  readonly revision: number;
  readonly state: HostState;
  readonly desired: DesiredState | undefined;
  readonly vifs: readonly VifStatus[];
  /** Why the last round failed; null: it did not. */
  readonly error: string | null;
  /** Rounds that ended well, and map entries written and deleted by them. */
  readonly rounds: number;
  readonly writes: number;
};

export type HostLoopDeps = {
  readonly host: string;
  readonly plan: Planner;
  readonly reconciler: Pick<Reconciler, 'apply'>;
  readonly slots: SlotTable;
  readonly links: { read(): LinkTable; invalidate(): void };
  /** Makes the agent's own devices anew if one is gone. True: it did, so the links have changed. */
  readonly repairDevices: (links: LinkTable) => boolean;
  readonly applyHostLinks: (wanted: DesiredState['hostLinks']) => HostLinkResult;
  /** Removes links of ports that are gone. Does not wait: the kernel is slow at it, and nothing depends on it. */
  readonly pruneHostLinks: (wanted: DesiredState['hostLinks'], links: LinkTable) => void;
  /** Called after each round that changed something which is reported. */
  readonly onChange: () => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** A failed device or link is tried again this often, without any event. */
const RETRY_MS = 10_000;

/** Slices and devices in; kernel, guests and status out: the one loop in which the host is made to be as desired. */
export class HostLoop {
  readonly #deps: HostLoopDeps;
  readonly #waiters = new Set<{ readonly portId: string; readonly round: number; readonly resolve: () => void }>();
  #loop: Loop | undefined;
  #state: HostState = NO_STATE;
  #started = 0;
  #snapshot: HostSnapshot = {
    revision: 0,
    state: NO_STATE,
    desired: undefined,
    vifs: [],
    error: null,
    rounds: 0,
    writes: 0,
  };

  constructor(deps: HostLoopDeps) {
    this.#deps = deps;
  }

  get snapshot(): HostSnapshot {
    return this.#snapshot;
  }

  /** Starts with this state; `done` of the result resolves after the signal aborted. */
  start(initial: HostState): { readonly done: Promise<void> } {
    this.#state = initial;
    const { log, signal } = this.#deps;
    this.#loop = startLoop({ name: 'host', log, signal, run: () => this.#round(), everyMs: RETRY_MS });
    return this.#loop;
  }

  /** The newest state wins; states between are skipped. */
  setState(state: HostState): void {
    this.#state = state;
    this.#loop?.trigger();
  }

  /** Asks for a round: devices may have changed. */
  trigger(): void {
    this.#loop?.trigger();
  }

  /** Resolves when a round that began after this call finds the port up; rejects when the signal aborts. */
  waitPlugged(portId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = {
        portId,
        round: this.#started + 1,
        resolve: (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#waiters.delete(waiter);
        const status = this.#snapshot.vifs.find((vif) => vif.portId === portId);
        reject(new Error(`port ${portId} is not up: ${status?.reason ?? 'the server has not sent it to this host'}`));
      };
      if (signal.aborted) return onAbort();
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#deps.links.invalidate();
      this.trigger();
    });
  }

  async #round(): Promise<void> {
    this.#started += 1;
    const round = this.#started;
    const state = this.#state;
    let desired: DesiredState;
    try {
      const applied = await this.#apply(state);
      const { failures, writes } = applied;
      desired = applied.desired;
      const vifs = vifStatuses(hostSlice(state, this.#deps.host)?.ports ?? [], desired, failures);
      this.#publish({ revision: state.revision, state, desired, vifs, error: null, writes });
    } catch (err) {
      const message = err instanceof Error ? err.message : String(err);
      if (this.#snapshot.error !== message) this.#snapshot = { ...this.#snapshot, error: message };
      throw err;
    }
    this.#wakeWaiters(round);
    if (state.synced) this.#deps.pruneHostLinks(desired.hostLinks, this.#deps.links.read());
  }

  async #apply(state: HostState): Promise<{ desired: DesiredState; failures: Map<string, string>; writes: number }> {
    const prune = state.synced;
    if (this.#deps.repairDevices(this.#deps.links.read())) this.#deps.links.invalidate();
    let desired = this.#plan(state);
    const made = this.#deps.applyHostLinks(desired.hostLinks);
    if (made.changed) {
      this.#deps.links.invalidate();
      desired = this.#plan(state);
    }
    const result = await this.#deps.reconciler.apply(desired, { prune });
    const failures = new Map([...made.failures, ...result.failures]);
    return { desired, failures, writes: result.puts + result.deletes };
  }

  #plan(state: HostState): DesiredState {
    const { host, slots, links, plan } = this.#deps;
    const table = links.read();
    const devices = new Map<string, LocalDevice>();
    for (const port of hostSlice(state, host)?.ports ?? []) {
      const link = table.get(vifDeviceName(port));
      if (link !== undefined) devices.set(port.id, { name: link.name, ifindex: link.ifindex });
    }
    return plan(state.slices, { host, slots: slots.assign(devices.keys(), { release: state.synced }), devices });
  }

  #publish(next: Omit<HostSnapshot, 'rounds' | 'writes'> & { readonly writes: number }): void {
    const before = this.#snapshot;
    this.#snapshot = { ...next, rounds: before.rounds + 1, writes: before.writes + next.writes };
    const changed = before.revision !== next.revision || !sameStatuses(before.vifs, next.vifs) || before.error !== null;
    if (changed) this.#deps.onChange();
  }

  #wakeWaiters(round: number): void {
    const up = new Set(this.#snapshot.vifs.filter((vif) => vif.state === 'up').map((vif) => vif.portId));
    for (const waiter of this.#waiters) {
      if (waiter.round > round || !up.has(waiter.portId)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}

/** The slice with this host's own ports. */
export function hostSlice(state: Pick<HostState, 'slices'>, host: string): HostSlice | undefined {
  const slice = state.slices.get(`host:${host}`);
  return slice?.kind === 'host' ? slice : undefined;
}

function sameStatuses(a: readonly VifStatus[], b: readonly VifStatus[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => one.portId === b[i]?.portId && one.state === b[i].state && one.reason === b[i].reason)
  );
}
