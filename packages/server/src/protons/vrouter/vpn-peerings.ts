/** Routers that hosts exchange routes of VPNs with: the stored type. */
import { type AnyObject, CableError, type VpnPeering } from '@cable/model';
import type { Claim, Contribution } from '../../engine/module.ts';
import { contribute } from '../../engine/module.ts';

/** One host speaks to one router once: bgpd knows it by its address. */
function peerClaim({ proton, local_address, peer_address }: VpnPeering): Claim {
  return {
    ...{ kind: 'vpn-peer', value: `${proton} ${local_address ?? ''} ${peer_address}` },
    holder: (look) =>
      look
        .by('vpn_peering', 'peer_address', peer_address)
        .find((one) => one.proton === proton && one.local_address === local_address)?.id,
    taken: () =>
      new CableError(
        'HTTPConflict',
        `There is a peering of ${local_address ?? 'all hosts'} with ${peer_address} already.`,
        {
          detail: 'Change or delete that one.',
        },
      ),
  };
}

/** Peerings. */
export const vpnPeeringModule: Contribution<AnyObject> = contribute<VpnPeering>({
  claims: (peering) => [peerClaim(peering)],
});
