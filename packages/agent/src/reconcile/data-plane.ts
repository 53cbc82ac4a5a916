import type { AgentMap, MapEntry } from '../desired.ts';

/**
 * What the reconciler does to the kernel. The real one (kernel-data-plane.ts) and the fake one (fake-data-plane.ts) pass the same
 * suite. Ownership: maps live under this host's pin directory, filters carry our handle, so a restarted agent finds what is its own.
 */
export type DataPlane = {
  /** Every entry that the kernel holds, by entry id. */
  readMap(map: AgentMap): ReadonlyMap<string, MapEntry>;
  /** Inserts or replaces. Throws when the map is full. */
  putEntry(map: AgentMap, entry: MapEntry): void;
  /** Deleting an absent entry succeeds. */
  deleteEntry(map: AgentMap, entry: MapEntry): void;
  readEpoch(): number;
  writeEpoch(epoch: number): void;
  /** Devices that have counters, CB_STAT_OVERLAY among them. */
  listStats(): ReadonlySet<number>;
  createStat(ifindex: number): void;
  deleteStat(ifindex: number): void;
  /** Devices that the VIF program is on, as far as is known; those of a previous run among them. */
  listAttached(): ReadonlySet<number>;
  /** Makes the VIF program run on what the device receives, as long as the device lives, and keeps the host's own IPv6 off it. Idempotent; throws when the device is gone. */
  attach(ifindex: number, device: string): void;
  /**
   * Looks whether the programs are still where they were put, and puts those of the fixed devices back. A VIF that has lost its own, by
   * another tool's hand, is not attached any more. Returns how many were lost.
   */
  recheck(): number;
  /** Keeps no account of the device any more; the program stays on it. */
  forget(ifindex: number): void;
  /** Deletes flows from or to the devices, in the background, in bounded batches. */
  deleteFlows(ifindexes: ReadonlySet<number>): void;
};
