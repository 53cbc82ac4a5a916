import type { GuestAddress, GuestRecord } from '../desired.ts';
import { guestRoutes } from './dhcp-options.ts';
import { containsIpv4, formatIpv4, netmaskOf, parseIpv4, parseIpv4Cidr } from './ipv4.ts';

/** What a metadata path leads to. */
export type MetadataNode = { readonly contentType: string; readonly body: Uint8Array };

/** A directory of metadata: values are leaves (text, JSON, bytes) or directories. */
type Tree = { readonly [name: string]: Leaf | Tree };
type Leaf = { readonly kind: 'leaf' } & MetadataNode;

/** Versions that the clients ask for; every one of them has the same content. cloud-init wants these of Amazon's. */
const EC2_VERSIONS = ['1.0', '2007-01-19', '2007-03-01', '2007-12-15', '2008-02-01', '2008-09-01', '2009-04-04'];
/** Nova's versions, those that cloud-init and cloudbase-init know. */
const OPENSTACK_VERSIONS = [
  '2012-08-10',
  '2013-04-04',
  '2013-10-17',
  '2015-10-15',
  '2016-06-30',
  '2016-10-06',
  '2017-02-22',
  '2018-08-27',
  '2020-10-14',
];

/**
 * The document at `path` for this guest; a directory is a listing, one name a line, directories with a slash, as Amazon's and
 * Nova's services answer. Undefined: there is none. `path` starts with a slash and has no query.
 */
export function metadataAt(guest: GuestRecord, path: string): MetadataNode | undefined {
  const names = path.split('/').filter((name) => name !== '');
  if (names.length > 12) return undefined;
  let node: Leaf | Tree = rootTree(guest);
  for (const name of names) {
    if (isLeaf(node) || !Object.hasOwn(node, name)) return undefined;
    const next: Leaf | Tree | undefined = node[name];
    if (next === undefined) return undefined;
    node = next;
  }
  if (isLeaf(node)) return path.endsWith('/') ? undefined : node;
  return text(listing(node, names.length));
}

/** The root and `/openstack` list versions without slashes: clients compare the lines with the versions that they know. */
function listing(tree: Tree, depth: number): string {
  const versions = depth === 0 || Object.hasOwn(tree, 'latest');
  return Object.entries(tree)
    .filter(([name]) => depth !== 0 || name !== 'openstack')
    .map(([name, node]) => (isLeaf(node) || versions ? name : `${name}/`))
    .join('\n');
}

function rootTree(guest: GuestRecord): Tree {
  const userData = decodeUserData(guest);
  const ec2: Tree = { 'meta-data': ec2Tree(guest), ...(userData === undefined ? {} : { 'user-data': userData }) };
  const openstack: Tree = {
    'meta_data.json': json(metaData(guest)),
    'network_data.json': json(networkData(guest)),
    ...(userData === undefined ? {} : { user_data: userData }),
  };
  return {
    ...Object.fromEntries([...EC2_VERSIONS, 'latest'].map((version) => [version, ec2])),
    openstack: Object.fromEntries([...OPENSTACK_VERSIONS, 'latest'].map((version) => [version, openstack])),
  };
}

function ec2Tree(guest: GuestRecord): Tree {
  const addresses = ipv4Addresses(guest);
  const first = addresses[0];
  const mac = guest.macAddress.toLowerCase();
  return {
    'instance-id': text(instanceId(guest)),
    hostname: text(guest.hostname),
    'local-hostname': text(guest.hostname),
    ...(first === undefined ? {} : { 'local-ipv4': text(first.ipAddress) }),
    mac: text(mac),
    network: { interfaces: { macs: { [mac]: interfaceTree(guest, addresses) } } },
  };
}

function interfaceTree(guest: GuestRecord, addresses: readonly GuestAddress[]): Tree {
  const first = addresses[0];
  return {
    'device-number': text('0'),
    'interface-id': text(guest.portId),
    mac: text(guest.macAddress.toLowerCase()),
    'local-hostname': text(guest.hostname),
    ...(first === undefined
      ? {}
      : {
          'local-ipv4s': text(addresses.map((one) => one.ipAddress).join('\n')),
          'subnet-id': text(first.subnetId),
          'subnet-ipv4-cidr-block': text(first.cidr),
        }),
  };
}

/** Nova's `meta_data.json`, those members that a port can answer for. */
function metaData(guest: GuestRecord): object {
  return {
    uuid: instanceId(guest),
    name: guest.hostname,
    hostname: guest.hostname,
    project_id: guest.projectId,
    launch_index: 0,
    meta: {},
  };
}

/** Nova's `network_data.json`, of IPv4 addresses. */
function networkData(guest: GuestRecord): object {
  const link = `tap${guest.portId.slice(0, 11)}`;
  const addresses = ipv4Addresses(guest);
  const servers = new Set(addresses.flatMap((one) => one.dnsNameservers).filter((one) => parseIpv4(one) !== undefined));
  return {
    links: [
      {
        id: link,
        vif_id: guest.portId,
        type: 'tap',
        ethernet_mac_address: guest.macAddress.toLowerCase(),
        mtu: guest.mtuBytes,
      },
    ],
    networks: addresses.map((address, index) => networkOf(guest, link, address, index)),
    services: [...servers].map((address) => ({ type: 'dns', address })),
  };
}

function networkOf(guest: GuestRecord, link: string, address: GuestAddress, index: number): object {
  const common = { id: `network${index}`, link, network_id: guest.networkId };
  if (address.enableDhcp && index === 0) return { ...common, type: 'ipv4_dhcp' };
  const cidr = parseIpv4Cidr(address.cidr);
  return {
    ...common,
    type: 'ipv4',
    ip_address: address.ipAddress,
    netmask: formatIpv4(netmaskOf(cidr?.prefixLength ?? 32)),
    routes: guestRoutes(address)
      .filter((route) => route.nexthop !== 0)
      .filter((route) => cidr === undefined || containsIpv4(cidr, route.nexthop))
      .map((route) => ({
        network: formatIpv4(route.destination),
        netmask: formatIpv4(netmaskOf(route.prefixLength)),
        gateway: formatIpv4(route.nexthop),
      })),
  };
}

function ipv4Addresses(guest: GuestRecord): readonly GuestAddress[] {
  return guest.addresses.filter((one) => parseIpv4(one.ipAddress) !== undefined);
}

function instanceId(guest: GuestRecord): string {
  return guest.deviceId === '' ? guest.portId : guest.deviceId;
}

/** The decoded user data; undefined when the port has none or it is not base64. */
function decodeUserData(guest: GuestRecord): Leaf | undefined {
  const encoded = guest.userData?.replaceAll(/\s/g, '');
  if (encoded === undefined || encoded === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined;
  return { kind: 'leaf', contentType: 'application/octet-stream', body: Buffer.from(encoded, 'base64') };
}

function isLeaf(node: Leaf | Tree): node is Leaf {
  return 'kind' in node && node['kind'] === 'leaf';
}

function text(value: string): Leaf {
  return { kind: 'leaf', contentType: 'text/plain; charset=utf-8', body: Buffer.from(value) };
}

function json(value: object): Leaf {
  return { kind: 'leaf', contentType: 'application/json', body: Buffer.from(JSON.stringify(value)) };
}
