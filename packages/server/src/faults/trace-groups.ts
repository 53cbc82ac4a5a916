/** Traces of packets to groups of multicast: which ports get a copy, on the sender's host and on others. */
import { isGroupAddress, type Port, parseIp, type TraceHop, type TraceStart } from '@cable/model';
import type { FaultDeps } from './counted.ts';

/** How many ports (a physical network counts as one) get a copy, and how many hosts could not be asked. */
export type Copied = { readonly kind: 'group'; readonly count: number; readonly unasked: number };

/** What becomes of a copy where it enters a host; `why`: the host cannot be asked. */
type AskCopy = (
  host: string,
  from: Extract<TraceStart, { kind: 'host' }>,
) => Promise<TraceHop | { readonly why: string }>;

/** Hosts that are asked. */
const MAX_HOSTS = 16;

export function isGroup(address: string): boolean {
  const ip = parseIp(address);
  return ip !== undefined && isGroupAddress(ip);
}

/** Asks each host that gets a copy, as far as these are not too many, what becomes of it there. */
export async function followCopies(
  { tables }: Pick<FaultDeps, 'tables'>,
  { port, host, hop }: { readonly port: Port; readonly host: string; readonly hop: TraceHop },
  ask: AskCopy,
): Promise<{ readonly hops: readonly { readonly host: string; readonly hop: TraceHop }[]; readonly end: Copied }> {
  const network = tables.of('network').get(port.network_id);
  const vni = network?.['provider:network_type'] === 'vxlan' ? network['provider:segmentation_id'] : network?.vni;
  const frame = hop.end?.kind === 'copies' ? hop.end.frame : undefined;
  const underlay = tables.of('host').get(host)?.underlay ?? '';
  const others = hop.steps.flatMap((step) =>
    step.kind === 'copy' && step.passed && step.underlay !== null
      ? tables.of('host').by('underlay', step.underlay).slice(0, 1)
      : [],
  );
  const isKnown = typeof vni === 'number' && frame !== undefined;
  const asked = await Promise.all(
    (isKnown ? others.slice(0, MAX_HOSTS) : []).map(async ({ id }) => {
      const said = isKnown ? await ask(id, { kind: 'host', underlay, vni, frame }) : { why: '' };
      return 'why' in said ? [] : [{ host: id, hop: said }];
    }),
  );
  const hops = asked.flat();
  const count = [hop, ...hops.map((one) => one.hop)].flatMap(({ steps }) => steps).filter(isReceived).length;
  return { hops, end: { kind: 'group', count, unasked: others.length - hops.length } };
}

/** A copy that a port gets, or a physical network, of which nobody knows more. */
function isReceived(step: TraceHop['steps'][number]): boolean {
  return step.kind === 'copy' && step.passed && (step.portId !== null || step.isOutside === true);
}

/** Somebody gets it (null), nobody does, or nobody of those that could be asked. */
export function judgeGroup({ count, unasked }: Copied): {
  readonly verdict: 'dropped' | 'unknown';
  readonly cause: { readonly reason: string; readonly meaning: string; readonly remedy: string };
} | null {
  if (count > 0) return null;
  if (unasked > 0) {
    const meaning =
      unasked === 1
        ? 'a host that has ports of the network could not be asked'
        : `${unasked} hosts that have ports of the network could not be asked`;
    const remedy = 'Bring the agents of the hosts back, then trace again.';
    return { verdict: 'unknown', cause: { reason: 'host_unreachable', meaning, remedy } };
  }
  return {
    verdict: 'dropped',
    cause: {
      reason: 'no_members',
      meaning: 'no port gets a copy: none has joined the group, or their rules do not allow it',
      remedy:
        'See that the receiver has joined the group (`cable show maps --map cb_joined_1` on its host), and that its security groups let the packet in.',
    },
  };
}
