/**
 * Which interfaces a pod has besides its first one: the annotation that Multus reads, and NetworkAttachmentDefinitions (Kubernetes Network Custom Resource Definition
 * De-facto Standard, version 1.3).
 */
import type { KubeKind, KubeObject } from '@cable/kube';
import { formatIp, parseIp, parseMac } from '@cable/model';
import type { PodFacts } from './pod-facts.ts';
import { WishError } from './wish-error.ts';

export const NETWORK_ATTACHMENTS: KubeKind = {
  ...{ group: 'k8s.cni.cncf.io', version: 'v1' },
  ...{ plural: 'network-attachment-definitions', isNamespaced: true },
};

/** Annotation of a pod that names its networks. */
export const NETWORKS = 'k8s.v1.cni.cncf.io/networks';

/** The plug-in of Cable, in a network's configuration. */
const PLUGIN = 'cable-cni';

/** One network that a pod is to have an interface in. */
export type Selection = {
  /** Of the NetworkAttachmentDefinition. */
  readonly namespace: string;
  readonly name: string;
  /** As Multus calls it in the pod. */
  readonly interfaceName: string;
  readonly ipAddresses: readonly string[];
  readonly macAddress?: string;
};

export type NetworkAttachment = KubeObject & { readonly spec?: { readonly config?: string } };

/** What is kept of one. `cluster` undefined: another plug-in makes its interfaces. */
export type AttachmentFacts = {
  readonly cluster: string | undefined;
  /** Name or ID, of what the pod's namespace has or its project sees. */
  readonly network?: string;
  readonly subnet?: string;
};

const NOT_OURS: AttachmentFacts = { cluster: undefined };

/** Of a configuration that cannot be read nothing is ours: Multus says what is wrong with it. */
export function attachmentFacts({ spec = {} }: NetworkAttachment): AttachmentFacts {
  let conf: unknown;
  try {
    conf = JSON.parse(spec.config ?? '');
  } catch {
    return NOT_OURS;
  }
  const all = isRecord(conf) && Array.isArray(conf['plugins']) ? conf['plugins'] : [conf];
  const own = all.filter(isRecord).find(({ type }) => type === PLUGIN);
  const cluster = textIn(own, 'cluster');
  if (cluster === undefined) return NOT_OURS;
  const [network, subnet] = [textIn(own, 'network'), textIn(own, 'subnet')];
  return {
    cluster,
    ...(network === undefined ? {} : { network }),
    ...(subnet === undefined ? {} : { subnet }),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textIn(record: Readonly<Record<string, unknown>> | undefined, name: string): string | undefined {
  const value = record?.[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** More interfaces no pod has. */
const MOST = 32;

/** Networks of the pod's annotation, in their order. Throws `WishError`. */
export function selectionsOf({
  annotations,
  namespace,
}: Pick<PodFacts, 'annotations' | 'namespace'>): readonly Selection[] {
  const text = annotations[NETWORKS]?.trim() ?? '';
  if (text === '') return [];
  const entries = text.startsWith('[') || text.startsWith('{') ? entriesIn(text) : shortEntries(text);
  // Multus counts all of them, also those that say a name of their own.
  const all = entries.map((one, at) => selectionOf(one, namespace, `net${at + 1}`));
  const names = all.map(({ interfaceName }) => interfaceName);
  const twice = names.find((one, at) => names.indexOf(one) < at);
  if (twice !== undefined) throw wrong(`two interfaces are called ${twice}`);
  return all;
}

type Entry = Readonly<Record<string, unknown>>;

function shortEntries(text: string): readonly Entry[] {
  const entries = text.split(',');
  refuseMany(entries);
  return entries.map(shortEntry);
}

function refuseMany({ length }: readonly unknown[]): void {
  if (length > MOST) throw wrong(`${length} networks are more than ${MOST}`);
}

/** `[<namespace>/]<name>[@<interface>]`. */
function shortEntry(text: string): Entry {
  const match = /^(?:([^/@\s]+)\/)?([^/@\s]+)(?:@([^/@\s]+))?$/.exec(text.trim());
  if (match === null) throw wrong(`"${text.trim().slice(0, 100)}" is no [<namespace>/]<name>[@<interface>]`);
  const [, namespace, name, interfaceName] = match;
  return { namespace, name, interface: interfaceName };
}

function entriesIn(text: string): readonly Entry[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw wrong('is no JSON');
  }
  if (!Array.isArray(list)) throw wrong('is no list of objects');
  refuseMany(list);
  if (!list.every(isRecord)) throw wrong('is no list of objects');
  return list;
}

function selectionOf(entry: Entry, ownNamespace: string, ownName: string): Selection {
  const name = textIn(entry, 'name');
  if (name === undefined) throw wrong('a network has no name');
  const interfaceName = textIn(entry, 'interface') ?? ownName;
  if (!/^[!-~]{1,15}$/.test(interfaceName) || /[/:%]/.test(interfaceName))
    throw wrong(`"${interfaceName.slice(0, 100)}" is no name of an interface`);
  const macAddress = macIn(entry['mac']);
  return {
    namespace: textIn(entry, 'namespace') ?? ownNamespace,
    name,
    interfaceName,
    ipAddresses: addressesIn(entry['ips']),
    ...(macAddress === undefined ? {} : { macAddress }),
  };
}

/** Each may have a prefix length, which the subnet says here. */
function addressesIn(ips: unknown): readonly string[] {
  if (ips === undefined || ips === null) return [];
  if (!Array.isArray(ips)) throw wrong('ips is no list');
  const addresses = ips.slice(0, MOST_ADDRESSES + 1).map((one) => {
    const address = typeof one === 'string' ? parseIp(one.split('/', 1)[0] ?? '') : undefined;
    if (address === undefined) throw wrong(`ips: ${JSON.stringify(one).slice(0, 100)} is no IP address`);
    return formatIp(address);
  });
  if (new Set(addresses.map((one) => one.includes(':'))).size < addresses.length)
    throw wrong('ips: give one address of each version of IP at the most');
  return addresses;
}

/** One of each version: with another it is clear that there are too many. */
const MOST_ADDRESSES = 2;

function macIn(given: unknown): string | undefined {
  if (given === undefined || given === null || given === '') return undefined;
  const mac = typeof given === 'string' ? parseMac(given) : undefined;
  if (mac === undefined) throw wrong(`mac: ${JSON.stringify(given).slice(0, 100)} is no MAC address`);
  return mac;
}

function wrong(problem: string): WishError {
  return new WishError(`annotation ${NETWORKS}: ${problem}`);
}
