import {
  type AskFault,
  type DropReason,
  type FlowEvent,
  type FollowedFlows,
  type FollowQuery,
  MAX_FOLLOWED,
  MAX_FOLLOWS,
  MAX_FOLLOWS_A_PROJECT,
  type PacketCounts,
  type PacketEvent,
  type PacketQuery,
} from '@cable/model';
import type { Sampler } from '../capture/packet-sampler.ts';
import type { WatchedDevices } from '../capture/watched-devices.ts';
import { KernelError } from '../ffi/errno.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { eventOf, type FollowEnds, fits } from './follow-events.ts';
import { type LeaseDeps, Leases } from './leases.ts';
import { NO_PORT } from './tracer.ts';

/** A port of this host that can be followed. */
export type FollowedPort = {
  readonly id: string;
  readonly vif: number;
  readonly device: string;
  readonly ifindex: number;
  /** VLAN tag of its frames on the device; 0: none. */
  readonly vlan: number;
  readonly networkId: string;
  readonly projectId: string;
};

export type FollowDeps = LeaseDeps & {
  /** Undefined: it has no device here. */
  readonly port: (portId: string) => FollowedPort | undefined;
  readonly watched: Pick<WatchedDevices, 'follow' | 'watch'>;
  /** Tells `listener` what the vrouter tells, until what is returned is called. */
  readonly listen: (listener: (record: FlowRecord) => void) => () => void;
  /** Takes some of the port's packets. Throws `KernelError`. `onEnd`: nothing more comes. */
  readonly sample: (
    port: FollowedPort,
    query: PacketQuery,
    take: (packet: Omit<PacketEvent, 'number'>) => void,
    onEnd: () => void,
  ) => Sampler;
  /** What was dropped of what the VIF sent and received since it was made. */
  readonly drops: (vif: number) => readonly { readonly reason: DropReason; readonly packets: number }[];
  /** How much the vrouter has not told of the VIF since it was made, or of any because there was no room. */
  readonly notTold: (vif: number) => number;
};

type Asked = FollowQuery & { readonly portId: string };

type Lease = {
  readonly id: string;
  readonly only: FollowEnds;
  readonly records: (FlowEvent | PacketEvent)[];
  /** Number of the last. */
  last: number;
  /** Records that were pushed out. */
  pushedOut: number;
  /** As it was when it began. */
  readonly untold: number;
  readonly dropped: ReadonlyMap<string, number>;
  port: FollowedPort;
  sampler: Sampler | undefined;
  unfollow: () => void;
};

/**
 * Who follows ports of this host, by leases: what the vrouter tells of a port waits for who asks for it, and a lease that nobody asks for ends. A new agent knows of none, and
 * its rows say so to the vrouter.
 */
export class Follows {
  readonly #deps: FollowDeps;
  readonly #leases: Leases<Lease>;
  #unlisten: () => void = () => undefined;

  constructor(deps: FollowDeps) {
    this.#deps = deps;
    const limits = { aHost: MAX_FOLLOWS, aProject: MAX_FOLLOWS_A_PROJECT, aPort: MAX_FOLLOWS_A_PROJECT };
    const said = (count: number, of: string): string =>
      of === 'host'
        ? `${count} ports of the host are followed already`
        : `${count} ports of the project are followed on the host already`;
    this.#leases = new Leases(deps, { ...limits, said }, (lease) => this.#ended(lease));
  }

  /** What came since; answered at once. */
  ask(ask: Asked): { readonly value: FollowedFlows } | { readonly fault: AskFault } {
    const port = this.#deps.port(ask.portId);
    const mine = this.#leases.find(ask.lease, ask.portId);
    if (port === undefined) {
      this.#leases.end(mine);
      return { fault: NO_PORT };
    }
    if (ask.isLast === true) return this.#last(mine, ask);
    const lease = this.#renewed(mine, ask, port) ?? this.#begin(ask, port);
    if ('fault' in lease) return lease;
    return { value: this.#show(lease, lease.id === ask.lease ? ask.after : 0) };
  }

  /** All leases end. */
  close(): void {
    this.#leases.close();
  }

  #last(lease: Lease | undefined, { lease: asked, after, packets }: Asked): { readonly value: FollowedFlows } {
    if (lease === undefined) {
      const counted = packets === undefined ? {} : { counted: { sent: 0, received: 0, drops: [] } };
      return { value: { lease: asked ?? 'none', records: [], lost: 0, ...counted } };
    }
    const value = this.#show(lease, after);
    this.#leases.end(lease);
    return { value };
  }

