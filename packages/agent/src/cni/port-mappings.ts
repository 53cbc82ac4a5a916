/** The capability `portMappings` (CNI conventions, "Dynamic Plugin specific fields"): ports of the host that lead to a pod. */
import { formatIp, parseIp } from '@cable/model';
import { type HostPort, type HostPortPlace, placesOf } from '../plan/host-ports.ts';
import { invalidConfig } from './errors.ts';
import { isObject, type JsonObject, memberOf } from './json.ts';

const NAME = 'runtimeConfig.portMappings';
/** As many as a host has ports, some of them twice. */
const MAX_MAPPINGS = 100_000;
const PROTOCOLS: ReadonlyMap<string, HostPort['protocol']> = new Map([
  ['tcp', 'TCP'],
  ['udp', 'UDP'],
  ['sctp', 'SCTP'],
]);

/** `runtimeConfig.portMappings`; absent: none. Throws CniError 7, naming the field. */
export function portMappingsOf(runtime: JsonObject): readonly HostPort[] {
  const list = memberOf(runtime, 'portMappings') ?? [];
  if (!Array.isArray(list) || list.length > MAX_MAPPINGS)
    throw invalidConfig(NAME, `is not a list of at most ${MAX_MAPPINGS} mappings`, 'make it one, or leave it out');
  const mappings = list.map(mappingAt);
  requireOnce(mappings);
  return mappings;
}

/** How a mapping is told to who looks for what takes a port. */
export function nameOfPlace({ protocol, hostIp, hostPort }: HostPort): string {
  return `${hostPort}/${protocol} of ${hostIp ?? 'any address'}`;
}

/** The first of these two at one place; undefined: there are none. */
export function firstAtOnePlace(
  mappings: readonly HostPort[],
  others: readonly HostPort[],
): readonly [at: number, other: HostPort] | undefined {
  const taken = new Map<string, [HostPort, HostPortPlace][]>();
  for (const one of others)
    for (const place of placesOf(one)) taken.set(keyOf(place), [...(taken.get(keyOf(place)) ?? []), [one, place]]);
  for (const [at, one] of mappings.entries()) {
    for (const place of placesOf(one)) {
      const found = taken.get(keyOf(place))?.find(([, other]) => areOne(place, other));
      if (found !== undefined) return [at, found[0]];
    }
  }
  return undefined;
}

function keyOf({ ipVersion, protocol, port }: HostPortPlace): string {
  return `${ipVersion} ${protocol} ${port}`;
}

/** At any address is at each, as it is for sockets, and for the scheduler of Kubernetes. */
function areOne(one: HostPortPlace, other: HostPortPlace): boolean {
  return one.address === undefined || other.address === undefined || one.address === other.address;
}

function mappingAt(value: unknown, at: number): HostPort {
  const path = `${NAME}[${at}]`;
  if (!isObject(value)) throw invalidConfig(path, 'is not an object', 'give hostPort, containerPort and protocol');
  const hostIp = hostIpOf(value, `${path}.hostIP`);
  return {
    protocol: protocolOf(value, `${path}.protocol`),
    ...(hostIp === undefined ? {} : { hostIp }),
    hostPort: portOf(value, 'hostPort', path),
    containerPort: portOf(value, 'containerPort', path),
  };
}

function portOf(mapping: JsonObject, name: 'hostPort' | 'containerPort', path: string): number {
  const value = memberOf(mapping, name);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
  throw invalidConfig(`${path}.${name}`, 'is not a port', 'give a number from 1 to 65535');
}

/** Of which nothing is said, TCP is meant, as Kubernetes has it. */
function protocolOf(mapping: JsonObject, path: string): HostPort['protocol'] {
  const value = memberOf(mapping, 'protocol') ?? '';
  const known = typeof value === 'string' ? PROTOCOLS.get(value.toLowerCase() || 'tcp') : undefined;
  if (known !== undefined) return known;
  throw invalidConfig(path, `${JSON.stringify(value)} is not a protocol with ports`, 'use tcp, udp or sctp');
}

function hostIpOf(mapping: JsonObject, path: string): string | undefined {
  const value = memberOf(mapping, 'hostIP') ?? '';
  if (value === '') return undefined;
  const ip = typeof value === 'string' ? parseIp(value) : undefined;
  if (ip !== undefined) return formatIp(ip);
  const remedy = 'give one of the host, or leave it out for all';
  throw invalidConfig(path, `${JSON.stringify(value)} is not an IP address`, remedy);
}

/** One place cannot lead to two ports. What is said twice is said. */
function requireOnce(mappings: readonly HostPort[]): void {
  const seen = new Map<string, { readonly at: number; readonly to: number }>();
  for (const [at, one] of mappings.entries()) {
    for (const { address = '', ...place } of placesOf(one)) {
      const key = `${keyOf(place)} ${address}`;
      const before = seen.get(key);
      if (before !== undefined && before.to !== one.containerPort) {
        const problem = `${nameOfPlace(one)} leads elsewhere by ${NAME}[${before.at}]`;
        throw invalidConfig(`${NAME}[${at}].hostPort`, problem, 'give each port of the host once');
      }
      seen.set(key, { at, to: one.containerPort });
    }
  }
}
