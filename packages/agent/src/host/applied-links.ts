import { isDeepStrictEqual } from 'node:util';
import type { HostLink } from '../desired.ts';

/** `changed`: devices came; `DeviceReader` knows them already. `failures`: why a port's link could not be made, by port id. */
export type AppliedLinks = { readonly changed: boolean; readonly failures: ReadonlyMap<string, string> };

/** Makes and removes the links of the machine's own ports. */
export type LinkDriver = {
  /** Makes these as they shall be; what is right is not touched. */
  apply(wanted: ReadonlyMap<string, HostLink>): AppliedLinks;
  /** Removes all links of ours that are not among these. Does not wait for it. */
  prune(wanted: ReadonlyMap<string, HostLink>): void;
};

const NOTHING_MADE: AppliedLinks = { changed: false, failures: new Map() };

/** Links of host-owned ports: those that changed, failed, or were touched by somebody are made as they shall be. */
export class MachineLinks {
  readonly #driver: LinkDriver;
  readonly #failures = new Map<string, string>();
  #made: ReadonlyMap<string, HostLink> = new Map();
  #pruned: ReadonlyMap<string, HostLink> | undefined;

  constructor(driver: LinkDriver) {
    this.#driver = driver;
  }

  /** Why a port's link could not be made, by port id. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  /** `devices`: names of devices that are not as they were. Returns names of devices that came, and ports whose failure changed. */
  apply(
    wanted: ReadonlyMap<string, HostLink>,
    devices: ReadonlySet<string>,
    retry: boolean,
  ): { readonly devices: readonly string[]; readonly ports: ReadonlySet<string> } {
    const due = new Map(
      [...wanted].filter(
        ([portId, link]) =>
          !isDeepStrictEqual(this.#made.get(portId), link) ||
          devices.has(link.name) ||
          devices.has(link.vifName) ||
          (retry && this.#failures.has(portId)),
      ),
    );
    const ports = new Set<string>();
    for (const portId of this.#failures.keys()) {
      if (wanted.has(portId)) continue;
      this.#failures.delete(portId);
      ports.add(portId);
    }
    const { changed, failures } = due.size > 0 ? this.#driver.apply(due) : NOTHING_MADE;
    this.#made = wanted;
    for (const portId of due.keys()) {
      const failure = failures.get(portId);
      if (failure === this.#failures.get(portId)) continue;
      if (failure === undefined) this.#failures.delete(portId);
      else this.#failures.set(portId, failure);
      ports.add(portId);
    }
    return { devices: changed ? [...due.values()].map((link) => link.vifName) : [], ports };
  }

  /** Removes links of ports that are gone, once for each set of wanted ones. The state must be known to be whole. */
  prune(wanted: ReadonlyMap<string, HostLink>): void {
    if (this.#pruned === wanted) return;
    this.#pruned = wanted;
    this.#driver.prune(wanted);
  }
}
