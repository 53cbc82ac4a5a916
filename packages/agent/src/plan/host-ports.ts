/** Host ports: places of this host that lead to pods of it, as the runtime wants it that plugged them (docs/design/services.md, "Host ports"). */
import type { LocalPort, ServicePort } from '@cable/model';
import { parseAddress } from './address.ts';
import { vifDeviceName } from './device-names.ts';
import type { Entrance } from './entrances.ts';
import { portsOfNode } from './node-port.ts';
import { type Family, itemFamily, type PlanReader } from './unit.ts';

/** A port of the host that leads to one of a pod. */
export type HostPort = {
  readonly protocol: ServicePort['protocol'];
  /** Address of the host, in canonical form. Absent: any, of both versions of IP; `0.0.0.0` and `::`: any of one. */
  readonly hostIp?: string;
  readonly hostPort: number;
  readonly containerPort: number;
};

/** Where a host port is, of one version of IP. `address` absent: at any of the host. */
export type HostPortPlace = Pick<Entrance, 'protocol' | 'ipVersion' | 'port' | 'address'>;

/** Its places: one, or one of each version of IP. */
export function placesOf({ protocol, hostIp, hostPort: port }: HostPort): readonly HostPortPlace[] {
  if (hostIp === undefined) return ([4, 6] as const).map((ipVersion) => ({ protocol, ipVersion, port }));
  const ipVersion = versionOf(hostIp);
  return [{ protocol, ipVersion, port, ...(ANY.has(hostIp) ? {} : { address: hostIp }) }];
}

/** What this host lets in for it: to the pod's first address of each version of IP that it has. */
export function hostPortEntrances(hostPort: HostPort, addresses: readonly string[]): readonly Entrance[] {
  return placesOf(hostPort).flatMap((place) => {
    const address = addresses.find((one) => versionOf(one) === place.ipVersion);
    return address === undefined
      ? []
      : [{ ...place, isHostPort: true as const, to: { address, port: hostPort.containerPort } }];
  });
}

/** The host ports of a port of this host, where the host is a node behind a router of the port's network: else it has no way to the pod. */
export const HOST_PORTS: Family = itemFamily(
  { name: 'host ports of a port', slice: 'host', subject: 'port' },
  ({ item: portId }, port, reader) => {
    const plugged = reader.device(vifDeviceName(port))?.hostPorts;
    if (plugged?.portId !== portId || nodesBeside(port, reader).length === 0) return {};
    const addresses = port.fixedIps.flatMap(({ ipAddress }) =>
      parseAddress(ipAddress) === undefined ? [] : ipAddress,
    );
    const entrances = plugged.hostPorts.flatMap((one) => hostPortEntrances(one, addresses));
    return entrances.length === 0 ? {} : { entrances };
  },
);

/** Ports of this host as a node, in the port's network or behind a router of that. */
function nodesBeside({ networkId }: LocalPort, reader: PlanReader): readonly LocalPort[] {
  const routers = reader.sortedFacts('leg-in', networkId).map(({ value }) => value.routerId);
  const networks = routers.flatMap((id) => reader.sortedFacts('leg-of', id).map(({ value }) => value.networkId));
  return portsOfNode(reader, new Set([networkId, ...networks]));
}

const ANY: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function versionOf(text: string): 4 | 6 {
  return text.includes(':') ? 6 : 4;
}
