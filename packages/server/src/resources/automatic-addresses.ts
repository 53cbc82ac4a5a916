/** Ports of a network follow its subnets of SLAAC: each has the address that such a subnet gives, from its creation to its end. */
import type { AnyObject, Port, Subnet } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { keyOfClaim } from '../engine/keys-of.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { planUpdate } from '../engine/write.ts';
import { claimsUnderPrefix } from '../keys.ts';
import { hasAutomatic } from './port-addresses.ts';
import { macName } from './port-claims.ts';
import { isAutomatic } from './subnet-modes.ts';

export const automaticAddressesModule: Contribution<AnyObject> = contribute<Subnet>({
  created: (planning, subnet) => {
    if (isAutomatic(subnet)) giveAddresses(planning, subnet);
  },
  remove: (planning, subnet) => {
    if (isAutomatic(subnet)) takeAddresses(planning, subnet);
  },
});

/** A port that comes meanwhile compares the network, which the subnet revises; one that came before and is not known yet has a MAC of the network. */
function giveAddresses(planning: Planning, { network_id: id }: Subnet): void {
  const { plan } = planning;
  const ports = plan.by('port', 'network_id', id);
  const { kind } = macName(id, '');
  const claims = ports.map((port) => keyOfClaim(macName(id, port.mac_address)));
  plan.requireEmpty(claimsUnderPrefix('network', id, kind), claims);
  for (const port of ports) if (hasAutomatic(port)) changeAddresses(planning, port, [...port.fixed_ips]);
}

/** A router's leg stays, and so keeps the subnet. */
function takeAddresses(planning: Planning, subnet: Subnet): void {
  const { plan } = planning;
  // Ports have the addresses of the subnets that there are.
  plan.delete('subnet', subnet.id);
  for (const port of plan.by('port', 'network_id', subnet.network_id)) {
    const others = port.fixed_ips.filter((one) => one.subnet_id !== subnet.id);
    if (others.length < port.fixed_ips.length && hasAutomatic(port)) changeAddresses(planning, port, others);
  }
}

function changeAddresses(planning: Planning, port: Port, fixedIps: Port['fixed_ips']): void {
  const resource = planning.deps.resources.named('port');
  planUpdate({ ...planning, isService: true }, resource, port, { fixed_ips: fixedIps });
}
