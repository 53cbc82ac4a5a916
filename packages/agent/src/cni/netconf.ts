import { formatIp, parseIp, parseMac } from '@cable/model';
import type { HostPort } from '../plan/host-ports.ts';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
import { booleanAt, isObject, type JsonObject, memberOf, objectAt, stringAt, stringsAt } from './json.ts';
import type { PodLimit, PodLimits } from './link-owner.ts';
import type { PodRoute } from './pod-link.ts';
import { portMappingsOf } from './port-mappings.ts';
import { CNI_VERSIONS, type CniVersion, parseCniVersion } from './versions.ts';

/** A network configuration, as a runtime gives it to a plug-in on standard input. */
export type Netconf = PlainNetconf | ClusterNetconf;

type CommonNetconf = {
  readonly cniVersion: CniVersion;
  readonly name: string;
  /** True: the interface must get the default route; false: it must not; undefined: where the container has none yet. */
  readonly defaultRoute?: boolean;
  /** `runtimeConfig.portMappings`. */
  readonly portMappings: readonly HostPort[];
  readonly prevResult?: PrevResult;
  /** For GC. */
  readonly validAttachments?: readonly { readonly containerId: string; readonly interfaceName: string }[];
};

/** The agent makes the port, at ADD, as it is wanted here. */
export type PlainNetconf = CommonNetconf & {
  readonly mode: 'plain';
  /** Id or name of the network. */
  readonly network: string;
  /** Id or name of a subnet of the network. */
  readonly subnet?: string;
  /** Ids or names; undefined: the project's default group. */
  readonly securityGroups?: readonly string[];
  /** Undefined: the network's project. */
  readonly project?: string;
  /** Addresses wanted, without prefix length; empty: any. */
  readonly ipAddresses: readonly string[];
  readonly macAddress?: string;
  /** `runtimeConfig.bandwidth`. */
  readonly limits: PodLimits;
};

/** The controller of a Kubernetes cluster makes the port, before ADD, as it is wanted there. */
export type ClusterNetconf = CommonNetconf & {
  readonly mode: 'cluster';
  /** The cluster's name. */
  readonly cluster: string;
  /** A field that says a network, which the controller reads of a NetworkAttachmentDefinition; undefined: there is none. */
  readonly networkField?: string;
};

/** An earlier result: that of the plug-ins before this one at ADD, of ADD at CHECK and DEL. */
export type PrevResult = {
  /** All of it, as it was given: in the form of `cniVersion`. */
  readonly json: JsonObject;
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox: string }[];
  /** With prefix length. */
  readonly addresses: readonly string[];
  readonly routes: readonly PodRoute[];
};

const MAX_LIST = 32;
const MAX_ATTACHMENTS = 100_000;

/** Parses the configuration; throws CniError 1, 6 or 7, naming the field. Unknown members are other plug-ins' or the runtime's. */
export function parseNetconf(body: string, args: ReadonlyMap<string, string>): Netconf {
  const conf = parseJson(body);
  const common: CommonNetconf = {
    cniVersion: versionOf(conf),
    name: stringAt(conf, 'name', 'name') ?? '',
    ...optional('defaultRoute', booleanAt(conf, 'defaultRoute', 'defaultRoute')),
    portMappings: portMappingsOf(objectAt(conf, 'runtimeConfig', 'runtimeConfig')),
    ...optional('prevResult', prevResultOf(conf)),
    ...optional('validAttachments', attachmentsOf(conf)),
  };
  const cluster = stringAt(conf, 'cluster', 'cluster');
  return cluster === undefined
    ? { ...common, mode: 'plain', ...portWish(conf, args) }
    : {
        ...common,
        ...{ mode: 'cluster', cluster: withoutWishes(cluster, conf, args) },
        ...optional(
          'networkField',
          NETWORK_FIELDS.find((name) => stringAt(conf, name, name) !== undefined),
        ),
      };
}

/**
 * The same of a call that takes away: nothing is refused that it does not need. What ADD was refused for stands in the DEL, too, and a runtime repeats that until it is done. Wishes are empty.
 */
