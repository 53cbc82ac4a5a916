import {
  CB_GROUP_LEFT,
  CB_GROUP_SECONDS,
  CB_VIF_GROUPS,
  type CbGroup,
  type CbJoined,
  cbJoined,
} from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { formatAddress, formatUuid, isMapped, parseAddress, parseUuid } from '../plan/address.ts';

/** What a guest has joined, as another host is told it. */
export type JoinedGroups = {
  /** Addresses; at most CB_VIF_GROUPS. */
  readonly groups: readonly string[];
  /** It gets every group's packets: something that it said did not fit. */
  readonly getsAll: boolean;
  /** It has shown itself as a router of multicast. */
  readonly isRouter: boolean;
};

/** Where that is kept. */
export type GroupPlaces = {
  /** Undefined: nothing is known of the port; another has the VIF's number, or nobody was asked yet. */
  read(vif: number, portId: string): JoinedGroups | undefined;
  /**
   * The port, which comes from another host, has joined these there, and said so. As long as its guest has answered no question here these are all; then they are some more. What does not fit
   * makes it one that gets all.
   */
  write(vif: number, portId: string, joined: JoinedGroups): void;
};

const SECOND_NS = 1_000_000_000n;
/** So long a report counts. */
export const GROUP_NS: bigint = BigInt(CB_GROUP_SECONDS) * SECOND_NS;
/** Also the value of a place that is being written. */
const LEFT = BigInt(CB_GROUP_LEFT);
const NOBODY = new Uint8Array(16);
const FREE: CbGroup = { addr: NOBODY, untilNs: 0n };

/** Whether the place counts now (`counts()` in `vrouter/lib/snoop.h`): its time is not over, or its guest has answered no question since. */
export function isHeld({ answeredS }: Pick<CbJoined, 'answeredS'>, { addr, untilNs }: CbGroup, nowNs: bigint): boolean {
  if (untilNs <= LEFT) return false;
  if (untilNs > nowNs) return true;
  const answered = BigInt(answeredS[isMapped(addr) ? 0 : 1] ?? 0);
  return (untilNs & LEFT) === 0n && answered * SECOND_NS <= untilNs - GROUP_NS;
}

/** The places of the vrouter: cb_joined_1 as it is now. */
export function kernelGroupPlaces(joined: () => BpfMap, nowNs: () => bigint): GroupPlaces {
  const rowOf = (vif: number, portId: string): CbJoined | undefined => {
    const value = joined().lookup(arrayIndex.encode(vif));
    const row = value === undefined ? undefined : cbJoined.decode(value);
    return row === undefined || formatUuid(row.portId) !== portId ? undefined : row;
  };
  return {
    read: (vif, portId) => {
      const row = rowOf(vif, portId);
      if (row === undefined) return undefined;
      const now = nowNs();
      const held = row.group.filter((one) => isHeld(row, one, now));
      return {
        groups: held.map(({ addr }) => formatAddress(addr)).sort(),
        getsAll: row.allUntilNs > now,
        isRouter: row.routerUntilNs > now,
      };
    },
    write: (vif, portId, told) => {
      const id = parseUuid(portId);
      if (id === undefined) throw new Error(`no UUID: ${portId}`);
      const row = withGroups(rowOf(vif, portId) ?? emptyRow(id), told, nowNs());
      joined().update(arrayIndex.encode(vif), cbJoined.encode(row));
    },
  };
}

/** The port's row, with nothing learned; all zero: nobody's. */
export function emptyRow(portId: Uint8Array): CbJoined {
  return {
    portId,
    ...{ allUntilNs: 0n, routerUntilNs: 0n, reportsNs: 0n, queriesNs: 0n, used: 0n },
    ...{ answeredS: [0, 0], group: [] },
  };
}

function withGroups(row: CbJoined, { groups, getsAll, isRouter }: JoinedGroups, now: bigint): CbJoined {
  // Its lowest bit is not the time's.
  const untilNs = (now + GROUP_NS) & ~LEFT;
  const hasAnswered = row.answeredS.some((seconds) => seconds > 0);
  const places = hasAnswered ? row.group.filter((one) => isHeld(row, one, now)) : [];
  const known = new Set(places.map(({ addr }) => formatAddress(addr)));
  for (const group of new Set(groups)) {
    const addr = parseAddress(group);
    if (addr !== undefined && !known.has(formatAddress(addr))) places.push({ addr, untilNs });
  }
  const fits = places.length <= CB_VIF_GROUPS;
  const group = Array.from({ length: CB_VIF_GROUPS }, (_, n) => places[n] ?? FREE);
  return {
    ...row,
    group,
    used: (1n << BigInt(Math.min(places.length, CB_VIF_GROUPS))) - 1n,
    allUntilNs: getsAll || !fits ? untilNs : row.allUntilNs,
    routerUntilNs: isRouter ? untilNs : row.routerUntilNs,
  };
}
