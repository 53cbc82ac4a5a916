import { cbBeacon, cbHeard, cbHeardKey } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import type { ProbeRows } from './fail-over.ts';
import { beaconRow } from './probe-frame.ts';

/** The maps as of now: they are others after the programs were loaded anew. */
export type ProbeMaps = { readonly heard: BpfMap; readonly beacon: BpfMap };

const SILENT = beaconRow({ serves: false, stands: new Set() });

export function kernelProbeRows(maps: () => ProbeMaps): ProbeRows {
  return {
    heard: (host) => {
      const value = maps().heard.lookup(keyOf(host));
      return value === undefined ? undefined : cbHeard.decode(value);
    },
    listen: (host, token) => {
      const nothing = { heardNs: 0n, sequence: 0, aboutBe: 0, aboutMs: 0, beacon: SILENT };
      maps().heard.update(keyOf(host), cbHeard.encode({ ...nothing, token }));
    },
    forget: (host) => void maps().heard.delete(keyOf(host)),
    beacon: () => {
      const value = maps().beacon.lookup(arrayIndex.encode(0));
      return value === undefined ? SILENT : cbBeacon.decode(value);
    },
    say: (beacon) => maps().beacon.update(arrayIndex.encode(0), cbBeacon.encode(beacon)),
  };
}

function keyOf(host: string): Uint8Array {
  return cbHeardKey.encode({ addr: parseAddress(host) ?? NO_ADDRESS });
}
