import { CB_GROUP_LEFT, CB_VIF_F_ADMIN_UP, CB_VIF_GROUPS, cbAsked, cbGroup, cbJoined, cbVif } from '../bpf/abi.gen.ts';
import { arrayIndex, fieldAt } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { formatUuid, parseUuid } from '../plan/address.ts';
import { emptyRow, GROUP_NS } from './joined-groups.ts';
import type { QuerierDeps } from './querier.ts';

/** The maps as of now: they are others after the programs were loaded anew. */
export type GroupMaps = { readonly asked: BpfMap; readonly joined: BpfMap; readonly vifs: BpfMap };

type GroupRows = Pick<QuerierDeps, 'rowsOf' | 'leftAt' | 'begin' | 'write' | 'forget'>;

/** Groups end the row. */
const GROUPS_AT = cbJoined.size - CB_VIF_GROUPS * cbGroup.size;
const UNTIL_AT = fieldAt(cbGroup, 'untilNs');

/** The rows of VIFs that the querier reads and writes. */
export function kernelGroupRows(maps: () => GroupMaps, nowNs: () => bigint): GroupRows {
  return {
    rowsOf: (vif) => {
      const key = arrayIndex.encode(vif);
      const { asked: askedMap, joined: joinedMap, vifs } = maps();
      const [asked, joined, there] = [askedMap.lookup(key), joinedMap.lookup(key), vifs.lookup(key)];
      const { ifindex, flags } = there === undefined ? ABSENT : cbVif.decode(there);
      const { portId, fromNs, untilNs, leftNs } = asked === undefined ? NOBODYS : cbAsked.decode(asked);
      const row = joined === undefined ? NOBODYS_GROUPS : cbJoined.decode(joined);
      return {
        asked: ownerOf(portId) === null ? null : { portId: formatUuid(portId), fromNs, untilNs, leftNs },
        joinedBy: ownerOf(row.portId),
        isUp: ifindex !== 0 && (flags & CB_VIF_F_ADMIN_UP) !== 0,
        isRouter: row.routerUntilNs > nowNs(),
      };
    },
    // Of each guest each second: not decoded.
    leftAt: (vif) => {
      const row = maps().joined.lookup(arrayIndex.encode(vif));
      if (row === undefined) return 0n;
      const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
      let last = 0n;
      for (let at = GROUPS_AT + UNTIL_AT; at < row.byteLength; at += cbGroup.size) {
        if ((view.getUint8(at) & CB_GROUP_LEFT) === 0) continue;
        const untilNs = view.getBigUint64(at, true);
        if (untilNs > nowNs() && untilNs - GROUP_NS > last) last = untilNs - GROUP_NS;
      }
      return last;
    },
    forget: (vif) => {
      maps().asked.update(arrayIndex.encode(vif), cbAsked.encode(NOBODYS));
      maps().joined.update(arrayIndex.encode(vif), cbJoined.encode(emptyRow(NOBODYS.portId)));
    },
    begin: (vif, portId) => maps().joined.update(arrayIndex.encode(vif), cbJoined.encode(emptyRow(bytesOf(portId)))),
    write: (vif, { portId, fromNs, untilNs, leftNs }) =>
      maps().asked.update(arrayIndex.encode(vif), cbAsked.encode({ portId: bytesOf(portId), fromNs, untilNs, leftNs })),
  };
}

const ABSENT = { ifindex: 0, flags: 0 };
const NOBODYS = { portId: new Uint8Array(16), fromNs: 0n, untilNs: 0n, leftNs: 0n };
const NOBODYS_GROUPS = { portId: new Uint8Array(16), routerUntilNs: 0n };

function ownerOf(portId: Uint8Array): string | null {
  return portId.every((byte) => byte === 0) ? null : formatUuid(portId);
}

function bytesOf(portId: string): Uint8Array {
  const bytes = parseUuid(portId);
  if (bytes === undefined) throw new Error(`no UUID: ${portId}`);
  return bytes;
}
