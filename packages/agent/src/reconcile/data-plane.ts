import type { AgentMap, MapEntry } from '../desired.ts';

/**
 * Of which state the entries in the maps are. `revision`: the store's; 0: nothing was programmed yet. `state`: `stateNumber` of the agent's state directory;
 * `commit`: which of its commits.
 */
export type Programmed = { readonly revision: number; readonly state: bigint; readonly commit: number };

/**
 * What the reconciler does to the kernel. The real one (kernel-data-plane.ts) and the fake one (testing/fake-data-plane.ts) pass the same
 * suite. Ownership: maps live under this host's pin directory, filters carry our handle, so a restarted agent finds what is its own.
 */
export type DataPlane = {
  /** Every entry that the kernel holds, some hundreds at a time. */
  readMap(map: AgentMap): Iterable<readonly MapEntry[]>;
  /** Inserts or replaces. Throws BpfError: E2BIG or ENOSPC when the map is full. */
  putEntry(map: AgentMap, entry: MapEntry): void;
  /** Deleting an absent entry succeeds. */
  deleteEntry(map: AgentMap, entry: MapEntry): void;
  readEpoch(): number;
  writeEpoch(epoch: number): void;
  readProgrammed(): Programmed;
  writeProgrammed(programmed: Programmed): void;
  /** Devices that have counters, CB_STAT_OVERLAY among them. */
  listStats(): ReadonlySet<number>;
  createStat(ifindex: number): void;
  deleteStat(ifindex: number): void;
  /** Devices that the VIF program is on, as far as is known; those of a previous run among them. */
  listAttached(): ReadonlySet<number>;
  /** Makes the VIF program run on what the device receives, as long as the device lives, and keeps the host's own IPv6 off it. Idempotent; throws when the device is gone. */
  attach(ifindex: number, device: string): void;
  /** Somebody took the program off the device: that of a fixed device is put back, a VIF is not attached any more. */
  restore(ifindex: number): void;
  /**
   * The maps hold the state: programs that run over the maps of another name of this host give way to ours. Until then they stay where they are, and
   * devices with them count as attached. Nothing is done when there are none.
   */
  takeOver(): void;
  /** Keeps no account of the device any more; the program stays on it. */
  forget(ifindex: number): void;
  /** Deletes flows from or to the devices, in the background, in bounded batches. */
  deleteFlows(ifindexes: ReadonlySet<number>): void;
};
