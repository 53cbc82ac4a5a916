/** Some of the packets that a port exchanges with one peer. */
import type { PacketQuery } from '@cable/model';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import { openSampleSocket, type SampleSocket, type SampleSocketOptions } from './sample-socket.ts';

export type SamplerOptions = Pick<SampleSocketOptions, 'object' | 'ifindex' | 'onFrame' | 'onError'> & {
  /** VLAN tag of the port's frames on the device; 0: none. */
  readonly vlan: number;
  readonly query: PacketQuery;
};

export type Sampler = {
  /** Packets since it was opened: all of the query, and of those that were chosen those that nobody was there to read. */
  counts(): { readonly sent: number; readonly received: number; readonly lost: number };
  /** Idempotent. */
  close(): void;
};

/** More than wait at a rate of `MAX_PACKET_RATE` while the agent does something else for a second. */
const ROOM_BYTES = 256 << 10;

/** Throws as `openSampleSocket`. */
export function openSampler({ vlan, query, ...rest }: SamplerOptions): Sampler {
  const socket: SampleSocket = openSampleSocket({
    ...{ ...rest, program: 'sample', roomBytes: ROOM_BYTES },
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
  return {
    counts: () => {
      const { sent, received, lost } = socket.counts();
      return { sent, received, lost };
    },
    close: () => socket.close(),
  };
}
