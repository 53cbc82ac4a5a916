/** What a port's host has counted of it: drops, flows. */
import { hostOf, isBound } from '@cable/compiler';
import { CableError, type FlowQuery, type FlowView, type Port } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { answerValue } from './answer-values.ts';
import type { AskHost } from './ask-host.ts';
import type { Eyes } from './eyes.ts';
import { Neighbours } from './neighbours.ts';
import { meaningFor } from './private-subnets.ts';
import { peerAddress, type Shown, showEnds } from './shown-ends.ts';

export type FaultDeps = Pick<EngineDeps, 'tables' | 'addresses'> & { readonly ask: AskHost };

/** The host of a port that can be asked about it. Throws `PortNotBound`. */
export function boundHost(port: Port): string {
  if (isBound(port)) return hostOf(port);
  throw new CableError('PortNotBound', `Port ${port.id} is not bound to a host.`, { fields: { port: port.id } });
}

/** `GET .../drops` */
export async function showDrops({ ask, tables }: FaultDeps, port: Port, eyes: Eyes): Promise<unknown> {
  const host = boundHost(port);
  const answer = answerValue('drops', host, await ask(host, { kind: 'drops', portId: port.id }));
  const drops = answer.drops.map(({ reason, packets, lastSecondsAgo }) => ({
    reason: reason.name,
    packets,
    last_seconds_ago: lastSecondsAgo,
    meaning: meaningFor(reason, tables, [port], eyes),
    remedy: reason.remedy,
  }));
  return {
    port: { id: port.id, name: port.name },
    network: eyes.network(port.network_id),
    host: eyes.host(host, port),
    rx_packets: answer.rxPackets,
    tx_packets: answer.txPackets,
    drops: drops.sort((a, b) => b.packets - a.packets || (a.reason < b.reason ? -1 : 1)),
  };
}

/** `GET .../flows` */
export async function showFlows(deps: FaultDeps, port: Port, query: FlowQuery, eyes: Eyes): Promise<unknown> {
  const host = boundHost(port);
  const answer = answerValue('flows', host, await deps.ask(host, { kind: 'flows', portId: port.id, ...query }));
  const neighbours = new Neighbours(deps);
  return {
    port: { id: port.id, name: port.name },
    host: eyes.host(host, port),
    total: answer.total,
    next_marker: answer.next,
    flows: answer.flows.map((flow) => showFlow(deps, port, flow, { eyes, neighbours })),
  };
}

/** A flow, in names that the caller may know. */
export function showFlow(
  { tables }: Pick<FaultDeps, 'tables'>,
  port: Port,
  flow: FlowView,
  { eyes, neighbours }: { readonly eyes: Eyes; readonly neighbours: Neighbours },
): Shown {
  const peerId = flow.peerPortId ?? neighbours.find(port.network_id, peerAddress(flow)) ?? null;
  const peer = peerId === null ? undefined : tables.of('port').get(peerId);
  // The receiver's rule counts if it is on this host, else the sender's.
  const rule = flow.rule === null ? null : (eyes.rule(flow.rule, port) ?? eyes.rule(flow.rule, peer));
  return {
    marker: flow.flow,
    begun_here: flow.isBegun,
    network: eyes.network(flow.networkId),
    protocol: flow.protocol,
    ...showEnds(flow, eyes.port(peerId) !== null),
    icmp_type: flow.icmpType,
    peer: eyes.port(peerId),
    state: flow.state,
    packets: flow.packets,
    bytes: flow.bytes,
    reply_packets: flow.replyPackets,
    reply_bytes: flow.replyBytes,
    age_seconds: flow.ageSeconds,
    expires_seconds: flow.expiresSeconds,
    rule: rule?.id ?? null,
    security_group: rule?.group ?? null,
    load_balanced: flow.isBalanced === true,
    peer_host: hostAt(flow.peerUnderlay, port, { tables, eyes }),
  };
}

/** Of the host with that underlay address, if the caller may know where ports are. */
function hostAt(
  underlay: string | null,
  port: Port,
  { tables, eyes }: Pick<FaultDeps, 'tables'> & { readonly eyes: Eyes },
): string | null {
  const name = underlay === null ? undefined : tables.of('host').by('underlay', underlay)[0]?.id;
  return name === undefined ? null : eyes.host(name, port);
}
