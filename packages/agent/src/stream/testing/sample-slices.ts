import type { Endpoint, LocalPort } from '@cable/model';
import type { FakeSlice } from '../../testing/fake-server.ts';

/** For tests of the stream: small slices, made from numbers. */

export function uuid(n: number): string {
  return `${n.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
}

export function endpoint(n: number, host = 'h1'): Endpoint {
  return {
    portId: uuid(n),
    macAddress: 'fa:16:3e:00:00:01',
    ipAddresses: [`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`],
    host,
    underlay: '192.0.2.1',
  };
}

export function localPort(n: number): LocalPort {
  return {
    id: uuid(n),
    name: `port-${n}`,
    projectId: 'project',
    networkId: uuid(1),
    macAddress: 'fa:16:3e:00:00:01',
    adminStateUp: true,
    vifKind: 'tap',
    deviceId: '',
    deviceOwner: '',
    fixedIps: [{ subnetId: uuid(2), ipAddress: '10.0.0.1' }],
    allowedAddressPairs: [],
    portSecurityEnabled: true,
    policy: 'policy:',
    hostname: `port-${n}`,
    userData: null,
  };
}

export function endpointsSlice(network: number, count: number): FakeSlice {
  const items = Array.from({ length: count }, (_, i) => endpoint(network * 100_000 + i));
  return {
    key: `endpoints:${uuid(network)}`,
    header: { networkId: uuid(network) },
    items: new Map(items.map((item) => [item.portId, item])),
  };
}

export function hostSlice(count: number): FakeSlice {
  const ports = Array.from({ length: count }, (_, i) => localPort(i));
  return { key: 'host:h1', header: { host: 'h1' }, items: new Map(ports.map((port) => [port.id, port])) };
}
