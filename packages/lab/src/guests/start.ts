import type { Client } from '@cable/api';
import type { SecurityGroupView } from '@cable/model';
import { type Cloud, createPort, type Segment, type Tenants } from '../cloud.ts';
import type { LabHost } from '../names.ts';
import type { GuestSpec, RealMachineSpec, World } from '../world.ts';
import type { GuestDeps } from './card.ts';
import type { Guest } from './guest.ts';
import { awaitMachine } from './machine.ts';
import { type Pod, startPod } from './pod.ts';
import { type QemuGuest, startQemu } from './qemu.ts';
import { startVm } from './vm.ts';

export type StartDeps = GuestDeps & {
  readonly hosts: Readonly<Record<string, LabHost>>;
  readonly tenants: Tenants;
  readonly cloud: Cloud;
  readonly say: (line: string) => void;
};

/** Starts all guests of a world side by side; after them those that get the address of another. */
export async function startGuests(world: World, deps: StartDeps): Promise<Readonly<Record<string, Guest>>> {
  const isSecond = ([, spec]: readonly [string, GuestSpec]): boolean =>
    spec.kind === 'vm' && spec.sameAddressAs !== undefined;
  const all = Object.entries(world.guests);
  const first = await startAll(
    all.filter((one) => !isSecond(one)),
    {},
    deps,
  );
  const second = await startAll(all.filter(isSecond), first, deps);
  return { ...first, ...second };
}

/** Starts the real machines; goes on beside the other steps. */
export function startRealMachines(world: World, deps: StartDeps): Readonly<Record<string, Promise<QemuGuest>>> {
  const started = Object.entries(world.realMachines ?? {}).map(([name, spec]) => {
    deps.say(`booting a real machine under QEMU, ${name} (goes on beside the other steps)`);
    const booting = bootQemu(name, spec, deps);
    booting.catch(() => undefined);
    return [name, booting] as const;
  });
  return Object.fromEntries(started);
}

async function startAll(
  specs: readonly (readonly [string, GuestSpec])[],
  before: Readonly<Record<string, Guest>>,
  deps: StartDeps,
): Promise<Readonly<Record<string, Guest>>> {
  if (specs.length === 0) return {};
  deps.say(`starting guests: ${specs.map(([name, spec]) => `${name} (${describeGuest(spec)})`).join(', ')}`);
  const guests = await Promise.all(
    specs.map(async ([name, spec]) => [name, await startGuest(name, spec, before, deps)]),
  );
  return Object.fromEntries(guests);
}

/** What a guest is, in a few words. */
export function describeGuest(spec: GuestSpec): string {
  if (spec.kind === 'vm') return `VM, ${spec.dhcp}`;
  return spec.kind === 'pod' ? 'pod, cable-cni' : 'physical machine';
}

function startGuest(
  name: string,
  spec: GuestSpec,
  before: Readonly<Record<string, Guest>>,
  deps: StartDeps,
): Promise<Guest> {
  if (spec.kind === 'pod') return addPod(name, spec, deps);
  if (spec.kind === 'machine') return bindMachine(name, spec, deps);
  const ip = spec.sameAddressAs === undefined ? undefined : before[spec.sameAddressAs]?.ip;
  return bootVm(name, spec, ip, deps);
}

async function bootVm(
  name: string,
  spec: GuestSpec & { readonly kind: 'vm' },
  ip: string | undefined,
  deps: StartDeps,
): Promise<Guest> {
  const { client, host, segment, group } = placeOf(spec, deps);
  const { userData, dhcp } = spec;
  const optional = { ...(ip === undefined ? {} : { ip }), ...(userData === undefined ? {} : { userData }) };
  const port = await createPort(client, { name, segment, group, host: host.name, ...optional });
  const { id: portId, mac_address: macAddress } = port;
  return startVm({ name, host, portId, macAddress, mtuBytes: segment.network.mtu, client: dhcp }, deps);
}

async function bootQemu(name: string, spec: RealMachineSpec, deps: StartDeps): Promise<QemuGuest> {
  const { client, host, segment, group } = placeOf(spec, deps);
  const optional = spec.userData === undefined ? {} : { userData: spec.userData };
  const port = await createPort(client, { name, segment, group, host: host.name, ...optional });
  const { id: portId, mac_address: macAddress } = port;
  return startQemu({ name, host, portId, macAddress, mtuBytes: segment.network.mtu }, deps);
}

/** Makes a pod by cable-cni on a host of the world. */
export function addPod(
  name: string,
  spec: { readonly host: string; readonly network: string; readonly group: string },
  deps: Omit<StartDeps, 'say'>,
): Promise<Pod> {
  const { client, host, segment, group } = placeOf(spec, deps);
  const { id: networkId, project_id: projectId } = segment.network;
  return startPod({ name, host, networkId, projectId, securityGroupIds: [group.id] }, deps, async (deviceId) => {
    const [port] = await client.list('port', { device_id: deviceId });
    if (port === undefined) throw new Error(`no port has the device_id ${deviceId} after cable-cni ADD`);
    return port;
  });
}

async function bindMachine(name: string, spec: GuestSpec, deps: StartDeps): Promise<Guest> {
  const { client, host, segment, group } = placeOf(spec, deps);
  const startedAt = performance.now();
  const port = await createPort(client, { name, segment, group, host: host.name, vnicType: 'baremetal' });
  const ip = port.fixed_ips[0]?.ip_address;
  if (ip === undefined) throw new Error(`the port of ${name} got no address`);
  return awaitMachine({ name, host, portId: port.id, macAddress: port.mac_address, ip }, startedAt);
}

type Place = {
  readonly client: Client;
  readonly host: LabHost;
  readonly segment: Segment;
  readonly group: SecurityGroupView;
};

function placeOf(
  spec: { readonly host: string; readonly network: string; readonly group: string },
  { hosts, tenants, cloud }: Pick<StartDeps, 'hosts' | 'tenants' | 'cloud'>,
): Place {
  const [host, segment, group] = [hosts[spec.host], cloud.networks[spec.network], cloud.groups[spec.group]];
  const client = segment === undefined ? undefined : tenants[segment.network.project_id];
  if (host === undefined || segment === undefined || group === undefined || client === undefined) {
    throw new Error(`the world has no ${spec.host}, ${spec.network} or ${spec.group}`);
  }
  return { client, host, segment, group };
}
