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
  /** Every entry that the kernel holds, as it is there, some hundreds at a time. Of arrays: rows that are not all zero. */
  readMap(map: AgentMap): Iterable<readonly MapEntry[]>;
  /** Inserts or replaces. Throws BpfError: E2BIG or ENOSPC when the map is full. */
  putEntry(map: AgentMap, entry: MapEntry): void;
  /** Deleting an absent entry succeeds. An array's row becomes zero; those of VIFs and networks are written, never deleted. */
  deleteEntry(map: AgentMap, entry: MapEntry): void;
  readProgrammed(): Programmed;
  writeProgrammed(programmed: Programmed): void;
  /** Ends all flows that name the number of a VIF or network whose row is nobody's. */
  purge(kind: 'vif' | 'network', id: number): void;
  /** The VIF's counters begin at zero. */
  resetCounters(vif: number): void;
  /** Devices that the VIF program is on, as far as is known; those of a previous run among them. */
  listAttached(): ReadonlySet<number>;
  /** Makes the VIF program run on what the device receives, as long as the device lives, and keeps the host's own IPv6 off it. Idempotent; throws when the device is gone. */
  attach(ifindex: number, device: string): void;
  /** Somebody took the program off the device: that of a fixed device is put back, a VIF is not attached any more. */
  restore(ifindex: number): void;
  /**
   * The maps hold the state: programs that run over the maps of another name of this host, or of another build, give way to ours, and what only they
   * used goes. Until then they stay where they are, and devices with them count as attached. Nothing is done when there are none.
   */
  takeOver(): void;
  /** Keeps no account of the device any more; the program stays on it. */
  forget(ifindex: number): void;
};
