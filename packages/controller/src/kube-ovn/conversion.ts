/** Turns manifests of Kube-OVN into Cable's. What is not Kube-OVN's stays as it is; its annotations are read by Cable as they are. */
import { convertOvnFip, convertQosPolicy, convertVip, REMEDIES } from './others.ts';
import { convertSecurityGroup } from './security-group.ts';
import { type Document, isObject, type Note, Source } from './source.ts';
import { convertSubnet } from './subnet.ts';
import { convertVpc } from './vpc.ts';
import { type Converted, DEFAULT_VPC, type World } from './world.ts';

export type ConversionOptions = {
  /** That of Cable's controller, where what was of the whole cluster is made. */
  readonly namespace: string;
  /** Where SecurityGroups and QosPolicies are made; undefined: in the namespaces that Subnets are bound to. */
  readonly namespaces?: readonly string[] | undefined;
  /** Name or ID of the network outside, of what leads there. */
  readonly externalNetwork?: string | undefined;
};

export type Conversion = { readonly objects: readonly object[]; readonly notes: readonly Note[] };

const CONVERTERS: Readonly<Record<string, (source: Source, world: World) => Converted>> = {
  Subnet: convertSubnet,
  Vpc: convertVpc,
  SecurityGroup: convertSecurityGroup,
  QoSPolicy: convertQosPolicy,
  Vip: convertVip,
  OvnFip: convertOvnFip,
};

/** Read by those that name them, or written by Kube-OVN of pods. */
const SILENT: ReadonlySet<string> = new Set(['Vlan', 'IPPool', 'IP']);

/** Kinds are made in this order: what others name comes first. */
const ORDER = ['Vpc', 'Subnet', 'SecurityGroup', 'QosPolicy', 'Port', 'FloatingIP'];

/** `documents`: as YAML has them; lists of Kubernetes are opened. */
export function convert(documents: readonly unknown[], options: ConversionOptions): Conversion {
  const all = documents.flatMap(unlisted);
  const sources = all.filter(isKubeOvn).map((one) => new Source(one));
  const others = all.filter((one) => !isKubeOvn(one));
  const world = worldOf(sources, options);
  const objects = sources.flatMap((source) => convertOne(source, world));
  const pools = new Map(world.of('IPPool').map((one) => [one.name, one.texts('ips').join(',')]));
  const place = ({ kind }: Document): number => ORDER.indexOf(String(kind));
  return {
    objects: [
      ...objects.toSorted((a, b) => place(a) - place(b)),
      ...(pools.size === 0 ? others : others.map((one) => withPools(one, pools))),
    ],
    notes: sources.flatMap(({ notes }) => notes),
  };
}

function convertOne(source: Source, world: World): Converted {
  if (SILENT.has(source.kind) || (source.kind === 'Vpc' && source.name === DEFAULT_VPC)) return [];
  const converter = CONVERTERS[source.kind];
  if (converter === undefined) {
    source.refuse('', REMEDIES[source.kind] ?? 'nothing here is like it');
    return [];
  }
  const objects = converter(source, world);
  if (objects.length > 0) source.noteRest();
  return objects;
}

function worldOf(sources: readonly Source[], { namespace, namespaces, externalNetwork }: ConversionOptions): World {
  const of = (kind: string): readonly Source[] => sources.filter((one) => one.kind === kind);
  const bound = [...new Set(of('Subnet').flatMap((one) => one.texts('namespaces')))];
  return { namespace, externalNetwork, of, namespaces: namespaces ?? (bound.length === 0 ? [namespace] : bound) };
}

function unlisted(document: unknown): readonly Document[] {
  if (!isObject(document)) return [];
  const { kind, items } = document;
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)
    ? items.flatMap(unlisted)
    : [document];
}

function isKubeOvn({ apiVersion }: Document): boolean {
  return typeof apiVersion === 'string' && apiVersion.startsWith('kubeovn.io/');
}

const POOL = /(^|\.)ovn\.kubernetes\.io\/ip_pool$/;

/** Pods that name a pool name its addresses. */
function withPools<T>(value: T, pools: ReadonlyMap<string, string>): T {
  if (Array.isArray(value)) return value.map((one) => withPools(one, pools)) as T;
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([name, one]) => [
    name,
    POOL.test(name) && typeof one === 'string' ? (pools.get(one) ?? one) : withPools(one, pools),
  ]);
  return Object.fromEntries(entries) as T;
}