export function parseNetconfToRemove(body: string): Netconf {
  const conf = parseJson(body);
  const common: CommonNetconf = {
    cniVersion: versionOf(conf),
    name: stringAt(conf, 'name', 'name') ?? '',
    portMappings: [],
    ...(isObject(conf['prevResult']) ? optional('prevResult', prevResultOf(conf)) : {}),
    ...optional('validAttachments', attachmentsOf(conf)),
  };
  const cluster = stringAt(conf, 'cluster', 'cluster');
  return cluster === undefined
    ? { ...common, mode: 'plain', network: '', ipAddresses: [], limits: {} }
    : { ...common, mode: 'cluster', cluster };
}

function portWish(
  conf: JsonObject,
  args: ReadonlyMap<string, string>,
): Omit<PlainNetconf, keyof CommonNetconf | 'mode'> {
  const runtime = objectAt(conf, 'runtimeConfig', 'runtimeConfig');
  const argsCni = objectAt(objectAt(conf, 'args', 'args'), 'cni', 'args.cni');
  const ips = stringsAt(runtime, 'ips', 'runtimeConfig.ips', 16) ?? stringsAt(argsCni, 'ips', 'args.cni.ips', 16);
  const ipArgument = args.get('IP');
  const mac = stringAt(runtime, 'mac', 'runtimeConfig.mac') ?? args.get('MAC');
  const wanted = ips ?? (ipArgument === undefined ? [] : ipArgument.split(','));
  return {
    network: required(conf, 'network'),
    ...optional('subnet', stringAt(conf, 'subnet', 'subnet')),
    ...optional('securityGroups', stringsAt(conf, 'securityGroups', 'securityGroups', MAX_LIST)),
    ...optional('project', stringAt(conf, 'project', 'project')),
    ipAddresses: wanted.map((text) => addressOf(text)),
    ...optional('macAddress', mac === undefined ? undefined : macOf(mac)),
    limits: limitsOf(objectAt(runtime, 'bandwidth', 'runtimeConfig.bandwidth')),
  };
}

/** The capability `bandwidth`: rates in bits a second, bursts in bits; absent or 0: no limit, and what suits the host. */
function limitsOf(bandwidth: JsonObject): PodLimits {
  for (const name of ['shapedSubnets', 'unshapedSubnets']) {
    const problem = 'is not known here: all that the pod sends and receives is limited';
    const value = memberOf(bandwidth, name) ?? [];
    if (!Array.isArray(value) || value.length > 0)
      throw invalidConfig(`runtimeConfig.bandwidth.${name}`, problem, 'leave it out');
  }
  return {
    ...optional('ingress', limitOf(bandwidth, 'ingress')),
    ...optional('egress', limitOf(bandwidth, 'egress')),
  };
}

/** Runtimes of Kubernetes say a burst of 2^31 - 1 or 2^32 - 1 where their user says none. */
const BURST_OF_NOBODY = 2 ** 31 - 1;
/** As much as a QoS policy can say. */
const MAX_KBPS = 2 ** 31 - 1;

function limitOf(bandwidth: JsonObject, direction: 'ingress' | 'egress'): PodLimit | undefined {
  const [rate, burst] = [numberAt(bandwidth, `${direction}Rate`), numberAt(bandwidth, `${direction}Burst`)];
  if (rate === 0 && burst > 0) {
    const problem = `says nothing without ${direction}Rate`;
    throw invalidConfig(`runtimeConfig.bandwidth.${direction}Burst`, problem, 'give both, or neither');
  }
  if (rate === 0) return undefined;
  const burstKbits = burst >= BURST_OF_NOBODY ? 0 : Math.ceil(burst / 1000);
  return { maxKbps: Math.min(MAX_KBPS, Math.max(1, Math.round(rate / 1000))), burstKbits };
}

function numberAt(bandwidth: JsonObject, name: string): number {
  const value = memberOf(bandwidth, name) ?? 0;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalidConfig(`runtimeConfig.bandwidth.${name}`, 'is not a whole number of bits', 'give one, at least 0');
}

/** What a configuration of a further interface may say for the controller. */
const NETWORK_FIELDS = ['network', 'subnet'] as const;

