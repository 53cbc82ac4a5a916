/**
 * What the annotations of a pod ask for, of its first interface or of a further one. Those of Kube-OVN are read as ours; where both are there, ours count.
 */
import { formatIp, parseIp, parseMac } from '@cable/model';
import { type IpPool, parsePool } from './ip-pool.ts';
import { type PodFacts, VPC_ADDRESS } from './pod-facts.ts';
import { quoted, WishError } from './wish-error.ts';

export type PodWishes = {
  /** Name or ID of a network; undefined: the cluster's own. */
  readonly network?: string;
  /** Name or ID of a subnet: addresses come from there. */
  readonly subnet?: string;
  /** One of each version of IP at the most. */
  readonly ipAddresses: readonly string[];
  /** Of which the pod has one place, where it has no `ipAddresses`. */
  readonly pool?: IpPool;
  readonly macAddress?: string;
  /** Names or IDs; undefined: none. */
  readonly securityGroups?: readonly string[];
  readonly rates: Rates;
  /** Name or ID of who watches; true: whoever does in its project; undefined: nobody gets copies. */
  readonly mirror?: string | true;
  /** False: it may send from any address. Undefined: as its network has it. */
  readonly portSecurity?: boolean;
  /** Addresses, prefixes, and names or IDs of ports that keep an address: it may send from these, too. */
  readonly pairs?: readonly string[];
  /** Undefined: it has the default route if nobody came before. */
  readonly defaultRoute?: boolean;
};

/** A further interface of a pod: of which NetworkAttachmentDefinition, and its name in the pod. */
export type FurtherInterface = { readonly namespace: string; readonly name: string; readonly interfaceName: string };

/** Thousands of bits a second that the pod may receive and send; 0: as much as it likes. */
export type Rates = { readonly ingressKbps: number; readonly egressKbps: number };

/** Annotations by what they say: ours, and Kube-OVN's. */
const NAMES = {
  network: ['cable.io/network'],
  subnet: ['cable.io/subnet', 'ovn.kubernetes.io/logical_switch'],
  ipAddress: ['cable.io/ip-address', 'ovn.kubernetes.io/ip_address'],
  pool: ['cable.io/ip-pool', 'ovn.kubernetes.io/ip_pool'],
  macAddress: ['cable.io/mac-address', 'ovn.kubernetes.io/mac_address'],
  securityGroups: ['cable.io/security-groups', 'ovn.kubernetes.io/security_groups'],
  ingressRate: ['cable.io/ingress-rate', 'kubernetes.io/ingress-bandwidth', 'ovn.kubernetes.io/ingress_rate'],
  egressRate: ['cable.io/egress-rate', 'kubernetes.io/egress-bandwidth', 'ovn.kubernetes.io/egress_rate'],
  mirror: ['cable.io/mirror', 'ovn.kubernetes.io/mirror'],
  portSecurity: ['cable.io/port-security', 'ovn.kubernetes.io/port_security'],
  pairs: ['cable.io/allowed-address-pairs', 'ovn.kubernetes.io/aaps'],
  defaultRoute: ['cable.io/default-route', 'ovn.kubernetes.io/default_route'],
} as const;

/** What an annotation may ask for. */
export type Wish = keyof typeof NAMES;

/** Name of the annotation by which a pod asks for it, of its first interface or of a further one; undefined: it does not. */
export function annotationOf(
  { annotations }: Pick<PodFacts, 'annotations'>,
  wish: Wish,
  further?: FurtherInterface,
): string | undefined {
  return givenIn(annotations, namesOf(wish, further))?.name;
}

/**
 * The same of a further interface: `<name>.<namespace>.` of its NetworkAttachmentDefinition stands before, and where one is there several times its interface behind,
 * with a dot. What Kubernetes has itself is of the first one.
 */
function namesOf(what: Wish, further: FurtherInterface | undefined): readonly string[] {
  if (further === undefined) return NAMES[what];
  const { name, namespace, interfaceName } = further;
  const own = NAMES[what]
    .filter((one) => !one.startsWith('kubernetes.io/'))
    .map((one) => `${name}.${namespace}.${one}`);
  return [
    ...own.map((one) => `${one}.${interfaceName}`),
    // As newer versions of Kube-OVN have it.
    ...own.flatMap((one) => (OF_KUBE_OVN.test(one) ? [`${one.replace(OF_KUBE_OVN, '.')}.${interfaceName}`] : [])),
    ...own,
  ];
}

/** What Kube-OVN, or the controller here, writes at pods by itself. */
const WRITTEN: ReadonlySet<string> = new Set([
  VPC_ADDRESS,
  ...[
    ...['allocated', 'routed', 'cidr', 'gateway', 'logical_router', 'vlan_id', 'provider_network', 'pod_nic_type'],
    ...['virtualmachine', 'vpc_cidrs', 'subnet', 'liveMigration', 'network_type', 'provider'],
  ].map((one) => `ovn.kubernetes.io/${one}`),
]);

const KNOWN: ReadonlySet<string> = new Set([...Object.values(NAMES).flat(), ...WRITTEN]);

