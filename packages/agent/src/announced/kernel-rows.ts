import { CB_ANNOUNCED_F_HERE, cbAnnounced, cbAnnouncedKey } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { formatAddress, NO_ADDRESS, parseAddress, parseMac } from '../plan/address.ts';
import type { AnnouncedRow, AnnouncedRows } from './announced-addresses.ts';

const NO_MAC = new Uint8Array(6);

/** `map`: as of now, it is another after the programs were loaded anew. */
export function kernelAnnouncedRows(map: () => Pick<BpfMap, 'lookup' | 'update' | 'delete' | 'texts'>): AnnouncedRows {
  return {
    list: () =>
      [...map().texts()].flat().map(({ key }) => {
        const { ifindex, addr } = cbAnnouncedKey.decode(textBytes(key));
        return [ifindex, formatAddress(addr)] as const;
      }),
    get: (ifindex, address) => {
      const value = map().lookup(keyOf(ifindex, address));
      return value === undefined ? undefined : rowOf(value);
    },
    put: (ifindex, address, { mac, isHere, otherMac, heardNs }) => {
      const row = {
        ...{ mac: parseMac(mac) ?? NO_MAC, flags: isHere ? CB_ANNOUNCED_F_HERE : 0 },
        ...{ otherMac: parseMac(otherMac) ?? NO_MAC, otherNs: heardNs },
      };
      map().update(keyOf(ifindex, address), cbAnnounced.encode(row));
    },
    remove: (ifindex, address) => void map().delete(keyOf(ifindex, address)),
  };
}

function rowOf(value: Uint8Array): AnnouncedRow {
  const { mac, flags, otherMac, otherNs } = cbAnnounced.decode(value);
  return {
    mac: textOf(mac),
    isHere: (flags & CB_ANNOUNCED_F_HERE) !== 0,
    otherMac: textOf(otherMac),
    heardNs: otherNs,
  };
}

function textOf(mac: Uint8Array): string {
  return [...mac].map((one) => one.toString(16).padStart(2, '0')).join(':');
}

function keyOf(ifindex: number, address: string): Uint8Array {
  return cbAnnouncedKey.encode({ ifindex, addr: parseAddress(address) ?? NO_ADDRESS });
}