/** The cluster's name, where nothing is wanted that its controller decides: it would be made in vain. */
function withoutWishes(cluster: string, conf: JsonObject, args: ReadonlyMap<string, string>): string {
  const runtime = objectAt(conf, 'runtimeConfig', 'runtimeConfig');
  const argsCni = objectAt(objectAt(conf, 'args', 'args'), 'cni', 'args.cni');
  const wishes: readonly (readonly [string, unknown])[] = [
    ...['securityGroups', 'project'].map((name) => [name, conf[name]] as const),
    ...['ips', 'mac', 'bandwidth'].map((name) => [`runtimeConfig.${name}`, runtime[name]] as const),
    ['args.cni.ips', argsCni['ips']],
    ...['IP', 'MAC'].map((name) => [name, args.get(name)] as const),
  ];
  const wish = wishes.find(([, value]) => value !== undefined && value !== null);
  if (wish === undefined) return cluster;
  throw notForCluster(wish[0], cluster);
}

/** A field that the controller of the cluster does not read. */
export function notForCluster(field: string, cluster: string): CniError {
  const problem = `is not for a cluster: the controller of "${cluster}" makes the port, and decides by the pod's annotations`;
  return invalidConfig(field, problem, 'leave it out, and annotate the pod');
}

function parseJson(body: string): JsonObject {
  let conf: unknown;
  try {
    conf = JSON.parse(body);
  } catch (err) {
    const reason = err instanceof Error ? err.message : 'not JSON';
    throw new CniError(
      CNI_CODE.decodeFailure,
      `network configuration: ${reason}`,
      'pass a JSON object on standard input',
    );
  }
  if (isObject(conf)) return conf;
  throw new CniError(
    CNI_CODE.decodeFailure,
    'network configuration: not an object',
    'pass a JSON object on standard input',
  );
}

function versionOf(conf: JsonObject): CniVersion {
  const text = stringAt(conf, 'cniVersion', 'cniVersion') ?? '(none)';
  const version = parseCniVersion(text);
  if (version !== undefined) return version;
  const message = `cniVersion: ${text} is not supported`;
  throw new CniError(CNI_CODE.incompatibleVersion, message, `use one of ${CNI_VERSIONS.join(', ')}`);
}

function required(conf: JsonObject, name: string): string {
  const value = stringAt(conf, name, name);
  if (value !== undefined) return value;
  const remedy = `add "${name}" with the id or the name of a Cable network, or "cluster" on a node of Kubernetes`;
  throw invalidConfig(name, 'is missing', remedy);
}

function addressOf(text: string): string {
  const ip = parseIp(text.split('/', 1)[0] ?? '');
  if (ip !== undefined) return formatIp(ip);
  throw invalidConfig('IP', `"${text}" is not an IP address`, 'give an address such as 10.0.0.5');
}

function macOf(text: string): string {
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  throw invalidConfig('MAC', `"${text}" is not a MAC address`, 'give one such as fa:16:3e:00:00:05');
}

function prevResultOf(conf: JsonObject): PrevResult | undefined {
  const prev = conf['prevResult'];
  if (prev === undefined || prev === null) return undefined;
  if (!isObject(prev)) throw invalidConfig('prevResult', 'is not an object', 'pass the result of ADD as it was');
  return {
    json: prev,
    interfaces: objectsOf(prev['interfaces']).map((one) => ({
      name: textOf(one['name']),
      mac: textOf(one['mac']),
      sandbox: textOf(one['sandbox']),
    })),
    addresses: objectsOf(prev['ips']).map((one) => textOf(one['address'])),
    routes: objectsOf(prev['routes']).map((one) => ({ destination: textOf(one['dst']), gateway: textOf(one['gw']) })),
  };
}

function attachmentsOf(conf: JsonObject): Netconf['validAttachments'] {
  const name = 'cni.dev/valid-attachments';
  const list = conf[name];
  if (list === undefined) return undefined;
  // Go's way to write a list without elements.
  if (list === null) return [];
  if (!Array.isArray(list) || list.length > MAX_ATTACHMENTS || !list.every(isObject)) {
    const problem = `is not a list of at most ${MAX_ATTACHMENTS} objects`;
    throw invalidConfig(name, problem, 'give each attachment as {"containerID", "ifname"}');
  }
  return list.map((one) => ({ containerId: textOf(one['containerID']), interfaceName: textOf(one['ifname']) }));
}

function objectsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function optional<K extends string, V>(name: K, value: V | undefined): { readonly [name in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [name in K]: V });
}
