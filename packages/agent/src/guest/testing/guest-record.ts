import type { GuestAddress, GuestRecord } from '../../desired.ts';

/** 10.0.0.5 in 10.0.0.0/24 with a gateway, DHCP and a name server. */
export function guestAddress(changes: Partial<GuestAddress> = {}): GuestAddress {
  return {
    ipAddress: '10.0.0.5',
    subnetId: '5b0a1a5e-0000-4000-8000-000000000001',
    ipVersion: 4,
    cidr: '10.0.0.0/24',
    gatewayIp: '10.0.0.1',
    enableDhcp: true,
    addressMode: null,
    dhcpServer: '10.0.0.1',
    dnsNameservers: ['10.0.0.53'],
    hostRoutes: [],
    linkCidrs: [],
    ...changes,
  };
}

export function guestRecord(changes: Partial<GuestRecord> = {}): GuestRecord {
  return {
    vif: 2,
    isHere: true,
    portId: '0d1e2f30-1111-4222-8333-444455556666',
    projectId: 'tenant',
    networkId: '9a9a9a9a-0000-4000-8000-000000000001',
    macAddress: 'fa:16:3e:00:00:05',
    mtuBytes: 1450,
    hostname: 'web-1',
    deviceId: '',
    deviceOwner: '',
    trunk: null,
    userData: null,
    publicKeys: [],
    vendorData: null,
    dnsDomain: 'example.org',
    extraDhcpOptions: [],
    extraDhcp6Options: [],
    advertisement: null,
    addresses: [guestAddress()],
    ...changes,
  };
}
