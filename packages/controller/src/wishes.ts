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
};

/** Annotations by what they say: ours, and Kube-OVN's. */
const NAMES = {
  network: ['cable.io/network'],
  subnet: ['cable.io/subnet', 'ovn.kubernetes.io/logical_switch'],
  ipAddress: ['cable.io/ip-address', 'ovn.kubernetes.io/ip_address'],
  macAddress: ['cable.io/mac-address', 'ovn.kubernetes.io/mac_address'],
  securityGroups: ['cable.io/security-groups', 'ovn.kubernetes.io/security_groups'],
} as const;

const NO_WISHES: PodWishes = { ipAddresses: [] };

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
