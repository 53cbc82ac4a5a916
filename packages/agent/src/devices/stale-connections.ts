/** Connections that lead where their place does not lead any more: connection tracking keeps what their first packet found. */
import { listAddresses } from '../net/address.ts';
import { type Connection, type ConnectionEnd, findConnections, forgetConnection } from '../net/conntrack.ts';
import { decodeIp } from '../net/ip.ts';
import type { NetlinkSocket } from '../net/socket.ts';

/** A place of this host that leads elsewhere than before. */
export type MovedPlace = {
  readonly ipVersion: 4 | 6;
  /** As in the header of IP. */
  readonly protocol: number;
  readonly port: number;
  /** Absent: any address of the host. */
  readonly address?: Uint8Array;
  /** The address need not be the host's: it is a Service's, and what came for it while it led nowhere was forwarded. */
  readonly isForwarded?: true;
  /** Absent: nowhere. */
  readonly before?: ConnectionEnd;
  readonly after?: ConnectionEnd;
};

const UDP = 17;

/** For so many ports of a protocol the kernel is asked for each; for more, once for all. */
const ASKED_ONE_BY_ONE = 16;

/**
 * Has the kernel forget what leads where the places led before; and what leads to the host itself, or through it, of UDP, where they led nowhere: such a conversation has no end. Returns how many that were.
 * `socket`: of netfilter; it is for this alone meanwhile. `devices`: of rtnetlink.
 */
export async function forgetStale(
  socket: NetlinkSocket,
  devices: NetlinkSocket,
  places: readonly MovedPlace[],
): Promise<number> {
  let own: ReadonlySet<string> | undefined;
  const isOwn = ({ address }: ConnectionEnd): boolean => {
    own ??= new Set(listAddresses(devices).map(({ cidr }) => cidr.replace(/\/.*/, '')));
    return own.has(decodeIp(address));
  };
  let forgotten = 0;
  for (const { ipVersion, protocol, byPort } of groupsOf(places)) {
    const ports = byPort.size > ASKED_ONE_BY_ONE ? [undefined] : [...byPort.keys()];
    for (const port of ports) {
      const stale: Connection[] = [];
      await findConnections(socket, { ipVersion, protocol, ...(port === undefined ? {} : { port }) }, (one) => {
        if (byPort.get(one.to.port)?.some((place) => isStale(one, place, isOwn)) === true) stale.push(one);
      });
      for (const one of stale) if (forgetConnection(socket, one, ipVersion)) forgotten += 1;
    }
  }
  return forgotten;
}

type Group = Pick<MovedPlace, 'ipVersion' | 'protocol'> & { readonly byPort: Map<number, MovedPlace[]> };

function groupsOf(places: readonly MovedPlace[]): Iterable<Group> {
  const groups = new Map<string, Group>();
  for (const one of places) {
    const { ipVersion, protocol, port } = one;
    const key = `${ipVersion} ${protocol}`;
    const group = groups.get(key) ?? { ipVersion, protocol, byPort: new Map<number, MovedPlace[]>() };
    groups.set(key, group);
    group.byPort.set(port, [...(group.byPort.get(port) ?? []), one]);
  }
  return groups.values();
}

function isStale(
  { protocol, to, answeredBy }: Connection,
  { port, address, isForwarded, before, after }: MovedPlace,
  isOwn: (end: ConnectionEnd) => boolean,
): boolean {
  if (to.port !== port || (address !== undefined && Buffer.compare(address, to.address) !== 0)) return false;
  if (after !== undefined && isOne(answeredBy, after)) return false;
  if (before !== undefined) return isOne(answeredBy, before);
  return protocol === UDP && isOne(answeredBy, to) && (isForwarded === true || isOwn(to));
}

function isOne(end: ConnectionEnd, other: ConnectionEnd): boolean {
  return end.port === other.port && Buffer.compare(end.address, other.address) === 0;
}
