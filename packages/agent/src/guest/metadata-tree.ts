import type { GuestRecord } from '../desired.ts';
import { ipv4Addresses, type MachinePort, networkData } from './metadata-network.ts';

/** What a metadata path leads to. */
export type MetadataNode = { readonly contentType: string; readonly body: Uint8Array };

/** What a document may need besides the guest itself. */
export type MetadataContext = {
  /** All ports of the guest's machine, the guest's own among them. */
  readonly machine: () => readonly MachinePort[];
  /** Told where a subnet names no name server; null: none. */
  readonly nameServer: string | null;
  /** So many random bytes. */
  readonly randomBytes: (count: number) => Uint8Array;
};

/** A directory of metadata, made only if the path leads into it. `listing`: its lines; absent: the names, directories with a slash. */
type Directory = {
  readonly kind: 'directory';
  readonly entries: () => Entries;
  readonly listing?: readonly string[];
};
type Entries = Readonly<Record<string, Node>>;
type Leaf = { readonly kind: 'leaf'; readonly contentType: string; readonly body: () => Uint8Array };
type Node = Directory | Leaf;

/** Versions of Amazon's tree that Nova serves; all of them but `latest` by their place in time. */
const EC2_VERSIONS = [
  '1.0',
  '2007-01-19',
  '2007-03-01',
  '2007-08-29',
  '2007-10-10',
  '2007-12-15',
  '2008-02-01',
  '2008-09-01',
  '2009-04-04',
];

/** Nova's versions of its own tree. */
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

/** Longest path, in names. */
const MAX_DEPTH = 12;
const RANDOM_SEED_BYTES = 512;

/**
 * The document at `path` for this guest; a directory is a listing, one name a line, directories with a slash, as Amazon's and
 * Nova's services answer. Undefined: there is none. `path` starts with a slash and has no query.
 */
export function metadataAt(guest: GuestRecord, path: string, context: MetadataContext): MetadataNode | undefined {
  const names = path.split('/').filter((name) => name !== '');
  if (names.length > MAX_DEPTH) return undefined;
  let node: Node = rootOf(guest, context);
  for (const name of names) {
    const entries: Entries = node.kind === 'directory' ? node.entries() : {};
    const next = Object.hasOwn(entries, name) ? entries[name] : undefined;
    if (next === undefined) return undefined;
    node = next;
  }
  if (node.kind === 'directory') return { contentType: TEXT, body: Buffer.from(linesOf(node).join('\n')) };
  return path.endsWith('/') ? undefined : { contentType: node.contentType, body: node.body() };
}

function linesOf({ entries, listing }: Directory): readonly string[] {
  return listing ?? Object.entries(entries()).map(([name, node]) => (node.kind === 'leaf' ? name : `${name}/`));
}

/** The root and `/openstack` list versions without slashes: clients compare the lines with the versions that they know. */
function rootOf(guest: GuestRecord, context: MetadataContext): Node {
  const ec2 = [...EC2_VERSIONS, 'latest'];
  const openstack = [...OPENSTACK_VERSIONS, 'latest'];
  const versions: Directory = {
    kind: 'directory',
    entries: () => byName(openstack, (version) => openstackVersion(guest, version, context)),
    listing: openstack,
  };
  const entries = (): Entries => ({ ...byName(ec2, (version) => ec2Version(guest, version)), openstack: versions });
  return { kind: 'directory', entries, listing: ec2 };
}

function byName(names: readonly string[], make: (name: string) => Node): Entries {
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}

function ec2Version(guest: GuestRecord, version: string): Directory {
  return directory(() => {
    const userData = userDataOf(guest);
    const metaData = directory(() => ec2MetaData(guest, version));
    return { 'meta-data': metaData, ...(userData === undefined ? {} : { 'user-data': userData }) };
  });
}

