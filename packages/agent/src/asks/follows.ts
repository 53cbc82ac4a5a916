import {
  type AskFault,
  FOLLOW_LEASE_MS,
  type FlowEvent,
  type FollowedFlows,
  type FollowQuery,
  MAX_FOLLOWED,
  MAX_FOLLOWS,
  MAX_FOLLOWS_A_PROJECT,
  type TraceEnds,
} from '@cable/model';
import { CB_TOLD_FORCED, CB_TOLD_IDLE, CB_TOLD_OVER, type CbTupleKey } from '../bpf/abi.gen.ts';
import type { WatchedDevices } from '../capture/watched-devices.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { formatAddress } from '../plan/address.ts';
import { portsOf } from './flows.ts';
import { NO_PORT } from './tracer.ts';

/** A port of this host that can be followed. */
export type FollowedPort = { readonly vif: number; readonly device: string; readonly projectId: string };

export type FollowDeps = {
  /** Undefined: it has no device here. */
  readonly port: (portId: string) => FollowedPort | undefined;
  readonly watched: Pick<WatchedDevices, 'follow'>;
  /** Tells `listener` what the vrouter tells, until what is returned is called. */
  readonly listen: (listener: (record: FlowRecord) => void) => () => void;
  /** How much the vrouter has not told of the VIF since it was made, or of any because there was no room. */
  readonly notTold: (vif: number) => number;
  /** Letters and digits that nobody guesses. */
  readonly newLease: () => string;
  /** Calls `call` after `ms`, unless what is returned is called before. */
  readonly after: (ms: number, call: () => void) => () => void;
};

type Asked = FollowQuery & { readonly portId: string };
type Ends = Pick<FollowQuery, 'protocol' | 'address' | 'port'>;

type Lease = {
  readonly id: string;
  readonly portId: string;
  readonly only: Ends;
  readonly projectId: string;
  readonly records: FlowEvent[];
  /** Number of the last. */
  last: number;
  /** Records that were pushed out; `notTold` when it began. */
  pushedOut: number;
  readonly untold: number;
  device: string;
  unfollow: () => void;
  cancel: () => void;
};

/**
 * Who follows ports of this host, by leases: what the vrouter tells of a port waits for who asks for it, and a lease that nobody asks for ends. A new agent knows of none, and
 * its rows say so to the vrouter.
 */
export class Follows {
  readonly #deps: FollowDeps;
  readonly #leases = new Map<string, Lease>();
  #unlisten: () => void = () => undefined;

  constructor(deps: FollowDeps) {
    this.#deps = deps;
  }

