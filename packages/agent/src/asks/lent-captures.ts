import type { Logger } from '@cable/kit';
import {
  type AskFault,
  type CapturedFrame,
  type CapturedFrames,
  type CaptureQuery,
  MAX_CAPTURE_ANSWER_BYTES,
  MAX_CAPTURES,
  MAX_CAPTURES_A_PORT,
  MAX_CAPTURES_A_PROJECT,
} from '@cable/model';
import { wholeBytes } from '../capture/filter.ts';
import type { FrameSampler } from '../capture/frame-sampler.ts';
import type { WatchedDevices } from '../capture/watched-devices.ts';
import { KernelError } from '../ffi/errno.ts';
import type { FollowedPort } from './follows.ts';
import { type LeaseDeps, Leases } from './leases.ts';
import { NO_PORT } from './tracer.ts';

export type LentCaptureDeps = LeaseDeps & {
  /** Undefined: it has no device here. */
  readonly port: (portId: string) => FollowedPort | undefined;
  readonly watched: Pick<WatchedDevices, 'watch'>;
  /** Takes frames of the port. Throws `KernelError`. `onEnd`: nothing more comes. */
  readonly sample: (
    port: FollowedPort,
    query: Pick<CaptureQuery, 'filter' | 'snaplen'>,
    take: (frame: Uint8Array, atUs: number) => void,
    onEnd: () => void,
  ) => FrameSampler;
  readonly log: Logger;
};

type Asked = CaptureQuery & { readonly portId: string };

type Lease = {
  readonly id: string;
  readonly port: FollowedPort;
  readonly query: Pick<CaptureQuery, 'filter' | 'snaplen'>;
  /** Those that have not been taken, and their size in an answer. */
  readonly frames: CapturedFrame[];
  waitingBytes: number;
  /** Number of the last. */
  last: number;
  /** Frames that had no place. */
  noPlace: number;
  close: () => void;
  missing: () => number;
};

/** What waits of one capture: what comes when there is more is missing. */
const WAITING_BYTES = 1 << 20;
/** Of a frame in an answer, besides its bytes. */
const FRAME_TEXT_BYTES = 100;

/** Frames of ports of this host, for who asks a server: by leases, as flows are followed. */
export class LentCaptures {
  readonly #deps: LentCaptureDeps;
  readonly #leases: Leases<Lease>;

  constructor(deps: LentCaptureDeps) {
    this.#deps = deps;
    const limits = { aHost: MAX_CAPTURES, aProject: MAX_CAPTURES_A_PROJECT, aPort: MAX_CAPTURES_A_PORT };
    const said = (count: number, of: string): string => `${count} captures of the ${of} run on the host already`;
    this.#leases = new Leases(deps, { ...limits, said }, (lease) => this.#ended(lease));
  }

  /** What came since; answered at once. */
  ask(ask: Asked): { readonly value: CapturedFrames } | { readonly fault: AskFault } {
    const mine = this.#leases.find(ask.lease, ask.portId);
    const port = this.#deps.port(ask.portId);
    if (port === undefined) {
      this.#leases.end(mine);
      return { fault: NO_PORT };
    }
    if (ask.isLast === true) return this.#last(mine, ask);
    const lease = this.#renewed(mine, ask, port) ?? this.#begin(ask, port);
    return 'fault' in lease ? lease : { value: show(lease, lease.id === ask.lease ? ask.after : 0) };
  }

  /** All leases end. */
  close(): void {
    this.#leases.close();
  }

