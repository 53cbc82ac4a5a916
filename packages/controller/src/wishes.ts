/** What the annotations of a pod ask for. Those of Kube-OVN are read as ours; where both are there, ours count. */
import { formatIp, parseIp, parseMac } from '@cable/model';
import type { PodFacts } from './pod-facts.ts';

export type PodWishes = {
  /** Name or ID of a network; undefined: the cluster's own. */
  readonly network?: string;
  /** Name or ID of a subnet: addresses come from there. */
  readonly subnet?: string;
  /** One of each version of IP at the most. */
  readonly ipAddresses: readonly string[];
  readonly macAddress?: string;
  /** Names or IDs; undefined: none. */
  readonly securityGroups?: readonly string[];
  readonly rates: Rates;
};

/** Thousands of bits a second that the pod may receive and send; 0: as much as it likes. */
export type Rates = { readonly ingressKbps: number; readonly egressKbps: number };

/** Annotations by what they say: ours, and Kube-OVN's. */
const NAMES = {
  network: ['cable.io/network'],
  subnet: ['cable.io/subnet', 'ovn.kubernetes.io/logical_switch'],
  ipAddress: ['cable.io/ip-address', 'ovn.kubernetes.io/ip_address'],
  macAddress: ['cable.io/mac-address', 'ovn.kubernetes.io/mac_address'],
  securityGroups: ['cable.io/security-groups', 'ovn.kubernetes.io/security_groups'],
  ingressRate: ['cable.io/ingress-rate', 'kubernetes.io/ingress-bandwidth', 'ovn.kubernetes.io/ingress_rate'],
  egressRate: ['cable.io/egress-rate', 'kubernetes.io/egress-bandwidth', 'ovn.kubernetes.io/egress_rate'],
} as const;

const NO_RATES: Rates = { ingressKbps: 0, egressKbps: 0 };
const NO_WISHES: PodWishes = { ipAddresses: [], rates: NO_RATES };

/** An annotation that is not understood. `message` names it. */
export class WishError extends Error {}

/** Throws `WishError`. */
export function wishesOf({ annotations }: Pick<PodFacts, 'annotations'>): PodWishes {
  if (Object.keys(annotations).length === 0) return NO_WISHES;
  const network = given(annotations, 'network');
  const subnet = given(annotations, 'subnet');
  const addresses = given(annotations, 'ipAddress');
  const mac = given(annotations, 'macAddress');
  const groups = given(annotations, 'securityGroups');
  return {
    ...(network === undefined ? {} : { network: network.text }),
    ...(subnet === undefined ? {} : { subnet: subnet.text }),
    ipAddresses: addresses === undefined ? [] : addressesIn(addresses),
    ...(mac === undefined ? {} : { macAddress: macIn(mac) }),
    ...(groups === undefined ? {} : { securityGroups: listIn(groups.text) }),
    rates: {
      ingressKbps: kbpsIn(given(annotations, 'ingressRate')),
      egressKbps: kbpsIn(given(annotations, 'egressRate')),
    },
  };
}

type Given = { readonly name: string; readonly text: string };

function given(annotations: PodFacts['annotations'], what: keyof typeof NAMES): Given | undefined {
  for (const name of NAMES[what]) {
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

function addressesIn({ name, text }: Given): readonly string[] {
  const addresses = listIn(text).map((one) => {
    const address = parseIp(one);
    if (address === undefined) throw new WishError(`annotation ${name}: "${one}" is no IP address`);
    return formatIp(address);
  });
  const isTwice = new Set(addresses.map((one) => one.includes(':'))).size < addresses.length;
  if (isTwice) throw new WishError(`annotation ${name}: give one address of each version of IP at the most`);
  return addresses;
}

function macIn({ name, text }: Given): string {
  const mac = parseMac(text);
  if (mac === undefined) throw new WishError(`annotation ${name}: "${text}" is no MAC address`);
  return mac;
}

/** Of Kube-OVN's annotations numbers are millions of bits. */
const IN_MBIT = /^ovn\./;
const MOST_KBPS = 2_147_483_647;

/** Suffixes of quantities (Kubernetes API, Quantity) that a rate may have. */
const SCALE: Readonly<Record<string, number>> = {
  ...{ '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** Bits a second, as a quantity. 0: there is no annotation, or it says so. */
function kbpsIn(one: Given | undefined): number {
  if (one === undefined) return 0;
  const { name, text } = one;
  const match = /^(\d{1,15}(?:\.\d{1,9})?)([kMGT]|[KMGT]i)?$/.exec(text);
  const scale = IN_MBIT.test(name) ? 1e6 : SCALE[match?.[2] ?? ''];
  const bits = Number(match?.[1] ?? Number.NaN) * (scale ?? Number.NaN);
  if (match === null || !Number.isFinite(bits) || (IN_MBIT.test(name) && match[2] !== undefined)) {
    const example = IN_MBIT.test(name) ? '10, for 10 Mbit/s' : '10M, for 10 Mbit/s';
    throw new WishError(`annotation ${name}: "${text}" is no rate: give one such as ${example}`);
  }
  return Math.min(Math.ceil(bits / 1000), MOST_KBPS);
}
