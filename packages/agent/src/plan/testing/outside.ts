/** For tests: an external network, a router's gateway in it, and a port behind that on either host. */
import type { LocalPort, RouterGateway } from '@cable/model';
import { type SampleSlice, sampleId, sampleMac, sampleNetwork, samplePort, sampleSubnet } from './sample.ts';

export const OUTSIDE: number = 9;
export const HERE: LocalPort = samplePort(5);
export const AWAY: LocalPort = samplePort(7);

export const EXTERNAL: readonly SampleSlice[] = sampleNetwork(OUTSIDE, {
  external: true,
  mtuBytes: 1500,
  wire: { physicalNetwork: 'physnet1', segmentationId: 100 },
  subnets: [sampleSubnet(OUTSIDE, { cidr: '203.0.113.0/24', gatewayIp: '203.0.113.1' })],
});

export const GATEWAY: RouterGateway = {
  portId: sampleId('gw', 1),
  networkId: sampleId('net', OUTSIDE),
  macAddress: sampleMac(0x99),
  fixedIps: [{ subnetId: sampleId('sub', OUTSIDE), ipAddress: '203.0.113.9' }],
  enableSnat: true,
  transitVni: 777,
  host: 'h1',
  underlay: '192.0.2.1',
};
