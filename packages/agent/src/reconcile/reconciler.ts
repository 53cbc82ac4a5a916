import type { Logger } from '@cable/kit';
import { CB_STAT_OVERLAY, MAPS } from '../bpf/abi.gen.ts';
import { AGENT_MAPS, type AgentMap, type DesiredState } from '../desired.ts';
import { type Change, diffMaps, type Shadow } from './changes.ts';
import type { DataPlane } from './data-plane.ts';

export type Reconciled = {
  /** Entries written and deleted. */
  readonly puts: number;
  readonly deletes: number;
  readonly epochRaised: boolean;
  /** Why a device could not be attached, by port id; the reconciler tries again at the next `update`. */
  readonly failures: ReadonlyMap<string, string>;
};

/** Writes of one turn: between turns the process answers sockets and the stream. */
const WRITES_PER_TURN = 4096;

/**
 * Makes the kernel hold the desired state. Three verbs, as seen from one entry: *update* puts what is desired; *delete* removes what an
 * earlier desired state of this process had and this one has not; *prune* removes what no desired state ever named, which is only safe
 * when the desired state is known to be whole.
 */
export class Reconciler {
  readonly #plane: DataPlane;
  readonly #log: Logger;
  #shadow: Shadow | undefined;
  #previous: DesiredState['maps'] | undefined;

  constructor(plane: DataPlane, log: Logger) {
    this.#plane = plane;
    this.#log = log;
  }

  /**
   * Brings the kernel to the desired state. `prune`: the desired state is whole (it was in sync with the server at least once).
   * After a throw (the kernel refused a write) the next call reads the kernel's content anew.
   */
  async apply(desired: DesiredState, options: { readonly prune: boolean }): Promise<Reconciled> {
    const shadow = this.#shadow ?? this.#read();
    this.#shadow = undefined;
    const failures = this.#attachAll(desired);
    this.#createStats(desired);
    const previous = this.#previous;
    const changes = diffMaps(shadow, desired.maps, (map, id) => options.prune || (previous?.[map].has(id) ?? false));
    const gone = vanishedDevices(changes.deletes);
    const puts = changes.puts.filter((change) => !withheld(change, desired, failures));
    const decisions = this.#beginDecisions(changes.decisions);
    await this.#inTurns(puts, ({ map, entry }) => {
      this.#plane.putEntry(map, entry);
      shadow[map].set(entry.id, entry);
    });
    await this.#inTurns(changes.deletes, ({ map, entry }) => {
      this.#plane.deleteEntry(map, entry);
      shadow[map].delete(entry.id);
    });
    if (decisions) this.#plane.writeEpoch((this.#plane.readEpoch() + 1) >>> 0);
    this.#release(desired, shadow, options.prune);
    if (gone.size > 0) this.#plane.deleteFlows(gone);
    this.#previous = desired.maps;
    this.#shadow = shadow;
    return { puts: puts.length, deletes: changes.deletes.length, epochRaised: decisions, failures };
  }

  /**
   * The epoch is odd while writes that change decisions are under way. Whoever finds it odd, after a refused write or a killed agent,
   * knows that what is written already may have revoked something: nothing in the maps shows that any more. True: raise it at the end.
   */
  #beginDecisions(changed: boolean): boolean {
    const epoch = this.#plane.readEpoch();
    if (epoch % 2 === 1) return true;
    if (changed) this.#plane.writeEpoch(epoch + 1);
    return changed;
  }

  #read(): Shadow {
    const shadow: Partial<Shadow> = {};
    for (const map of AGENT_MAPS) shadow[map] = new Map(this.#plane.readMap(map));
    return shadow as Shadow;
  }

  /** Programs come before entries: a device with the program and no entry drops, one without the program leaks to the host. */
  #attachAll(desired: DesiredState): ReadonlyMap<string, string> {
    const failures = new Map<string, string>();
    const attached = this.#plane.listAttached();
    for (const vif of desired.vifs.values()) {
      if (attached.has(vif.ifindex)) continue;
      try {
        this.#plane.attach(vif.ifindex, vif.device);
      } catch (err) {
        const reason = err instanceof Error ? err.message : String(err);
        failures.set(vif.portId, `cannot attach to ${vif.device}: ${reason}`);
        this.#log.warn({ portId: vif.portId, device: vif.device, err }, 'cannot attach to a device');
      }
    }
    return failures;
  }

  #createStats(desired: DesiredState): void {
    const have = this.#plane.listStats();
    const wanted = [CB_STAT_OVERLAY, ...[...desired.vifs.values()].map((vif) => vif.ifindex)];
    for (const ifindex of wanted) if (!have.has(ifindex)) this.#plane.createStat(ifindex);
  }

  /**
   * Removes counters of devices that nothing refers to any more. A device that still exists keeps its program: without an
   * entry it drops, which is what a device without a port must do.
   */
  #release(desired: DesiredState, shadow: Shadow, prune: boolean): void {
    if (!prune && this.#previous === undefined) return;
    const used = new Set([CB_STAT_OVERLAY, ...[...desired.vifs.values()].map((vif) => vif.ifindex)]);
    for (const id of shadow.cb_vif_1.values()) used.add(MAPS.cb_vif_1.key.decode(id.key).ifindex);
    for (const ifindex of this.#plane.listStats()) if (!used.has(ifindex)) this.#plane.deleteStat(ifindex);
    for (const ifindex of this.#plane.listAttached()) if (!used.has(ifindex)) this.#plane.forget(ifindex);
  }

  async #inTurns(changes: readonly Change[], make: (change: Change) => void): Promise<void> {
    for (const [i, change] of changes.entries()) {
      make(change);
      if (i % WRITES_PER_TURN === WRITES_PER_TURN - 1) await new Promise(setImmediate);
    }
  }
}

/** A VIF whose program could not be attached gets no entry. */
function withheld(change: Change, desired: DesiredState, failures: ReadonlyMap<string, string>): boolean {
  if (failures.size === 0 || change.map !== 'cb_vif_1') return false;
  const { ifindex } = MAPS.cb_vif_1.key.decode(change.entry.key);
  return [...failures.keys()].some((portId) => desired.vifs.get(portId)?.ifindex === ifindex);
}

/** Devices whose cb_vif_1 entry goes away. */
function vanishedDevices(deletes: readonly { map: AgentMap; entry: { key: Uint8Array } }[]): ReadonlySet<number> {
  const vifs = deletes.filter(({ map }) => map === 'cb_vif_1');
  return new Set(vifs.map(({ entry }) => MAPS.cb_vif_1.key.decode(entry.key).ifindex));
}