function ec2MetaData(guest: GuestRecord, version: string): Entries {
  const since = (first: string, entries: Entries): Entries => (version === 'latest' || version >= first ? entries : {});
  const [first] = ipv4Addresses(guest);
  const mac = guest.macAddress.toLowerCase();
  const macs = directory(() => ({ [mac]: interfaceOf(guest) }));
  return {
    'instance-id': text(instanceId(guest)),
    hostname: text(guest.hostname),
    ...since('2007-01-19', { 'local-hostname': text(guest.hostname), 'public-hostname': text(guest.hostname) }),
    ...(first === undefined ? {} : { 'local-ipv4': text(first.ipAddress) }),
    'ami-launch-index': text('0'),
    ...(guest.publicKeys.length === 0 ? {} : { 'public-keys': publicKeys(guest) }),
    ...since('2008-09-01', { 'instance-action': text('none') }),
    mac: text(mac),
    network: directory(() => ({ interfaces: directory(() => ({ macs })) })),
  };
}

/** Amazon's way: a line `0=name` for each key, which is at `0/openssh-key`. */
function publicKeys({ publicKeys }: GuestRecord): Directory {
  const entries = publicKeys.map(
    ({ publicKey }, index) => [String(index), directory(() => ({ 'openssh-key': text(publicKey) }))] as const,
  );
  return {
    kind: 'directory',
    entries: () => Object.fromEntries(entries),
    listing: publicKeys.map(({ name }, index) => `${index}=${name}`),
  };
}

function interfaceOf(guest: GuestRecord): Directory {
  const addresses = ipv4Addresses(guest);
  const [first] = addresses;
  return directory(() => ({
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
  }));
}

/** The documents of one of Nova's versions, in Nova's order; its `password` is Nova's alone. */
function openstackVersion(guest: GuestRecord, version: string, context: MetadataContext): Directory {
  const isSince = (first: string): boolean => version === 'latest' || version >= first;
  const since = (first: string, entries: Entries): Entries => (isSince(first) ? entries : {});
  const vendorData = guest.vendorData ?? {};
  return directory(() => {
    const userData = userDataOf(guest);
    return {
      'meta_data.json': json(() => metaData(guest, isSince, context)),
      ...(userData === undefined ? {} : { user_data: userData }),
      ...since('2013-10-17', { 'vendor_data.json': json(() => vendorData) }),
      ...since('2015-10-15', { 'network_data.json': json(() => networkData(context.machine(), context.nameServer)) }),
      ...since('2016-10-06', { 'vendor_data2.json': json(() => ({ static: vendorData })) }),
    };
  });
}

/** Nova's `meta_data.json`, those members that a port can answer for. */
function metaData(guest: GuestRecord, isSince: (first: string) => boolean, context: MetadataContext): object {
  const keys = guest.publicKeys;
  return {
    uuid: instanceId(guest),
    name: guest.hostname,
    hostname: guest.hostname,
    launch_index: 0,
    meta: {},
    ...(keys.length === 0
      ? {}
      : {
          public_keys: Object.fromEntries(keys.map(({ name, publicKey }) => [name, publicKey])),
          keys: keys.map(({ name, publicKey }) => ({ name, type: 'ssh', data: publicKey })),
        }),
    ...(isSince('2013-04-04')
      ? { random_seed: Buffer.from(context.randomBytes(RANDOM_SEED_BYTES)).toString('base64') }
      : {}),
    ...(isSince('2015-10-15') ? { project_id: guest.projectId } : {}),
  };
}

function instanceId(guest: GuestRecord): string {
  return guest.deviceId === '' ? guest.portId : guest.deviceId;
}

/** The decoded user data; undefined when the port has none. That it is base64 the server has seen to. */
function userDataOf({ userData }: GuestRecord): Leaf | undefined {
  const encoded = userData ?? '';
  if (!/\S/.test(encoded)) return undefined;
  return { kind: 'leaf', contentType: 'application/octet-stream', body: () => Buffer.from(encoded, 'base64') };
}

const TEXT = 'text/plain; charset=utf-8';

function directory(entries: () => Entries): Directory {
  return { kind: 'directory', entries };
}

function text(value: string): Leaf {
  return { kind: 'leaf', contentType: TEXT, body: () => Buffer.from(value) };
}

function json(value: () => object): Leaf {
  return { kind: 'leaf', contentType: 'application/json', body: () => Buffer.from(JSON.stringify(value())) };
}
