/** Peerings of routers: what each side lets through and the other takes (docs/design/peering.md). */
import { cidrContains, type IpPrefix, type PeeredSubnet, parseCidr } from '@cable/model';
import { compareText, type PortRow, type RouterPeeringRow, type SubnetRow } from '../compiler-tables.ts';
import { cover, coveredBy, isTouched } from '../covered.ts';
import { defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';
import { scopeInside, scopeOfSubnet } from './scopes.ts';

/** What a peering is looked up by. */
export type PeeringReader = Pick<Reader, 'get' | 'by'>;

/** A subnet that one side lets through and the other takes, and the router's interface there. */
export type TakenSubnet = { readonly subnet: SubnetRow; readonly prefix: IpPrefix; readonly leg: PortRow };

/** The peerings of a router of which both sides are there; a router without any side has no such slice. */
export const peeringsKind: Kind = defineKind({
  name: 'peerings',
  header: (reader, id) =>
    reader.by('router_peering', 'router_id', id).length === 0 ? undefined : { value: { routerId: id }, refs: [] },
  items: {
    table: 'router_peering',
    index: 'router_id',
    sourceKeys: (id) => [id],
    compute: (reader, side) => {
      const other = otherSide(reader, side);
      if (other === undefined) return [];
      const peers = takenBy(reader, side).map((one) => ({ ...shown(one), macAddress: one.leg.mac_address }));
      const networks = [...new Set(peers.map((one) => one.networkId))];
      const refs = networks.flatMap((id): NodeKey[] => [`network:${id}`, `endpoints:${id}`]);
      const value = { id: side.id, name: side.name, own: takenBy(reader, other).map(shown), peers };
      return [{ key: side.id, value, refs }];
    },
  },
});

function shown({ subnet }: TakenSubnet): PeeredSubnet {
  return { networkId: subnet.network_id, cidr: subnet.cidr };
}

/** The other side, if it is there and both routers are up; else undefined. */
export function otherSide(reader: PeeringReader, side: RouterPeeringRow): RouterPeeringRow | undefined {
  const { router_id: here, peer_router_id: there } = side;
  if (![here, there].every((id) => reader.get('router', id)?.admin_state_up === true)) return undefined;
  return reader.by('router_peering', 'router_id', there).find((one) => one.peer_router_id === here);
}

/**
 * Subnets of the other side of a peering that is up, which are in force on this one: those that it lets through and this side takes. Of what overlaps, what the router is
 * in itself goes first, then the older of its peerings. One rule for both directions: what is not in force cannot send here either.
 */
export function takenBy(reader: PeeringReader, side: RouterPeeringRow): readonly TakenSubnet[] {
  const rest = coveredBy(attachedPrefixes(reader, side.router_id));
  for (const one of inOrder(reader.by('router_peering', 'router_id', side.router_id))) {
    const taken = offeredTo(reader, one).filter(({ prefix }) => !isTouched(rest, prefix));
    if (one.id === side.id) return taken;
    for (const { prefix } of taken) cover(rest, prefix);
  }
  return [];
}

/** The older first. */
function inOrder(sides: readonly RouterPeeringRow[]): readonly RouterPeeringRow[] {
  return [...sides].sort((a, b) => compareText(a.created_at, b.created_at) || compareText(a.id, b.id));
}

/** What the other side lets through, and this one would take. */
function offeredTo(reader: PeeringReader, side: RouterPeeringRow): readonly TakenSubnet[] {
  const other = otherSide(reader, side);
  if (other === undefined) return [];
  const accepted = side.accepted_prefixes.flatMap((text) => parseCidr(text) ?? []);
  return letThrough(reader, other).filter(
    ({ prefix, subnet }) =>
      (accepted.length === 0 || accepted.some((outer) => holds(outer, prefix))) &&
      isWithinScope(reader, side.router_id, prefix.base.version, subnet),
  );
}

/** Nothing is routed between address scopes, as among a router's own legs. */
function isWithinScope(reader: PeeringReader, routerId: string, version: 4 | 6, subnet: SubnetRow): boolean {
  const inside = scopeInside(reader, routerId, version);
  return inside === undefined || inside === scopeOfSubnet(reader, subnet);
}

/** Subnets that a side names and its router is in. */
export function letThrough(reader: PeeringReader, side: RouterPeeringRow): readonly TakenSubnet[] {
  const legs = new Map<string, PortRow>();
  for (const port of reader.by('router_interface', 'device_id', side.router_id))
    for (const ip of port.fixed_ips) legs.set(ip.subnet_id, port);
  return side.subnet_ids.flatMap((id) => {
    const subnet = reader.get('subnet', id);
    const prefix = parseCidr(subnet?.cidr ?? '');
    const leg = legs.get(id);
    return subnet === undefined || prefix === undefined || leg === undefined ? [] : [{ subnet, prefix, leg }];
  });
}

function holds(outer: IpPrefix, inner: IpPrefix): boolean {
  return outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.base);
}

/** Of the subnets that the router is in: by its interfaces, and by its gateway. */
function attachedPrefixes(reader: PeeringReader, routerId: string): IpPrefix[] {
  const ports = [
    ...reader.by('router_interface', 'device_id', routerId),
    ...reader.by('router_gateway', 'device_id', routerId),
  ];
  const ids = new Set(ports.flatMap((port) => port.fixed_ips.map((ip) => ip.subnet_id)));
  return [...ids].flatMap((id) => parseCidr(reader.get('subnet', id)?.cidr ?? '') ?? []);
}
