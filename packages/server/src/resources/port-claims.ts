import { CableError, type Port } from '@cable/model';
import type { Claim, ClaimName } from '../engine/module.ts';

/** An address, once a subnet. */
export function addressName(subnetId: string, address: string): ClaimName {
  return { kind: 'ip', value: address, under: { type: 'subnet', id: subnetId } };
}

/** The same, with who has it. */
export function addressClaim(subnetId: string, address: string): Claim {
  return {
    ...addressName(subnetId, address),
    holder: (look) => look.addressHolder(subnetId, address),
    taken: () =>
      new CableError('IpAddressAlreadyAllocated', `IP address ${address} already allocated in subnet ${subnetId}`, {
        fields: { ip: address, subnetId },
      }),
  };
}

/** A MAC address, once a network. */
export function macName(networkId: string, mac: string): ClaimName {
  return { kind: 'mac', value: mac, under: { type: 'network', id: networkId } };
}

/** What a port has of its network and its subnets. */
export function claimsOfPort(port: Port): readonly Claim[] {
  const { network_id, mac_address } = port;
  const mac: Claim = {
    ...macName(network_id, mac_address),
    holder: (look) => look.by('port', 'mac_address', mac_address).find((one) => one.network_id === network_id)?.id,
    taken: () =>
      new CableError(
        'MacAddressInUse',
        `Unable to complete operation for network ${network_id}. The mac address ${mac_address} is in use.`,
        { fields: { mac: mac_address, networkId: network_id } },
      ),
  };
  return [mac, ...port.fixed_ips.map((fixed) => addressClaim(fixed.subnet_id, fixed.ip_address))];
}
