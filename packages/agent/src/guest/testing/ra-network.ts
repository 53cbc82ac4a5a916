import type { RaNetwork, RaSubnet } from '../../desired.ts';

export function raSubnet(changes: Partial<RaSubnet> = {}): RaSubnet {
  return {
    cidr: '2001:db8::/64',
    gatewayIp: '2001:db8::1',
    raMode: 'slaac',
    dnsNameservers: ['2001:db8::53'],
    hostRoutes: [],
    ...changes,
  };
}

export function raNetwork(changes: Partial<RaNetwork> = {}): RaNetwork {
  return {
    routerMac: 'fa:16:3e:ca:b1:e0',
    isDefaultRouter: true,
    mtuBytes: 1450,
    subnets: [raSubnet()],
    domainSearch: ['example.org'],
    ...changes,
  };
}