  #show({ id, port, records, sampler, pushedOut, untold, dropped }: Lease, after: number): FollowedFlows {
    while (records[0] !== undefined && records[0].number <= after) records.shift();
    const lost = pushedOut + Math.max(0, this.#deps.notTold(port.vif) - untold);
    const shown = { lease: id, records: [...records] };
    if (sampler === undefined) return { ...shown, lost };
    const { sent, received, lost: unread } = sampler.counts();
    const drops: PacketCounts['drops'] = this.#deps.drops(port.vif).flatMap(({ reason, packets }) => {
      const more = packets - (dropped.get(reason.name) ?? 0);
      return more > 0 ? [{ reason, packets: more }] : [];
    });
    return { ...shown, lost: lost + unread, counted: { sent, received, drops } };
  }

  #begin(ask: Asked, port: FollowedPort): Lease | { readonly fault: AskFault } {
    const { watched, notTold, listen, drops } = this.#deps;
    const fault = this.#leases.refusal(port);
    if (fault !== undefined) return { fault };
    const lease: Lease = {
      ...{ id: this.#leases.newId(), only: endsOf(ask), records: [], last: 0, pushedOut: 0, port },
      untold: notTold(port.vif),
      dropped: new Map(drops(port.vif).map(({ reason, packets }) => [reason.name, packets])),
      sampler: undefined,
      unfollow: () => undefined,
    };
    try {
      lease.sampler = this.#sampler(lease, ask.packets);
    } catch (err) {
      if (err instanceof KernelError) return failed(`packets of the port cannot be read (${err.code})`);
      throw err;
    }
    lease.unfollow = watched.follow(port.device);
    if (this.#leases.size === 0) this.#unlisten = listen((record) => this.#take(record));
    this.#leases.add(lease);
    return lease;
  }

  /** Packets for a pod must pass the device. */
  #sampler(lease: Lease, query: PacketQuery | undefined): Sampler | undefined {
    if (query === undefined) return undefined;
    const { port } = lease;
    const push = (packet: Omit<PacketEvent, 'number'>): void => add(lease, (number) => ({ ...packet, number }));
    const sampler = this.#deps.sample(port, query, push, () => this.#leases.end(lease));
    const unwatch = this.#deps.watched.watch(port.device);
    return {
      counts: () => sampler.counts(),
      close: () => {
        sampler.close();
        unwatch();
      },
    };
  }

  /** Undefined: it is to begin anew. The port may have come to another device meanwhile: there its flows go on, a socket does not. */
  #renewed(lease: Lease | undefined, ask: Asked, port: FollowedPort): Lease | undefined {
    if (lease === undefined || !isSame(lease.only, endsOf(ask))) return undefined;
    const isMoved = port.ifindex !== lease.port.ifindex || port.vif !== lease.port.vif;
    if (isMoved && lease.sampler !== undefined) {
      this.#leases.end(lease);
      return undefined;
    }
    if (port.device !== lease.port.device) {
      lease.unfollow();
      lease.unfollow = this.#deps.watched.follow(port.device);
    }
    lease.port = port;
    this.#leases.renew(lease);
    return lease;
  }

  #ended({ sampler, unfollow }: Lease): void {
    sampler?.close();
    unfollow();
    if (this.#leases.size === 0) this.#unlisten();
  }

  #take(record: FlowRecord): void {
    const { kind } = record;
    if (kind === 'update') return;
    for (const lease of this.#leases.all()) {
      const portId = lease.port.id;
      const isOf = [record.from, record.to].some((end) => end?.portId === portId);
      if (isOf && fits(record, lease.only)) add(lease, (number) => eventOf(record, kind, { number, portId }));
    }
  }
}

/** The first gives way. */
function add(lease: Lease, make: (number: number) => FlowEvent | PacketEvent): void {
  lease.last += 1;
  lease.records.push(make(lease.last));
  if (lease.records.length <= MAX_FOLLOWED) return;
  lease.records.shift();
  lease.pushedOut += 1;
}

function failed(message: string): { readonly fault: AskFault } {
  return { fault: { code: 'failed', message } };
}

function endsOf({ protocol, address, port, packets }: FollowQuery): FollowEnds {
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
    ...(packets === undefined ? {} : { packets }),
  };
}

function isSame(one: FollowEnds, other: FollowEnds): boolean {
  const { packets, ...rest } = one;
  const names = ['protocol', 'address', 'port'] as const;
  if (!names.every((name) => rest[name] === other[name]) || (packets === undefined) !== (other.packets === undefined))
    return false;
  const fields = ['peer', 'protocol', 'peerPort', 'ownPort', 'rate'] as const;
  return fields.every((name) => packets?.[name] === other.packets?.[name]);
}
