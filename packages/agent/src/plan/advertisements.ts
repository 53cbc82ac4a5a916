import { DEFAULT_DNS_DOMAIN, type LocalPort, type NetworkHeader, type SubnetState } from '@cable/model';
import type { RaNetwork } from '../desired.ts';
import { linkLocalOf, parseMac } from './address.ts';
import type { PortSubnet } from './port-subnets.ts';
import type { LocalLeg } from './router-legs.ts';
import type { PlanReader } from './unit.ts';

/** The router that a port's guest is to send to in IPv6. `linkLocal`: what it sends its advertisements from. */
export type Router6 = {
  readonly linkLocal: Uint8Array;
  /** What it advertises; null: no subnet of the port wants that. */
  readonly advertisement: RaNetwork | null;
};

/**
 * The interface in an IPv6 subnet of the port: by the order of its addresses, then of the interfaces' names. Undefined: none is in any of them.
 * It advertises the port's own subnets alone: of another the guest would make an address that anti-spoofing drops.
 */
export function router6Of(
  port: LocalPort,
  network: NetworkHeader,
  subnets: readonly PortSubnet[],
  reader: PlanReader,
): Router6 | undefined {
  const legs = reader.sortedFacts('leg-in', port.networkId).map(({ value }) => value);
  const routed = ipv6Subnets(subnets).flatMap((subnet) => {
    const leg = legs.find(({ subnetId, macAddress }) => subnetId === subnet.id && parseMac(macAddress) !== undefined);
    return leg === undefined ? [] : [{ subnet, leg }];
  });
  const mac = routed[0] === undefined ? undefined : parseMac(routed[0].leg.macAddress);
  return mac === undefined ? undefined : { linkLocal: linkLocalOf(mac), advertisement: advertisement(network, routed) };
}

/** Each once: a port may have several addresses in one. */
function ipv6Subnets(subnets: readonly PortSubnet[]): readonly SubnetState[] {
  return [...new Set(subnets.map(({ subnet }) => subnet))].filter(({ ipVersion }) => ipVersion === 6);
}

function advertisement(
  network: NetworkHeader,
  routed: readonly { readonly subnet: SubnetState; readonly leg: LocalLeg }[],
): RaNetwork | null {
  const wanted = routed.filter(({ subnet }) => subnet.ipv6RaMode !== undefined);
  if (wanted.length === 0) return null;
  return {
    routerMac: routed[0]?.leg.macAddress ?? '',
    isDefaultRouter: wanted.some(({ subnet }) => subnet.gatewayIp !== null),
    mtuBytes: network.mtuBytes,
    subnets: wanted.map(({ subnet }) => ({
      cidr: subnet.cidr,
      gatewayIp: subnet.gatewayIp,
      raMode: subnet.ipv6RaMode ?? null,
      dnsNameservers: subnet.dnsNameservers,
      hostRoutes: subnet.hostRoutes,
    })),
    domainSearch: [domainOf(network)],
  };
}

/** Domain of the network's names, without a dot at its end. */
export function domainOf({ dnsDomain }: NetworkHeader): string {
  return (dnsDomain ?? DEFAULT_DNS_DOMAIN).replace(/\.$/, '');
}
