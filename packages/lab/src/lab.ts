import { createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import {
  BLUE_PROJECT,
  type Cloud,
  createCloud,
  createPort,
  type PortWish,
  RED_PROJECT,
  type Tenants,
} from './cloud.ts';
import { type ControlPlane, type Restartable, type StoreKind, startAgent, startControlPlane } from './control-plane.ts';
import { run } from './exec.ts';
import type { Guest } from './guests/guest.ts';
import { awaitMachine } from './guests/machine.ts';
import { startPod } from './guests/pod.ts';
import { type QemuGuest, startQemu } from './guests/qemu.ts';
import { type DhcpClient, type GuestDeps, startVm } from './guests/vm.ts';
import type { Ledger } from './ledger.ts';
import { type LabHost, type LabNames, REPOSITORY } from './names.ts';
import { createProcesses, type Processes } from './processes.ts';
import { createTopology } from './topology.ts';

/** A lab that is up. */
export type Lab = {
  readonly names: LabNames;
  readonly processes: Processes;
  readonly ledger: Ledger;
  readonly control: ControlPlane;
  /** By host name. */
  readonly agents: ReadonlyMap<string, Restartable>;
  readonly tenants: Tenants;
  readonly cloud: Cloud;
  readonly guests: Guests;
  readonly say: (line: string) => void;
};

export type Guests = {
  /** On h1, in blue. */
  readonly vm1: Guest;
  /** On h2, in blue-back. */
  readonly vm2: Guest;
  /** On h2, in blue. */
  readonly pod1: Guest;
  /** The physical machine, in blue. */
  readonly machine: Guest;
  /** The other tenant's VMs: on h1 with vm1's address, on h2 with pod1's. */
  readonly red1: Guest;
  readonly red2: Guest;
  /** Resolves when the real machine has booted; undefined: left out. */
  readonly qemu: Promise<QemuGuest> | undefined;
};

export type LabOptions = {
  readonly names: LabNames;
  readonly ledger: Ledger;
  readonly store: StoreKind;
  readonly qemu: boolean;
  readonly say: (line: string) => void;
};

export const VM1_USER_DATA = '#cloud-config for vm1';

/** Builds everything: topology, control plane, agents, cloud, guests. What it makes is in the ledger, also when it throws. */
export async function buildLab(options: LabOptions): Promise<Lab> {
  const { names, ledger, say } = options;
  const processes = createProcesses(names.dir, ledger);
  say('making two hosts, a physical machine and the underlay that joins them');
  await createTopology(names, ledger);
  say(`starting the server (store: ${options.store})`);
  const control = await startControlPlane(names, processes, options.store);
  say('starting an agent on each host');
  const agents = await startAgents(options, processes);
  const tenants = clientsOf(control.url);
  say('making networks, subnets, a router and security groups over the API');
  const cloud = await createCloud(tenants);
  const deps = { names, processes, ledger };
  const guests = await startGuests(options, deps, tenants, cloud);
  await startServices(processes, guests);
  return { names, processes, ledger, control, agents, tenants, cloud, guests, say };
}

/** A client for each tenant. */
export function clientsOf(url: string): Tenants {
  const transport = httpTransport(url);
  return {
    blue: createClient({ transport, projectId: BLUE_PROJECT }),
    red: createClient({ transport, projectId: RED_PROJECT }),
  };
}

async function startAgents(options: LabOptions, processes: Processes): Promise<ReadonlyMap<string, Restartable>> {
  const { names, ledger } = options;
  const agents = await Promise.all(
    names.hosts.map((host) => {
      ledger.add({ kind: 'host', name: host.name });
      return startAgent(names, processes, host);
    }),
  );
  return new Map(names.hosts.map((host, index) => [host.name, agents[index] as Restartable]));
}

async function startGuests(options: LabOptions, deps: GuestDeps, tenants: Tenants, cloud: Cloud): Promise<Guests> {
  const { names, say } = options;
  const vm = (client: Tenants['blue'], wish: PortWish, host: LabHost, dhcp: DhcpClient): Promise<Guest> =>
    bootVm(deps, client, wish, host, dhcp);
  const blue = { segment: cloud.blue, group: cloud.blueGroup };
  const qemu = options.qemu ? bootQemu(options, deps, tenants, cloud) : undefined;
  qemu?.catch(() => undefined);
  say('starting VMs (udhcpc, dhclient), a pod (cable-cni) and the physical machine’s port');
  const [vm1, vm2, pod1, machine] = await Promise.all([
    vm(tenants.blue, { ...blue, name: 'vm1', host: names.h1.name, userData: VM1_USER_DATA }, names.h1, 'udhcpc'),
    vm(
      tenants.blue,
      { name: 'vm2', segment: cloud.blueBack, group: cloud.blueGroup, host: names.h2.name },
      names.h2,
      'dhclient',
    ),
    bootPod(names.h2, deps, tenants, cloud),
    bindMachine(names.pm1, tenants, cloud),
  ]);
  say('starting the other tenant’s VMs, with the addresses of vm1 and pod1');
  const red = { segment: cloud.red, group: cloud.redGroup };
  const [red1, red2] = await Promise.all([
    vm(tenants.red, { ...red, name: 'red1', host: names.h1.name, ip: vm1.ip }, names.h1, 'udhcpc'),
    vm(tenants.red, { ...red, name: 'red2', host: names.h2.name, ip: pod1.ip }, names.h2, 'udhcpc'),
  ]);
  return { vm1, vm2, pod1, machine, red1, red2, qemu };
}

async function bootVm(
  deps: GuestDeps,
  client: Tenants['blue'],
  wish: PortWish,
  host: LabHost,
  dhcp: DhcpClient,
): Promise<Guest> {
  const port = await createPort(client, wish);
  const { id: portId, mac_address: macAddress } = port;
  const mtuBytes = wish.segment.network.mtu;
  return startVm({ name: wish.name, host, portId, macAddress, mtuBytes, client: dhcp }, deps);
}

async function bootQemu(options: LabOptions, deps: GuestDeps, tenants: Tenants, cloud: Cloud): Promise<QemuGuest> {
  const host = options.names.h2;
  options.say('booting a real machine under QEMU (goes on beside the other steps)');
  const wish = { name: 'qemu1', segment: cloud.blue, group: cloud.blueGroup, host: host.name, userData: 'for qemu1' };
  const port = await createPort(tenants.blue, wish);
  const mtuBytes = cloud.blue.network.mtu;
  return startQemu({ name: 'qemu1', host, portId: port.id, macAddress: port.mac_address, mtuBytes }, deps);
}

function bootPod(host: LabHost, deps: GuestDeps, tenants: Tenants, cloud: Cloud): Promise<Guest> {
  const wish = {
    name: 'pod1',
    host,
    networkId: cloud.blue.network.id,
    projectId: BLUE_PROJECT,
    securityGroupIds: [cloud.blueGroup.id],
  };
  return startPod(wish, deps, async (deviceId) => {
    const ports = await tenants.blue.list('port', { device_id: deviceId });
    if (ports[0] === undefined) throw new Error(`no port has the device_id ${deviceId} after cable-cni ADD`);
    return ports[0];
  });
}

async function bindMachine(host: LabHost, tenants: Tenants, cloud: Cloud): Promise<Guest> {
  const startedAt = performance.now();
  const port = await createPort(tenants.blue, {
    name: 'machine',
    segment: cloud.blue,
    group: cloud.blueGroup,
    host: host.name,
    vnicType: 'baremetal',
  });
  const ip = port.fixed_ips[0]?.ip_address;
  if (ip === undefined) throw new Error('the physical machine’s port got no address');
  return awaitMachine({ name: 'machine', host, portId: port.id, macAddress: port.mac_address, ip }, startedAt);
}

/** In each guest with a namespace: the lab's small server, which says who it is and moves bytes. */
async function startServices(processes: Processes, guests: Guests): Promise<void> {
  const { qemu: _, ...namespaced } = guests;
  await Promise.all(
    Object.values(namespaced).map((guest: Guest) =>
      processes.start({
        name: `service-${guest.name}`,
        command: [process.execPath, TOOL, 'serve', guest.name],
        netns: guest.netns ?? '',
        ready: /^ready$/m,
      }),
    ),
  );
}

const TOOL = `${REPOSITORY}/packages/lab/dist/traffic/tool.js`;

/** Runs the lab's traffic program in a guest; returns what it printed. Throws with its reason when it failed. */
export async function inGuest<T>(guest: Guest, verb: string, target: GuestTarget, options: object = {}): Promise<T> {
  const command = [process.execPath, TOOL, verb, target.ip, String(target.port), JSON.stringify(options)];
  const result = await run(command, { netns: guest.netns, timeoutMs: 120_000 });
  if (result.code !== 0) throw new Error(`${guest.name}: ${verb} ${target.ip}:${target.port}: ${result.stderr.trim()}`);
  return JSON.parse(result.stdout) as T;
}

export type GuestTarget = { readonly ip: string; readonly port: number };
