/**
 * What a packet becomes where it passes a router's gateway (docs/design/vrouter-outside.md): floating IPs, the router's own address, port forwarding. A
 * connection keeps what it has become, as long as that is still allowed.
 */
import {
  type Cloud,
  type FloatingIp,
  type Forward,
  type Gateway,
  isHere,
  type Port,
  portNamed,
  type Range,
  type Router,
} from './cloud.ts';
import type { Direction } from './flows.ts';
import { hasPorts, type Tuple } from './headers.ts';

const ICMP = 1;
const SCTP = 132;
/** A sender has one port of so many. */
export const PORTS_IN_GROUP = 8;

/** What a packet's connection makes of it, and whose packet it is of that. `member`: of a load balancer, by which it is answered. */
export type KnownPassage = { readonly becomes: Tuple; readonly direction: Direction; readonly member?: string };

/** A packet on its way through a router. `becomes`: so far. */
export type Passage = {
  readonly tuple: Tuple;
  readonly becomes: Tuple;
  readonly known?: KnownPassage;
  /** Of these its source's port is chosen; one that cannot be changed must be free. */
  readonly choice?: { readonly among: Range };
  readonly hasLeft: boolean;
  /** It begins a connection by its sender's floating IP. */
  readonly floats?: true;
  readonly hasEntered: boolean;
  /** The port that it may go to, and no other. */
  readonly onlyTo?: Port;
  /** The member of a load balancer to which it begins a connection. */
  readonly member?: string;
};

/** An answer of a member is one of the virtual address from the start. */
export function startPassage(tuple: Tuple, known: KnownPassage | undefined): Passage {
  const becomes = known?.becomes ?? tuple;
  const answers = known?.member !== undefined && known.direction === 'answer';
  return { tuple, becomes, ...(known === undefined ? {} : { known }), hasLeft: answers, hasEntered: answers };
}

export type Passed =
  | { readonly kind: 'drop'; readonly reason: string }
  /** It is for the router itself. */
  | { readonly kind: 'router' }
  /** On by this router's routes. */
  | { readonly kind: 'on'; readonly router: Router; readonly passage: Passage };

const drop = (reason: string): Passed => ({ kind: 'drop', reason });

/** Who has an address outside. A floating IP is where its port is. */
export type Outsider =
  | { readonly kind: 'floating'; readonly router: Router; readonly floatingIp: FloatingIp; readonly port: Port }
  | { readonly kind: 'router'; readonly router: Router; readonly gateway: Gateway };

function gatewaysIn(cloud: Cloud, network: string): readonly { readonly router: Router; readonly gateway: Gateway }[] {
  return cloud.routers.flatMap((router) => {
    const { gateway } = router;
    return gateway?.network === network ? [{ router, gateway }] : [];
  });
}

export function floatingIpsIn(cloud: Cloud, network: string): readonly Extract<Outsider, { kind: 'floating' }>[] {
  return gatewaysIn(cloud, network).flatMap(({ router, gateway }) =>
    gateway.floatingIps.flatMap((floatingIp) => {
      const port = portNamed(cloud, floatingIp.port);
      return port !== undefined && isHere(port) && port.programmed
        ? [{ kind: 'floating', router, floatingIp, port } as const]
        : [];
    }),
  );
}

/** Those that lead somewhere here. */
export function forwardsOf(cloud: Cloud, { forwards }: Gateway): readonly (Forward & { readonly to: Port })[] {
  return forwards.flatMap((forward) => {
    const to = portNamed(cloud, forward.port);
    return to !== undefined && isHere(to) && to.programmed ? [{ ...forward, to }] : [];
  });
}

export function outsiderWith(cloud: Cloud, network: string, address: string): Outsider | undefined {
  const floating = floatingIpsIn(cloud, network).find(({ floatingIp }) => floatingIp.address === address);
  if (floating !== undefined) return floating;
  const own = gatewaysIn(cloud, network).find(
    ({ gateway }) =>
      gateway.address === address || forwardsOf(cloud, gateway).some((forward) => forward.address === address),
  );
  return own && { kind: 'router', ...own };
}

/** The router whose MAC it is in a network outside. */
export function routerOutside(cloud: Cloud, network: string, mac: string): Router | undefined {
  return gatewaysIn(cloud, network).find(({ gateway }) => gateway.mac === mac)?.router;
}

/** Where a port of an address leads. */
function forwardFor(cloud: Cloud, network: string, { protocol }: Tuple, address: string, port: number) {
  if (!hasPorts(protocol)) return undefined;
  const all = gatewaysIn(cloud, network).flatMap(({ router, gateway }) =>
    forwardsOf(cloud, gateway).map((forward) => ({ ...forward, router })),
  );
  const found = all.find(
    (one) => one.address === address && one.protocol === protocol && port >= one.ports.min && port <= one.ports.max,
  );
  return found && { ...found, toPort: found.toFirst + port - found.ports.min };
}

