/** Frames that pass a port's device, so many a second at the most. */
import { CAPTURE_BYTES_A_SECOND, type CaptureQuery, MAX_CAPTURE_RATE } from '@cable/model';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import { openSampleSocket, type SampleSocketOptions } from './sample-socket.ts';

export type FrameSamplerOptions = Pick<SampleSocketOptions, 'object' | 'ifindex' | 'onFrame' | 'onError'> & {
  /** VLAN tag of the port's frames on the device; 0: none. */
  readonly vlan: number;
  readonly query: Pick<CaptureQuery, 'filter' | 'snaplen'>;
  /** So much a second is taken, and as much at once after a pause. Default: `MAX_CAPTURE_RATE` and `CAPTURE_BYTES_A_SECOND`. */
  readonly most?: { readonly packets: number; readonly bytes: number };
};

const MOST = { packets: MAX_CAPTURE_RATE, bytes: CAPTURE_BYTES_A_SECOND };

export type FrameSampler = {
  /** Frames of the query since it was opened that were not handed on. */
  missing(): number;
  /** Idempotent. */
  close(): void;
};

/** What comes in while the agent does something else; the kernel counts a frame that is cut only later whole. */
const ROOM_BYTES = 2 << 20;
const ANY_PROTOCOL = 256;
const ANY_PORT = 0x10000;

/** Throws as `openSampleSocket`. */
export function openFrameSampler({ vlan, query, most = MOST, ...rest }: FrameSamplerOptions): FrameSampler {
  const { filter, snaplen } = query;
  const [first, second] = filter.hosts.map((host) => parseAddress(host) ?? NO_ADDRESS);
  const socket = openSampleSocket({
    ...{ ...rest, program: 'capture', roomBytes: ROOM_BYTES },
    rodata: {
      cfg_type: filter.etherType ?? 0,
      cfg_protocol: filter.protocol ?? ANY_PROTOCOL,
      ...{ cfg_hosts: filter.hosts.length, cfg_first_host: first ?? NO_ADDRESS, cfg_second_host: second ?? NO_ADDRESS },
      ...{ cfg_first_port: filter.ports[0] ?? ANY_PORT, cfg_second_port: filter.ports[1] ?? ANY_PORT },
      ...{ cfg_vlan: vlan, cfg_bytes: snaplen },
      ...{ cfg_interval_ns: interval(most.packets), cfg_burst: most.packets },
      ...{ cfg_byte_ns: interval(most.bytes), cfg_byte_burst: most.bytes },
    },
  });
  return {
    missing: () => {
      const { sent, received, taken, lost } = socket.counts();
      return Math.max(0, sent + received - taken) + lost;
    },
    close: () => socket.close(),
  };
}

function interval(aSecond: number): bigint {
  return BigInt(Math.ceil(1e9 / aSecond));
}
