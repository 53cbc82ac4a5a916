import { formatIp, parseIp, parseMac } from '@cable/model';
import { CNI_CODE, CniError, invalidConfig } from './errors.ts';
import { booleanAt, isObject, type JsonObject, objectAt, stringAt, stringsAt } from './json.ts';
import type { PodRoute } from './pod-link.ts';
import { CNI_VERSIONS, type CniVersion, parseCniVersion } from './versions.ts';

/** A network configuration, as a runtime gives it to a plug-in on standard input. */
export type Netconf = {
  readonly cniVersion: CniVersion;
  readonly name: string;
  /** Id or name of the network. */
  readonly network: string;
  /** Id or name of a subnet of the network. */
  readonly subnet?: string;
  /** Ids or names; undefined: the project's default group. */
  readonly securityGroups?: readonly string[];
  /** Undefined: the network's project. */
  readonly project?: string;
  /** True: the interface must get the default route; false: it must not; undefined: where the container has none yet. */
  readonly defaultRoute?: boolean;
  /** Addresses wanted, without prefix length; empty: any. */
  readonly ipAddresses: readonly string[];
  readonly macAddress?: string;
  readonly prevResult?: PrevResult;
  /** For GC. */
  readonly validAttachments?: readonly { readonly containerId: string; readonly interfaceName: string }[];
};

/** What is used of an earlier result. */
export type PrevResult = {
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
  const cniVersion = versionOf(conf);
  const runtime = objectAt(conf, 'runtimeConfig', 'runtimeConfig');
  const argsCni = objectAt(objectAt(conf, 'args', 'args'), 'cni', 'args.cni');
  const ips = stringsAt(runtime, 'ips', 'runtimeConfig.ips', 16) ?? stringsAt(argsCni, 'ips', 'args.cni.ips', 16);
  const ipArgument = args.get('IP');
  const mac = stringAt(runtime, 'mac', 'runtimeConfig.mac') ?? args.get('MAC');
  const wanted = ips ?? (ipArgument === undefined ? [] : ipArgument.split(','));
  return {
    cniVersion,
    name: stringAt(conf, 'name', 'name') ?? '',
    network: required(conf, 'network'),
    ...optional('subnet', stringAt(conf, 'subnet', 'subnet')),
    ...optional('securityGroups', stringsAt(conf, 'securityGroups', 'securityGroups', MAX_LIST)),
    ...optional('project', stringAt(conf, 'project', 'project')),
    ...optional('defaultRoute', booleanAt(conf, 'defaultRoute', 'defaultRoute')),
    ipAddresses: wanted.map((text) => addressOf(text)),
    ...optional('macAddress', mac === undefined ? undefined : macOf(mac)),
    ...optional('prevResult', prevResultOf(conf)),
    ...optional('validAttachments', attachmentsOf(conf)),
  };
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
  throw invalidConfig(name, 'is missing', `add "${name}" with the id or the name of a Cable network`);
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
