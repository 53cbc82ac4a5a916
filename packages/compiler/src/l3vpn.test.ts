import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VPN_WIRE } from '@cable/model';
import { type VpnDescription, type VpnPort, type VpnSubnet, vpnSlices } from './l3vpn.ts';

function port(n: number, fields: Partial<VpnPort> = {}): VpnPort {
  return {
    ...{ id: `p${n}`, macAddress: `fa:16:3e:00:00:0${n}`, ipAddresses: [`10.0.0.${n}`, `2001:db8::${n}`] },
    ...{ host: `h${n}`, underlay: `192.0.2.${n}` },
    ...fields,
  };
}

function vpn(id: string, fields: Partial<VpnDescription> = {}): VpnDescription {
  const subnet: VpnSubnet = {
    ...{
      id: `s-${id}`,
      cidr: '10.0.0.0/24',
      ipVersion: 4 as const,
      gatewayIp: '10.0.0.254',
      gatewayMac: 'fa:16:3e:00:00:fe',
    },
    ...{ enableDhcp: true, dnsNameservers: [], hostRoutes: [] },
  } as const;
  return {
    ...{
      id,
      name: id,
      projectId: 'p',
      networkId: `n-${id}`,
      routerId: `r-${id}`,
      label: 117,
      segmentationId: 7,
      vni: 7,
    },
    ...{ mtuBytes: 1468, routeDistinguisher: '65000:1', importTargets: ['65000:1'], exportTargets: ['65000:1'] },
    ...{ subnets: [subnet], ports: [port(1), port(2)] },
    ...fields,
  };
}

test('a VPN is a network on the wire of VPNs, a router with its gateways, and its places', () => {
  const { network, router, vpn: slice, endpoints } = vpnSlices(vpn('blue'));
  assert.deepEqual(network.header.wire, { physicalNetwork: VPN_WIRE, segmentationId: 7 });
  assert.deepEqual(
    [...router.items.values()].map(({ ipAddress, macAddress }) => [ipAddress, macAddress]),
    [['10.0.0.254', 'fa:16:3e:00:00:fe']],
  );
  assert.deepEqual(slice.items.get('p2'), {
    ...{ host: 'h2', underlay: '192.0.2.2', macAddress: 'fa:16:3e:00:00:02' },
    prefixes: ['10.0.0.2/32', '2001:db8::2/128'],
  });
  assert.deepEqual([...endpoints.items.keys()], ['p1', 'p2']);
  assert.ok(!('gatewayMac' in (network.header.subnets[0] ?? {})));
});

test('another VPN’s ports are places where it exports what this one imports, with its label', () => {
  const red = vpn('red', { label: 118, exportTargets: ['65000:2'], importTargets: [], ports: [port(3)] });
  const blue = vpn('blue', { importTargets: ['65000:1', '65000:2'] });
  const place = vpnSlices(blue, [red, blue]).vpn.items.get('red/p3');
  assert.deepEqual(place, {
    host: 'h3',
    underlay: '192.0.2.3',
    prefixes: ['10.0.0.3/32', '2001:db8::3/128'],
    label: 118,
  });
  assert.deepEqual([...vpnSlices(red, [blue]).vpn.items.keys()], ['p3']);
});

test('the order of its parts does not matter', () => {
  const targets = ['65000:9', '65000:1', '65000:9'];
  const [one, other] = [
    vpnSlices(vpn('blue', { importTargets: targets, ports: [port(1), port(2), port(4)] })),
    vpnSlices(vpn('blue', { importTargets: [...targets].reverse(), ports: [port(4), port(2), port(1)] })),
  ];
  const textOf = (slices: ReturnType<typeof vpnSlices>): string =>
    JSON.stringify(slices, (_, value) => (value instanceof Map ? [...value] : value));
  assert.equal(textOf(one), textOf(other));
  assert.deepEqual(one.vpn.header.importTargets, ['65000:1', '65000:9']);
});
