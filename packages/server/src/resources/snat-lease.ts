/** Leases of ports of routers' external addresses: each block is one port's at a time, also while it rests (docs/design/snat.md). */
import { type AnyObject, CableError, type SnatLease } from '@cable/model';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';

/** A lease holds its blocks until nobody can use them any more. */
export const snatLeaseModule: Contribution<AnyObject> = contribute<SnatLease>({
  claims: (lease) => [
    ...(lease.first_ports.length === 0 ? [] : [senderClaim(lease)]),
    ...blocksOf(lease).map((firstPort) => blockClaim(lease, firstPort)),
  ],
});

/** First ports of all blocks that nobody else may have. */
export function blocksOf({ first_ports: held, resting }: SnatLease): readonly number[] {
  return [...held, ...resting.map(({ first_port: firstPort }) => firstPort)];
}

/** A port has one lease of a router's ports. */
function senderClaim({ router_id: routerId, port_id: portId }: SnatLease): Claim {
  return {
    kind: 'snat_sender',
    value: `${routerId}/${portId}`,
    holder: (look) =>
      look.by('snat_lease', 'port_id', portId).find((one) => one.router_id === routerId && one.first_ports.length > 0)
        ?.id,
    taken: (holder) => new CableError('HTTPConflict', `Port ${portId} has lease ${holder} of router ${routerId}.`),
  };
}

function blockClaim({ network_id: networkId, external_address: address }: SnatLease, firstPort: number): Claim {
  return {
    kind: 'snat_block',
    value: `${networkId}/${address}/${firstPort}`,
    holder: (look) =>
      look
        .by('snat_lease', 'external_address', address)
        .find((one) => one.network_id === networkId && blocksOf(one).includes(firstPort))?.id,
    taken: (holder) =>
      new CableError('HTTPConflict', `Ports from ${firstPort} of ${address} on are those of lease ${holder}.`),
  };
}
