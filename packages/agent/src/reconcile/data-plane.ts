import type { AgentMap, MapEntry } from '../desired.ts';

/**
 * What the reconciler does to the kernel. The real one (kernel-data-plane.ts) and the fake one (fake-data-plane.ts) pass the same
 * suite. Ownership: everything here lives under this host's pin directory, so a restarted agent finds what is its own.
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
  /** Pinned attachments of VIFs by port id; ifindex 0: the device is gone, only the pin is left. */
  listAttachments(): ReadonlyMap<string, number>;
  /** Makes the VIF program run on what the device receives. Idempotent; throws when the device is gone. */
  attach(portId: string, ifindex: number): void;
  /** Takes the program off and removes the pin; absent is fine. */
  detach(portId: string): void;
  /** Deletes flows from or to the devices, in the background, in bounded batches. */
  deleteFlows(ifindexes: ReadonlySet<number>): void;
};