/** It has come to `router` for an address in a network outside. */
export function enter(cloud: Cloud, router: Router, network: string, passage: Passage): Passed {
  const { tuple, known } = passage;
  const entered = { ...passage, hasEntered: true };
  const owner = outsiderWith(cloud, network, tuple.to);
  if (owner === undefined) {
    if (router.gateway?.snat === undefined) {
      // Its floating IP is gone.
      if (known !== undefined && known.becomes.to !== tuple.to) return drop('nat_gone');
      return { kind: 'on', router, passage: entered };
    }
    return drop(known === undefined ? 'no_route' : 'nat_gone');
  }
  if (owner.kind === 'floating') {
    const becomes = { ...passage.becomes, to: owner.floatingIp.fixed, dport: tuple.dport };
    if (known !== undefined && !isSameEnd(known.becomes, becomes)) return drop('nat_gone');
    return { kind: 'on', router: owner.router, passage: { ...entered, becomes, onlyTo: owner.port } };
  }
  if (known?.direction === 'answer') {
    // To the address with which somebody here has left.
    const stays =
      owner.gateway.snat !== undefined && owner.gateway.address === tuple.to && known.becomes.to !== tuple.to;
    return stays ? { kind: 'on', router: owner.router, passage: entered } : drop('nat_gone');
  }
  const forward = forwardFor(cloud, network, tuple, tuple.to, tuple.dport);
  if (forward === undefined) return known === undefined ? { kind: 'router' } : drop('nat_gone');
  // Its checksum covers the ports, and all of the packet.
  if (tuple.protocol === SCTP && forward.toPort !== tuple.dport) return drop('no_endpoint');
  const becomes = { ...passage.becomes, to: forward.fixed, dport: forward.toPort };
  if (known !== undefined && !isSameEnd(known.becomes, becomes)) return drop('nat_gone');
  return { kind: 'on', router: forward.router, passage: { ...entered, becomes } };
}

function isSameEnd(a: Tuple, b: Tuple): boolean {
  return a.to === b.to && a.dport === b.dport;
}

/** It leaves `router` for the network outside. `from`: the network and the port that it is from. */
export function leave(
  cloud: Cloud,
  router: Router,
  passage: Passage,
  from: { readonly network: string; readonly sender: Port | undefined },
): Passed {
  const { gateway } = router;
  if (gateway === undefined) return drop('no_route');
  const { tuple, known } = passage;
  const left = { ...passage, hasLeft: true };
  const floating = floatingIpsIn(cloud, gateway.network).find(
    ({ floatingIp, port }) => port.network === from.network && floatingIp.fixed === tuple.from,
  );
  if (floating !== undefined && floating.port !== from.sender) return drop('spoofed_ip');
  const own = gateway.snat === undefined ? undefined : gateway.address;
  if (known !== undefined) {
    const stays = mayStay(cloud, gateway, tuple, known, floating?.floatingIp.address, own);
    return stays ? { kind: 'on', router, passage: left } : drop('nat_gone');
  }
  if (floating !== undefined) {
    const becomes = { ...passage.becomes, from: floating.floatingIp.address };
    return { kind: 'on', router, passage: { ...left, becomes, floats: true } };
  }
  if (own === undefined || gateway.snat === undefined) return { kind: 'on', router, passage: left };
  return {
    kind: 'on',
    router,
    passage: { ...left, becomes: { ...passage.becomes, from: own }, choice: { among: gateway.snat } },
  };
}

/** May the connection keep the source that it has outside? */
function mayStay(
  cloud: Cloud,
  { network }: Gateway,
  tuple: Tuple,
  { becomes, direction }: NonNullable<Passage['known']>,
  floating: string | undefined,
  own: string | undefined,
): boolean {
  if (floating === becomes.from && tuple.sport === becomes.sport) return true;
  // Who gets a floating IP keeps the connections that he has.
  if (direction === 'first' && own !== undefined) return own === becomes.from;
  if (direction === 'answer') {
    const forward = forwardFor(cloud, network, tuple, becomes.from, becomes.sport);
    if (forward?.fixed === tuple.from && forward.toPort === tuple.sport) return true;
  }
  return own === undefined && becomes.from === tuple.from;
}

/** Has it become what it becomes anywhere but at a gateway? */
export function isUnasked({ tuple, known, hasLeft, hasEntered }: Passage): boolean {
  if (known === undefined) return false;
  const { becomes } = known;
  return (!hasLeft && becomes.from !== tuple.from) || (!hasEntered && becomes.to !== tuple.to);
}

/** Can another port, or identifier, take the place of the packet's own? SCTP's checksum covers all of the packet. */
export function hasChoice({ protocol }: Tuple, isQuery: boolean): boolean {
  return protocol === ICMP ? isQuery : hasPorts(protocol) && protocol !== SCTP;
}

/** Is it another packet afterwards? */
export function isTranslated(tuple: Tuple, becomes: Tuple): boolean {
  return (
    tuple.from !== becomes.from ||
    tuple.to !== becomes.to ||
    tuple.sport !== becomes.sport ||
    tuple.dport !== becomes.dport
  );
}
