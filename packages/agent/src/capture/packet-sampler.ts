/** Some of the packets that pass a port's device, chosen in the kernel: the filter of vrouter/sample.bpf.c on a packet socket. */
import { dirname, join } from 'node:path';
import type { PacketQuery } from '@cable/model';
import { arrayIndex } from '../bpf/codec.ts';
import { loadObject } from '../bpf/object.ts';
import { openCaptureSocket } from '../net/capture-socket.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';

export type SamplerOptions = {
  /** Path of the vrouter's object: the filter is beside it. */
  readonly object: string;
  readonly ifindex: number;
  /** VLAN tag of the port's frames on the device; 0: none. */
  readonly vlan: number;
  readonly query: PacketQuery;
  /** The beginning of a packet's frame; `atUs`: since 1970. */
  readonly onFrame: (frame: Uint8Array, atUs: number) => void;
  /** Nothing more is heard. */
  readonly onError: (err: Error) => void;
};

export type Sampler = {
  /** Packets since it was opened: all of the query, and of those that were chosen those that nobody was there to read. */
  counts(): { readonly sent: number; readonly received: number; readonly lost: number };
  /** Idempotent. */
  close(): void;
};

const OBJECT = 'sample.bpf.o';
/** More than wait at a rate of `MAX_PACKET_RATE` while the agent does something else for a second. */
const ROOM_BYTES = 256 << 10;

/** Throws as `loadObject` and `openCaptureSocket`. */
export function openSampler({ object, ifindex, vlan, query, onFrame, onError }: SamplerOptions): Sampler {
  const loaded = loadObject({
    path: join(dirname(object), OBJECT),
    rodata: {
      cfg_peer: parseAddress(query.peer) ?? NO_ADDRESS,
      cfg_protocol: query.protocol,
      cfg_peer_port: query.peerPort ?? 0,
      cfg_own_port: query.ownPort ?? 0,
      cfg_vlan: vlan,
      cfg_interval_ns: BigInt(Math.ceil(1e9 / query.rate)),
      cfg_burst: query.rate,
    },
  });
  try {
    const [filter, count] = [loaded.programs.get('sample'), loaded.maps.get('sample_count')];
    if (filter === undefined || count === undefined) throw new Error(`${OBJECT} is not what it should be`);
    const socket = openCaptureSocket({ ifindex, filter, roomBytes: ROOM_BYTES, onFrame, onError });
    let lost = 0;
    return {
      counts: () => {
        // struct sample
        const { buffer } = count.lookup(arrayIndex.encode(0)) ?? new Uint8Array(24);
        const packets = (at: number): number => Number(new DataView(buffer).getBigUint64(at, true));
        lost += socket.takeLost();
        return { sent: packets(0), received: packets(8), lost };
      },
      close: () => {
        socket.close();
        loaded.close();
      },
    };
  } catch (err) {
    loaded.close();
    throw err;
  }
}
