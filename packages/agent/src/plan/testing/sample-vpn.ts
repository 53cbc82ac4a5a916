/** Slices of an L3VPN for tests, as the compiler makes them. */
import { type LocalPort, VPN_FIRST_LABEL, VPN_WIRE, type VpnHeader, type VpnPlace } from '@cable/model';
import {
  legKey,
  type SampleSlice,
  sampleEndpoint,
  sampleId,
  sampleLeg,
  sampleNetwork,
  sampleRouter,
  sampleSubnet,
} from './sample.ts';

/** A port of the VPN, and where it is. */
export type SampleVpnPort = { readonly port: LocalPort; readonly host: string; readonly underlay: string | null };

/** Label of VPN number `n`. */
export function sampleLabel(n: number): number {
  return VPN_FIRST_LABEL + 100 + n;
}

/** Prefixes of VPN number `n` without their last parts: below 10 all have the same. */
export function sampleSite(n: number): { readonly four: string; readonly six: string } {
  return n < 10 ? { four: '10.0.0', six: '2001:db8:1::' } : { four: `10.${n}.0`, six: `2001:db8:${n}::` };
}

/** VPN number `n` with network and router of that number, and a subnet of each version of IP (`sampleSite`). */
export function sampleVpn(
  n: number,
  ports: readonly SampleVpnPort[],
  fields: Partial<VpnHeader> & { readonly mtuBytes?: number; readonly more?: ReadonlyMap<string, VpnPlace> } = {},
): readonly SampleSlice[] {
  const { mtuBytes = 1400, more = new Map(), ...header } = fields;
  const [networkId, routerId] = [sampleId('net', n), sampleId('rtr', n)];
  const site = sampleSite(n);
  const four = { ...sampleSubnet(n), cidr: `${site.four}.0/24`, gatewayIp: `${site.four}.254` };
  const six = {
    ...sampleSubnet(n + 1000),
    ipVersion: 6,
    cidr: `${site.six}/64`,
    gatewayIp: `${site.six}fe`,
  } as const;
  const legs = [four, six].map(({ id, cidr, gatewayIp }) => {
    return { ...sampleLeg(n, n), portId: id, subnetId: id, cidr, ipAddress: gatewayIp };
  });
  const places = ports.map(({ port, host, underlay }): readonly [string, VpnPlace] => {
    const prefixes = port.fixedIps.map(({ ipAddress: one }) => `${one}/${one.includes(':') ? 128 : 32}`);
    return [port.id, { host, underlay, prefixes, macAddress: port.macAddress }];
  });
  const id = sampleId('vpn', n);
  const vpn: VpnHeader = {
    ...{ id, name: `vpn-${n}`, projectId: 'project', networkId, routerId, label: sampleLabel(n) },
    ...{ routeDistinguisher: `65000:${n}`, importTargets: [`65000:${n}`], exportTargets: [`65000:${n}`] },
    ...header,
  };
  return [
    ...sampleNetwork(
      n,
      { subnets: [four, six], wire: { physicalNetwork: VPN_WIRE, segmentationId: n }, mtuBytes },
      ports.map(({ port, host, underlay }) => sampleEndpoint(port, host, underlay)),
    ),
    { ...sampleRouter(n, []), items: new Map(legs.map((leg) => [legKey(leg), leg])) },
    { key: `vpn:${id}`, header: vpn, items: new Map([...places, ...more]) },
  ];
}
