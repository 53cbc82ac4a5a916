/** Why a peering does not lead from one port to another. */
import { letThrough, otherSide, type PeeringReader, takenBy } from '@cable/compiler';
import type { Port, RouterPeering } from '@cable/model';
import { peeringReader, waitsForOf } from '../resources/router-peering.ts';
import type { Tables } from '../tables.ts';
import type { Eyes } from './eyes.ts';

/** What is wrong, with what to do about it. */
export type PeeringCause = { readonly code: string; readonly text: string; readonly remedy: string };

/** Subnets that the routers of a network reach by their peerings. */
export function peeredSubnets(tables: Pick<Tables, 'of' | 'any'>, networkId: string): readonly string[] {
  const reader = peeringReader(tables);
  return routersIn(reader, networkId).flatMap((router) =>
    reader
      .by('router_peering', 'router_id', router)
      .flatMap((side) => takenBy(reader, side).map(({ subnet }) => subnet.id)),
  );
}

/** The first cause, of a peering that the caller sees and that is between routers of both ports; undefined: there is none. */
export function peeringCause(tables: Tables, from: Port, to: Port, eyes: Eyes): PeeringCause | undefined {
  const reader = peeringReader(tables);
  const there = new Set(routersIn(reader, to.network_id));
  for (const router of routersIn(reader, from.network_id)) {
    for (const { id, peer_router_id: peer } of reader.by('router_peering', 'router_id', router)) {
      const side = tables.of('router_peering').get(id);
      if (!there.has(peer) || side === undefined || eyes.peering(id) === null) continue;
      const cause = causeOf(reader, side, subnetsOf(from), subnetsOf(to));
      if (cause !== undefined) return cause;
    }
  }
  return undefined;
}

function routersIn(reader: PeeringReader, networkId: string): readonly string[] {
  return [...new Set(reader.by('router_interface', 'network_id', networkId).map((port) => port.device_id))];
}

function subnetsOf(port: Port): ReadonlySet<string> {
  return new Set(port.fixed_ips.map(({ subnet_id: id }) => id));
}

function causeOf(
  reader: PeeringReader,
  side: RouterPeering,
  here: ReadonlySet<string>,
  there: ReadonlySet<string>,
): PeeringCause | undefined {
  const name = `peering ${side.name || side.id}`;
  const other = otherSide(reader, side);
  if (other === undefined) {
    return {
      code: 'peering_down',
      text: `${name} is DOWN: it waits for ${waitsForOf(reader, side)}`,
      remedy: 'Make what it waits for; both routers must be up.',
    };
  }
  const has = (of: ReadonlySet<string>, list: readonly { readonly subnet: { readonly id: string } }[]): boolean =>
    list.some(({ subnet }) => of.has(subnet.id));
  if (!has(here, letThrough(reader, side))) {
    return {
      code: 'peering_lets_nothing_through',
      text: `${name} does not let the sender’s subnet through`,
      remedy: 'Add the subnet to the subnet_ids of the peering.',
    };
  }
  if (!has(there, letThrough(reader, other))) {
    return {
      code: 'peering_lets_nothing_through',
      text: `the other side of ${name} does not let the receiver’s subnet through`,
      remedy: 'Have the owner of that router add the subnet to the subnet_ids of that side.',
    };
  }
  if (has(there, takenBy(reader, side)) && has(here, takenBy(reader, other))) return undefined;
  return {
    code: 'peering_not_taken',
    text: `${name}: one side does not take what the other lets through: it is in none of its accepted_prefixes, or overlaps a subnet of its router or of an older peering of that`,
    remedy: 'Compare accepted_prefixes and peer_prefixes of both sides; where subnets overlap, renumber one.',
  };
}
