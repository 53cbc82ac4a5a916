/** The way of a packet that a machine on a physical network sends, and of the answer. */
import { CableError, type Network, type Port, type TraceEnd, type TracePacket } from '@cable/model';
import { isTunnelled } from '../resources/network-segment.ts';
import type { FaultDeps } from './counted.ts';
import type { Eyes } from './eyes.ts';
import { type OutsideTarget, targetsFrom } from './outside-targets.ts';
import { badParameter } from './queries.ts';
import {
  answerOf,
  type Context,
  follow,
  judge,
  showPacket,
  type Trace,
  type TraceQuery,
  type Way,
  type WayEnd,
} from './trace.ts';

export type OutsideQuery = Omit<TraceQuery, 'source'> & {
  readonly source: string;
  /** Whom the machine sends to; null: whoever leads to the destination. */
  readonly via: string | null;
};

type Of = { readonly network: Network; readonly eyes: Eyes; readonly mayInspect: (port: Port) => boolean };

/** Throws `InvalidInput` for a network that is on no physical network, `HTTPBadRequest`, `PortNotBound`, and what keeps the first host from being asked. */
export async function traceFromOutside(deps: FaultDeps, of: Of, query: OutsideQuery): Promise<Trace> {
  const { network, eyes } = of;
  const target = targetOf(deps, of, query);
  const packet: TracePacket = { ...query, source: query.source, destination: query.to };
  const context = { deps, eyes };
  const there = await firstToAnswer(context, network, target, packet);
  const { receiver, back } = await answerOf(context, there, packet, {
    networkId: network.id,
    address: target.asker,
  });
  return {
    from: { id: network.id, name: network.name },
    packet: showPacket(packet),
    ...judge(there, back && homeward(back, packet), { port: target.port, eyes }),
    receiver: eyes.port(receiver?.id ?? null),
    there: there.hops,
    back: back?.hops ?? [],
  };
}

/** The only one that the caller may look into. Whether there are others is not told. */
function targetOf(deps: FaultDeps, { network, mayInspect }: Of, query: OutsideQuery): OutsideTarget {
  if (isTunnelled(network)) {
    const message = `Network ${network.id} is on no physical network: nothing comes into it from outside.`;
    throw new CableError('InvalidInput', message, { fields: { network: network.id } });
  }
  const found = targetsFrom(deps, network, query).filter(({ port }) => mayInspect(port));
  const [target, ...more] = found.filter(({ nextHop }) => query.via === null || query.via === nextHop);
  if (target === undefined) {
    const via = query.via === null || found.length === 0 ? '' : ` by ${query.via}`;
    throw badParameter('to', `no port that you may look into is reached by it from network ${network.id}${via}`);
  }
  if (more.length === 0) return target;
  const hops = [target, ...more].map(({ nextHop }) => nextHop).join(', ');
  throw badParameter('via', `several routers lead to ${query.to}: give the address of one of them: ${hops}`);
}

/** The question of the machine goes to all hosts: it sends to the one that answers. */
async function firstToAnswer(
  context: Context,
  network: Network,
  { port, nextHop, asker, hosts }: OutsideTarget,
  packet: TracePacket,
): Promise<Way> {
  const from = { kind: 'outside', networkId: network.id, asker, nextHop, packet } as const;
  let last: Way | undefined;
  for (const host of hosts) {
    last = await followOrSay(context, { port, host, from });
    if (last.end.kind !== 'unresolved') return last;
  }
  if (last !== undefined) return { ...last, end: unanswered(nextHop) };
  const message = `No host is there that could answer for ${nextHop}: neither a port nor a router’s gateway that it leads to is on one.`;
  throw new CableError('PortNotBound', message, { fields: { port: port.id } });
}

async function followOrSay(context: Context, start: Parameters<typeof follow>[1]): Promise<Way> {
  try {
    return await follow(context, start, null);
  } catch (err) {
    // What agents said to a start that they did not know.
    if (!(err instanceof CableError) || !/neither port nor host/.test(err.message)) throw err;
    const message = `The agent of host ${start.host} is of an older build, which traces nothing from outside: install a newer one there.`;
    throw new CableError('HostRefusesAsk', message, { fields: { host: start.host } });
  }
}

function unanswered(nextHop: string): WayEnd {
  return {
    kind: 'unresolved',
    why: `no host answers for ${nextHop} on the physical network`,
    remedy: `See that the floating IP, router or port with ${nextHop} is ACTIVE, and its host on the physical network (\`cable host show\`).`,
  };
}

/** The answer has to leave by the physical network, with the addresses that the machine has sent to. */
function homeward(way: Way, sent: TracePacket): Way {
  const { end } = way;
  if (end.kind === 'outside') return { ...way, end: isItsAnswer(end, sent) ? { kind: 'answered' } : astray(end) };
  if (end.kind === 'port' || end.kind === 'service' || end.kind === 'answered')
    return { ...way, end: astray(undefined) };
  return way;
}

type Left = Extract<TraceEnd, { kind: 'outside' }>;

function isItsAnswer(
  { packet }: Left,
  { source, destination, protocol, sourcePort, destinationPort }: TracePacket,
): boolean {
  if (packet === undefined) return true;
  if (packet.source !== destination || packet.destination !== source) return false;
  // Of ICMP the identifier is that of the question.
  const isIcmp = protocol === 1 || protocol === 58;
  if (isIcmp) return packet.sourcePort === sourcePort;
  return packet.sourcePort === destinationPort && packet.destinationPort === sourcePort;
}

function astray(left: Left | undefined): WayEnd {
  const how =
    left?.packet === undefined
      ? 'does not leave by the physical network that the packet came from'
      : `leaves as from ${left.packet.source} to ${left.packet.destination}, which the machine does not take for one`;
  return {
    kind: 'astray',
    why: `the answer ${how}`,
    remedy: 'See which floating IPs and gateways the port’s routers have, and which routes lead to the machine.',
  };
}