  /** What came since; answered at once. */
  ask(ask: Asked): { readonly value: FollowedFlows } | { readonly fault: AskFault } {
    const port = this.#deps.port(ask.portId);
    const known = this.#leases.get(ask.lease ?? '');
    const mine = known?.portId === ask.portId ? known : undefined;
    if (port === undefined) {
      this.#end(mine);
      return { fault: NO_PORT };
    }
    const lease = mine !== undefined && isSame(mine.only, ask) ? this.#renewed(mine, port) : this.#begin(ask, port);
    if ('fault' in lease) return lease;
    const after = lease.id === ask.lease ? ask.after : 0;
    while (lease.records[0] !== undefined && lease.records[0].number <= after) lease.records.shift();
    const lost = lease.pushedOut + Math.max(0, this.#deps.notTold(port.vif) - lease.untold);
    return { value: { lease: lease.id, records: [...lease.records], lost } };
  }

  /** All leases end. */
  close(): void {
    for (const lease of [...this.#leases.values()]) this.#end(lease);
  }

  #begin(ask: Asked, port: FollowedPort): Lease | { readonly fault: AskFault } {
    const { newLease, watched, notTold, listen } = this.#deps;
    const all = [...this.#leases.values()];
    if (all.length >= MAX_FOLLOWS) return tooMany(`${MAX_FOLLOWS} ports of the host are followed already`);
    if (all.filter(({ projectId }) => projectId === port.projectId).length >= MAX_FOLLOWS_A_PROJECT)
      return tooMany(`${MAX_FOLLOWS_A_PROJECT} ports of the project are followed on the host already`);
    if (all.length === 0) this.#unlisten = listen((record) => this.#take(record));
    const { portId, protocol, address, port: number } = ask;
    const only = {
      ...(protocol === undefined ? {} : { protocol }),
      ...(address === undefined ? {} : { address }),
      ...(number === undefined ? {} : { port: number }),
    };
    const lease: Lease = {
      ...{ id: newLease(), portId, only, projectId: port.projectId, records: [], last: 0, pushedOut: 0 },
      untold: notTold(port.vif),
      device: port.device,
      unfollow: watched.follow(port.device),
      cancel: () => undefined,
    };
    this.#leases.set(lease.id, lease);
    this.#wait(lease);
    return lease;
  }

  /** The port may have come to another device meanwhile. */
  #renewed(lease: Lease, { device }: FollowedPort): Lease {
    if (device !== lease.device) {
      lease.unfollow();
      lease.device = device;
      lease.unfollow = this.#deps.watched.follow(device);
    }
    lease.cancel();
    this.#wait(lease);
    return lease;
  }

  #wait(lease: Lease): void {
    lease.cancel = this.#deps.after(FOLLOW_LEASE_MS, () => this.#end(lease));
  }

  #end(lease: Lease | undefined): void {
    if (lease === undefined || !this.#leases.delete(lease.id)) return;
    lease.cancel();
    lease.unfollow();
    if (this.#leases.size === 0) this.#unlisten();
  }

  #take(record: FlowRecord): void {
    for (const lease of this.#leases.values()) {
      const isOf = [record.from, record.to].some((end) => end?.portId === lease.portId);
      if (!isOf || record.kind === 'update' || !fits(record, lease.only)) continue;
      lease.last += 1;
      lease.records.push(eventOf(record, record.kind, { number: lease.last, portId: lease.portId }));
      if (lease.records.length <= MAX_FOLLOWED) continue;
      lease.records.shift();
      lease.pushedOut += 1;
    }
  }
}

function tooMany(message: string): { readonly fault: AskFault } {
  return { fault: { code: 'failed', message } };
}

function isSame(only: Ends, ask: Ends): boolean {
  return only.protocol === ask.protocol && only.address === ask.address && only.port === ask.port;
}

/** Of either end, as its packets or its answers have it. */
function fits({ asked, answered }: FlowRecord, { protocol, address, port }: Ends): boolean {
  const tuples = [asked, answered];
  if (protocol !== undefined && asked.protocol !== protocol) return false;
  const addresses = address === undefined ? [] : tuples.flatMap(({ src, dst }) => [src, dst]).map(formatAddress);
  if (address !== undefined && !addresses.includes(address)) return false;
  const ports = port === undefined ? [] : tuples.map(portsOf);
  return port === undefined || ports.some((one) => one.sourcePort === port || one.destinationPort === port);
}

const ENDED: Readonly<Record<number, FlowEvent['ended']>> = {
  [CB_TOLD_IDLE]: 'idle',
  [CB_TOLD_OVER]: 'closed',
  [CB_TOLD_FORCED]: 'forced',
};

function eventOf(
  record: FlowRecord,
  kind: FlowEvent['kind'],
  { number, portId }: { readonly number: number; readonly portId: string },
): FlowEvent {
  const { asked, from, to, packets, bytes } = record;
  const isBegun = from?.portId === portId;
  return {
    number,
    kind,
    atMs: record.atMs,
    isBegun,
    networkId: record.networkId,
    protocol: asked.protocol,
    source: formatAddress(asked.src),
    destination: formatAddress(asked.dst),
    ...portsOf(asked),
    becomes: becomesOf(record),
    ...{ packets: Number(packets[0]), bytes: Number(bytes[0]) },
    ...{ replyPackets: Number(packets[1]), replyBytes: Number(bytes[1]) },
    peerPortId: (isBegun ? to : from)?.portId ?? null,
    rule: record.rule,
    ended: ENDED[record.ended] ?? null,
    reason: record.drop,
  };
}

/** Answers come from what its destination becomes, to what its source does. */
function becomesOf({ asked, answered }: Pick<FlowRecord, 'asked' | 'answered'>): TraceEnds | null {
  const there = endsOf(asked);
  const answer = endsOf(answered);
  const behind = {
    source: answer.destination,
    destination: answer.source,
    sourcePort: answer.destinationPort,
    destinationPort: answer.sourcePort,
  };
  const names = ['source', 'destination', 'sourcePort', 'destinationPort'] as const;
  return names.every((name) => there[name] === behind[name]) ? null : behind;
}

function endsOf(tuple: CbTupleKey): TraceEnds {
  const { sourcePort, destinationPort } = portsOf(tuple);
  const ends = { source: formatAddress(tuple.src), destination: formatAddress(tuple.dst) };
  return { ...ends, sourcePort: sourcePort ?? 0, destinationPort: destinationPort ?? 0 };
}