  #last(lease: Lease | undefined, { lease: asked, after }: Asked): { readonly value: CapturedFrames } {
    if (lease === undefined) return { value: { lease: asked ?? 'none', frames: [], lost: 0, hasMore: false } };
    const value = show(lease, after);
    this.#leases.end(lease);
    return { value };
  }

  #begin(ask: Asked, port: FollowedPort): Lease | { readonly fault: AskFault } {
    const { sample, watched, log } = this.#deps;
    const fault = this.#leases.refusal(port);
    if (fault !== undefined) return { fault };
    const { filter, snaplen } = ask;
    const lease: Lease = {
      ...{ id: this.#leases.newId(), port, query: { filter, snaplen } },
      ...{ frames: [], waitingBytes: 0, last: 0, noPlace: 0 },
      ...{ close: () => undefined, missing: () => 0 },
    };
    try {
      const take = (frame: Uint8Array, atUs: number): void => this.#take(lease, frame, atUs);
      const sampler = sample(port, lease.query, take, () => this.#leases.end(lease));
      // What is given to a pod must pass the device.
      const unwatch = watched.watch(port.device);
      lease.missing = () => sampler.missing();
      lease.close = () => {
        sampler.close();
        unwatch();
      };
    } catch (err) {
      if (!(err instanceof KernelError)) throw err;
      return { fault: { code: 'failed', message: `packets of the port cannot be read (${err.code})` } };
    }
    this.#leases.add(lease);
    log.info({ port: port.id, device: port.device, by: 'server' }, 'capture begins');
    return lease;
  }

  /** Undefined: it is to begin anew. A socket is of one device. */
  #renewed(lease: Lease | undefined, ask: Asked, port: FollowedPort): Lease | undefined {
    if (lease === undefined) return undefined;
    if (!isSamePlace(lease.port, port) || !isSame(lease.query, ask)) {
      this.#leases.end(lease);
      return undefined;
    }
    this.#leases.renew(lease);
    return lease;
  }

  #take(lease: Lease, frame: Uint8Array, atUs: number): void {
    // The device may be another port's by now.
    const port = this.#deps.port(lease.port.id);
    if (port === undefined || !isSamePlace(lease.port, port)) {
      this.#leases.end(lease);
      return;
    }
    const bytes = frame.length < lease.query.snaplen ? frame.length : wholeBytes(frame);
    const text = Buffer.from(frame.buffer, frame.byteOffset, frame.length).toString('base64');
    const size = text.length + FRAME_TEXT_BYTES;
    if (lease.waitingBytes + size > WAITING_BYTES) {
      lease.noPlace += 1;
      return;
    }
    lease.last += 1;
    lease.waitingBytes += size;
    lease.frames.push({ number: lease.last, atUs, bytes, frame: text });
  }

  #ended({ port, last, close }: Lease): void {
    close();
    this.#deps.log.info({ port: port.id, device: port.device, frames: last }, 'capture ends');
  }
}

/** Those behind `after`, which are kept until they have come: an answer may be lost. */
function show(lease: Lease, after: number): CapturedFrames {
  const { id, frames, noPlace } = lease;
  while (frames[0] !== undefined && frames[0].number <= after) {
    lease.waitingBytes -= frames[0].frame.length + FRAME_TEXT_BYTES;
    frames.shift();
  }
  let bytes = 0;
  let count = 0;
  for (const { frame } of frames) {
    bytes += frame.length + FRAME_TEXT_BYTES;
    if (bytes > MAX_CAPTURE_ANSWER_BYTES) break;
    count += 1;
  }
  const lost = noPlace + lease.missing();
  return { lease: id, frames: frames.slice(0, count), lost, hasMore: count < frames.length };
}

function isSamePlace(one: FollowedPort, other: FollowedPort): boolean {
  return one.ifindex === other.ifindex && one.vif === other.vif && one.vlan === other.vlan;
}

function isSame(
  one: Pick<CaptureQuery, 'filter' | 'snaplen'>,
  other: Pick<CaptureQuery, 'filter' | 'snaplen'>,
): boolean {
  const text = ({ filter, snaplen }: typeof one): string =>
    JSON.stringify([snaplen, filter.etherType, filter.protocol, filter.hosts, filter.ports]);
  return text(one) === text(other);
}
