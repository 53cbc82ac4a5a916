import type { Logger, Turns } from '@cable/kit';
import type { DesiredVif } from '../desired.ts';
import type { DataPlane } from './data-plane.ts';
import { isGone } from './room.ts';

type AttachPlane = Pick<DataPlane, 'listAttached' | 'attach' | 'forget'>;

/** Programs of the devices that ports have. */
export class Attachments {
  readonly #plane: AttachPlane;
  readonly #log: Logger;
  /** Ports by the device that they have, as of the last `ensure`. */
  readonly #ports = new Map<number, Set<string>>();
  readonly #ifindexes = new Map<string, number>();
  readonly #failures = new Map<string, string>();
  /** Devices that lost their last port, until `release`. */
  readonly #left = new Set<number>();

  constructor(plane: AttachPlane, log: Logger) {
    this.#plane = plane;
    this.#log = log;
  }

  /** Why a port's device could not be attached, by port id. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  /**
   * Programs come before entries: a device with the program and no entry drops, one without the program leaks to the host. Looks at these
   * ports; returns those whose failure changed.
   */
  async ensure(portIds: Iterable<string>, vifs: ReadonlyMap<string, DesiredVif>, turns: Turns): Promise<Set<string>> {
    const changed = new Set<string>();
    for (const portId of portIds) {
      const before = this.#failures.get(portId);
      const vif = vifs.get(portId);
      this.#move(portId, vif?.ifindex);
      const failure = vif === undefined ? undefined : this.#attach(vif);
      if (failure === undefined) this.#failures.delete(portId);
      else this.#failures.set(portId, failure);
      if (failure !== before) changed.add(portId);
      if (turns.due()) await turns.next();
    }
    return changed;
  }

  /** Ports that have the device. */
  portsOf(ifindex: number): Iterable<string> {
    return this.#ports.get(ifindex) ?? [];
  }

  /**
   * Forgets devices that no port has any more; with `all` also those that an earlier run left. A device that still exists keeps its program:
   * without an entry it drops, which is what a device without a port must do.
   */
  release(all: boolean): void {
    for (const ifindex of all ? [...this.#plane.listAttached()] : this.#left) {
      if (!this.#ports.has(ifindex)) this.#plane.forget(ifindex);
    }
    this.#left.clear();
  }

  #move(portId: string, to: number | undefined): void {
    const from = this.#ifindexes.get(portId);
    if (from === to) return;
    if (from !== undefined) {
      this.#ifindexes.delete(portId);
      const ports = this.#ports.get(from);
      ports?.delete(portId);
      if (ports?.size === 0) {
        this.#ports.delete(from);
        this.#left.add(from);
      }
    }
    if (to === undefined) return;
    this.#ifindexes.set(portId, to);
    const ports = this.#ports.get(to) ?? new Set<string>();
    this.#ports.set(to, ports);
    ports.add(portId);
    this.#left.delete(to);
  }

  #attach({ portId, ifindex, device }: DesiredVif): string | undefined {
    try {
      if (!this.#plane.listAttached().has(ifindex)) this.#plane.attach(ifindex, device);
      return undefined;
    } catch (err) {
      if (!this.#failures.has(portId)) this.#say(portId, device, err);
      return `cannot attach to ${device}: ${err instanceof Error ? err.message : String(err)}`;
    }
  }

  #say(portId: string, device: string, err: unknown): void {
    if (isGone(err)) this.#log.info({ portId, device }, 'device vanished before it was attached');
    else this.#log.warn({ portId, device, err }, 'cannot attach to a device');
  }
}
