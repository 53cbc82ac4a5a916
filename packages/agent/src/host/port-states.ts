import type { LocalPort, VifStatus } from '@cable/model';
import { vifDeviceName } from '../plan/device-names.ts';

/** What a port's state follows from. */
export type PortSources = {
  /** Undefined: the host does not carry it. */
  port(portId: string): LocalPort | undefined;
  /** Why it cannot be as desired; undefined: nothing is known against it. */
  failure(portId: string): string | undefined;
  /** Whether its device is there. */
  hasDevice(portId: string): boolean;
  /** Whether it comes from another host, and its flows are here. */
  hasFlows(portId: string): boolean;
};

/** Each local port as it is now: `up` only if its device has the program and its entries are in the kernel. */
export class PortStates {
  readonly #facts: PortSources;
  readonly #states = new Map<string, VifStatus>();

  constructor(facts: PortSources) {
    this.#facts = facts;
  }

  get all(): ReadonlyMap<string, VifStatus> {
    return this.#states;
  }

  /** Looks at these ports again; returns those whose state changed, or that are gone. */
  refresh(portIds: Iterable<string>): ReadonlySet<string> {
    const changed = new Set<string>();
    for (const portId of portIds) {
      const before = this.#states.get(portId);
      const after = this.#stateOf(portId);
      if (isSame(before, after)) continue;
      if (after === undefined) this.#states.delete(portId);
      else this.#states.set(portId, after);
      changed.add(portId);
    }
    return changed;
  }

  #stateOf(portId: string): VifStatus | undefined {
    const port = this.#facts.port(portId);
    if (port === undefined) return undefined;
    const reason = this.#facts.failure(portId);
    if (reason !== undefined) return { portId, state: 'error', reason };
    if (this.#facts.hasDevice(portId)) {
      return { portId, state: 'up', reason: null, ...(this.#facts.hasFlows(portId) ? { flows: true } : {}) };
    }
    return { portId, state: 'down', reason: `there is no device ${vifDeviceName(port)}` };
  }
}

function isSame(before: VifStatus | undefined, after: VifStatus | undefined): boolean {
  return before?.state === after?.state && before?.reason === after?.reason && before?.flows === after?.flows;
}