/** Names of annotations of the pod's first interface that look like ours or Kube-OVN's, and that nobody here knows: a slip of the pen, or what is not there. Sorted, eight at the most. */
export function unknownOf(annotations: PodFacts['annotations']): readonly string[] {
  return Object.keys(annotations)
    .filter((name) => /^(cable\.io|ovn\.kubernetes\.io)\//.test(name) && !KNOWN.has(name))
    .sort()
    .slice(0, 8);
}

const OF_KUBE_OVN = /\.ovn\.(?=kubernetes\.io\/)/;

const NO_RATES: Rates = { ingressKbps: 0, egressKbps: 0 };
const NO_WISHES: PodWishes = { ipAddresses: [], rates: NO_RATES };

/** Throws `WishError`. `further` undefined: of the first interface. */
export function wishesOf({ annotations }: Pick<PodFacts, 'annotations'>, further?: FurtherInterface): PodWishes {
  if (Object.keys(annotations).length === 0) return NO_WISHES;
  const given = (what: Wish) => givenIn(annotations, namesOf(what, further));
  const network = given('network');
  const subnet = given('subnet');
  const addresses = given('ipAddress');
  const pool = given('pool');
  if (addresses !== undefined && pool !== undefined)
    throw new WishError(`annotations ${addresses.name} and ${pool.name}: give one of them`);
  const mac = given('macAddress');
  const groups = given('securityGroups');
  const mirror = mirrorIn(given('mirror'));
  const portSecurity = booleanIn(given('portSecurity'));
  const pairs = given('pairs');
  const defaultRoute = booleanIn(given('defaultRoute'));
  return {
    ...(network === undefined ? {} : { network: nameIn(network) }),
    ...(subnet === undefined ? {} : { subnet: nameIn(subnet) }),
    ipAddresses: addresses === undefined ? [] : addressesIn(addresses),
    ...(pool === undefined ? {} : { pool: parsePool(pool) }),
    ...(mac === undefined ? {} : { macAddress: macIn(mac) }),
    ...(groups === undefined ? {} : { securityGroups: namesIn(groups) }),
    rates: {
      ingressKbps: kbpsIn(given('ingressRate')),
      egressKbps: kbpsIn(given('egressRate')),
    },
    ...(mirror === undefined ? {} : { mirror }),
    ...(portSecurity === undefined ? {} : { portSecurity }),
    ...(pairs === undefined ? {} : { pairs: namesIn(pairs) }),
    ...(defaultRoute === undefined ? {} : { defaultRoute }),
  };
}

/** `true` is Kube-OVN's word. */
function mirrorIn(one: Given | undefined): string | true | undefined {
  if (one === undefined || one.text === 'false') return undefined;
  return one.text === 'true' ? true : nameIn(one);
}

function booleanIn(one: Given | undefined): boolean | undefined {
  if (one === undefined) return undefined;
  if (one.text === 'true' || one.text === 'false') return one.text === 'true';
  throw new WishError(`annotation ${one.name}: ${quoted(one.text)} is neither true nor false`);
}

type Given = { readonly name: string; readonly text: string };

function givenIn(annotations: PodFacts['annotations'], names: readonly string[]): Given | undefined {
  for (const name of names) {
    const text = annotations[name]?.trim() ?? '';
    if (text !== '') return { name, text };
  }
  return undefined;
}

function listIn(text: string): readonly string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** Each is looked for on the server, and a port has no more groups than these. */
const MOST_NAMES = 64;

/** Each once. */
function namesIn(given: Given): readonly string[] {
  const names = [...new Set(listIn(given.text))];
  if (names.length > MOST_NAMES)
    throw new WishError(`annotation ${given.name}: ${names.length} are more than ${MOST_NAMES}`);
  return names.map((text) => nameIn({ ...given, text }));
}

/** Of what Cable has. */
const MOST_CHARACTERS = 255;

function nameIn({ name, text }: Given): string {
  if (text.length > MOST_CHARACTERS)
    throw new WishError(
      `annotation ${name}: ${quoted(text)} is longer than the ${MOST_CHARACTERS} characters of a name`,
    );
  return text;
}

function addressesIn({ name, text }: Given): readonly string[] {
  const all = listIn(text);
  const addresses = all.slice(0, MOST_ADDRESSES + 1).map((one) => {
    const address = parseIp(one);
    if (address === undefined) throw new WishError(`annotation ${name}: ${quoted(one)} is no IP address`);
    return formatIp(address);
  });
  const isTwice = new Set(addresses.map((one) => one.includes(':'))).size < addresses.length;
  if (isTwice) throw new WishError(`annotation ${name}: give one address of each version of IP at the most`);
  return addresses;
}

/** One of each version: with another it is clear that there are too many. */
const MOST_ADDRESSES = 2;

function macIn({ name, text }: Given): string {
  const mac = parseMac(text);
  if (mac === undefined) throw new WishError(`annotation ${name}: ${quoted(text)} is no MAC address`);
  return mac;
}

/** Of Kube-OVN's annotations numbers are millions of bits. */
const IN_MBIT = /\/(in|e)gress_rate(\.|$)/;
const MOST_KBPS = 2_147_483_647;

/** Suffixes of quantities (Kubernetes API, Quantity) that a rate may have. */
const SCALE: Readonly<Record<string, number>> = {
  ...{ m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};

/** Bits a second, as a quantity. 0: there is no annotation, or it says so. */
function kbpsIn(one: Given | undefined): number {
  if (one === undefined) return 0;
  const { name, text } = one;
  const match = /^(\d{1,15}(?:\.\d{1,9})?(?:[eE][+-]?\d{1,2})?)(m|[kMGTPE]|[KMGTPE]i)?$/.exec(text);
  const scale = IN_MBIT.test(name) ? 1e6 : SCALE[match?.[2] ?? ''];
  const bits = Number(match?.[1] ?? Number.NaN) * (scale ?? Number.NaN);
  if (match === null || !Number.isFinite(bits) || (IN_MBIT.test(name) && match[2] !== undefined)) {
    const example = IN_MBIT.test(name) ? '10, for 10 Mbit/s' : '10M, for 10 Mbit/s';
    throw new WishError(`annotation ${name}: ${quoted(text)} is no rate: give one such as ${example}`);
  }
  return Math.min(Math.ceil(bits / 1000), MOST_KBPS);
}
