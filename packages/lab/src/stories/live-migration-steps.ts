/** What checks of VMs that move have in common. */
import { existsSync } from 'node:fs';
import { askAgent } from '../agent-socket.ts';
import { createPort } from '../cloud.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import { type MovableVm, startMovableVm } from '../guests/movable.ts';
import type { Lab } from '../lab.ts';
import type { LabHost } from '../names.ts';
import type { Restartable } from '../restartable.ts';
import { inGuest, startServices } from '../traffic/in-guest.ts';
import { CHUNK_BYTES } from '../traffic/pattern.ts';
import { type PingResult, ping } from '../traffic/ping.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';

/** A VM on the source, one on the destination and one on a third host; the one that moves is made by the first check. */
export const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {}, h3: {} },
  // A datagram that nobody has answered yet is not forgotten while a slow machine moves a VM.
  agentOptions: ['--flow-timeouts', 'udp_new=5m'],
  projects: ['blue'],
  networks: {
    blue: { project: 'blue', cidr: '10.10.0.0/24' },
    green: { project: 'blue', cidr: '10.20.0.0/24' },
  },
  routers: { router: { project: 'blue', networks: ['blue', 'green'] } },
  groups: {
    blue: { project: 'blue', allow: ['ping', 'service', 'datagrams'] },
    // Lets nobody in: what its members began is all that they have.
    quiet: { project: 'blue', allow: [] },
  },
  guests: {
    source: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'blue', group: 'blue' },
    target: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'blue', group: 'blue' },
    third: { kind: 'vm', dhcp: 'udhcpc', host: 'h3', network: 'blue', group: 'blue' },
    routed: { kind: 'vm', dhcp: 'udhcpc', host: 'h3', network: 'green', group: 'blue' },
  },
} as const;

export type MoveLab = Lab<typeof WORLD>;

export const moved: WeakMap<object, MovableVm> = new WeakMap();

export function movable(lab: MoveLab): MovableVm {
  const vm = moved.get(lab.ledger);
  if (vm === undefined) throw new Error('the VM was not made: an earlier check failed, or was left out');
  return vm;
}

export async function makeVm(lab: MoveLab, name: string, group: 'blue' | 'quiet'): Promise<MovableVm> {
  const { tenants, networks, groups, hosts, names, processes, ledger } = lab;
  const wish = { name, segment: networks.blue, group: groups[group], host: hosts.h1.name };
  const port = await createPort(tenants.blue, wish);
  const common = { name, host: hosts.h1, portId: port.id, macAddress: port.mac_address };
  const options = { ...common, mtuBytes: networks.blue.network.mtu, client: 'udhcpc' } as const;
  const vm = await startMovableVm(options, { names, processes, ledger });
  await startServices(processes, [vm.guest]);
  return vm;
}

/** Flows that a host has put in for ports that come to it, since its agent started. What its own guests have with them is there already. */
export async function takenBy(host: LabHost): Promise<number> {
  const { handover } = (await askAgent(host, '/status')) as { readonly handover: { readonly taken: { made: number } } };
  return handover.taken.made;
}

/** Waits until those are so many. */
export async function untilTaken(host: LabHost, count: number): Promise<void> {
  await eventually({ what: `${host.short} to have taken ${count} flows`, deadlineMs: 60_000 }, async () =>
    (await takenBy(host)) >= count ? true : undefined,
  );
}

export function agentOf({
  agent,
  short,
}: {
  readonly agent?: Restartable | undefined;
  readonly short: string;
}): Restartable {
  if (agent === undefined) throw new Error(`${short} has no agent`);
  return agent;
}

/** Waits until a host's agent has programmed the port. */
export async function untilUp(host: LabHost, portId: string): Promise<void> {
  await eventually({ what: `${host.short} to have programmed the port`, deadlineMs: 10_000 }, async () => {
    const ports = (await askAgent(host, '/vifs')) as readonly { readonly port_id?: string; readonly state?: string }[];
    return ports.some((one) => one.port_id === portId && one.state === 'up') ? true : undefined;
  });
}

/**
 * What Nova does: prepare, switch while the guest is paused, end the source. `flows`: so many are handed over first, as while memory is copied. Resolves to how long the guest was paused (ms).
 */
export async function migrate(lab: MoveLab, to: LabHost, vm: MovableVm = movable(lab), flows = 0): Promise<number> {
  const before = await takenBy(to);
  const { guest, prepare, pause, resume } = vm;
  const { blue } = lab.tenants;
  const path = `/v2.0/ports/${guest.portId}/bindings`;
  await blue.request('POST', path, { binding: { host: to.name } });
  await prepare(to);
  await untilUp(to, guest.portId);
  await untilTaken(to, before + flows);
  const startedAt = performance.now();
  await pause();
  await blue.request('PUT', `${path}/${to.name}/activate`);
  await resume();
  return performance.now() - startedAt;
}

/** Its binding to a host that it has left is deleted, and nothing of it is there any more. */
export async function leave(lab: MoveLab, host: LabHost, { guest }: MovableVm): Promise<void> {
  await lab.tenants.blue.request('DELETE', `/v2.0/ports/${guest.portId}/bindings/${host.name}`);
  await eventually({ what: `${host.short} to forget the port`, deadlineMs: 60_000 }, async () => {
    const ports = (await askAgent(host, '/vifs')) as readonly { readonly port_id?: string }[];
    return ports.every((one) => one.port_id !== guest.portId) ? true : undefined;
  });
}

/** Two pieces of a stream, between which nothing is sent for some seconds. */
export function idleStream(from: Guest, to: Guest): Promise<{ readonly ok: boolean }> {
  const options = { bytes: 2 * CHUNK_BYTES, rate: CHUNK_BYTES / IDLE_SECONDS };
  return inGuest(from, 'put', { ip: to.ip, port: OPEN_PORT }, options);
}

/** Waits until the guest is answered from everywhere: all hosts know where it is. It asks, so nothing that was idle is woken. */
export async function untilKnown(lab: MoveLab, { netns, name }: Guest): Promise<void> {
  for (const { ip } of Object.values(lab.guests)) {
    await eventually({ what: `an answer from ${ip} to ${name}`, deadlineMs: 60_000 }, async () =>
      (await ping(netns ?? '', ip, { count: 1 })).silent ? undefined : true,
    );
  }
}

/** Waits until the guest has so many connections. */
export async function untilConnected({ name, netns }: Guest, count: number): Promise<void> {
  await eventually({ what: `${name} to have ${count} connections`, deadlineMs: 10_000, everyMs: 20 }, async () => {
    const { stdout } = await run(['ss', '-Htn', 'state', 'established'], { netns });
    return stdout.trim().split('\n').length >= count ? true : undefined;
  });
}

const IDLE_SECONDS = 6;

/** A question of the VM that is answered when the test says so. `over`: TCP, or one datagram each way. */
export type Question = { readonly what: string; readonly answer: Promise<string> };

/** Asks, and resolves when the question has come there. */
export async function askAndWait(
  lab: MoveLab,
  {
    from,
    to,
    over,
    go,
  }: { from: Guest; to: { name: string; ip: string; port: number }; over: 'when' | 'when-udp'; go: string },
): Promise<Question> {
  const what = `${over === 'when' ? 'TCP' : 'UDP'} to ${to.name}`;
  const heard = `${lab.names.dir}/heard-${over}-${to.name}`;
  const answer = inGuest<string>(from, over, { ip: to.ip, port: to.port }, { heard, go });
  // It is awaited when all have been asked.
  answer.catch(() => undefined);
  await eventually({ what: `${to.name} to hear ${what}`, deadlineMs: 60_000, everyMs: 20 }, () =>
    existsSync(heard) ? true : undefined,
  );
  return { what, answer };
}

/** A virtual address in front of a guest of the third host. Resolves to it, and to what takes it away from all new connections. */
export async function makeBalancer(lab: MoveLab): Promise<{ readonly ip: string; retire(): Promise<void> }> {
  const { blue } = lab.tenants;
  const subnet = lab.networks.blue.subnet.id;
  const balancer = await blue.create('loadbalancer', { vip_subnet_id: subnet, vip_address: VIP });
  const listener = await blue.create('listener', {
    ...{ loadbalancer_id: balancer.id, protocol: 'TCP', protocol_port: VIP_PORT },
  });
  const pool = await blue.create('pool', {
    ...{ listener_id: listener.id, protocol: 'TCP', lb_algorithm: 'SOURCE_IP_PORT' },
  });
  const setWeight = async (weight: number): Promise<void> => {
    const { name, ip } = lab.guests.third;
    const members = [{ name, address: ip, protocol_port: OPEN_PORT, subnet_id: subnet, weight }];
    await blue.action('pool', String(pool.id), 'replace_members', { members });
  };
  await setWeight(1);
  return { ip: VIP, retire: () => setWeight(0) };
}

const VIP = '10.10.0.200';
export const VIP_PORT = 80;

/** Pings at a high rate, of which so many take longer than what is done meanwhile. */
export function pingFast(from: Guest, to: Guest): Promise<PingResult> {
  return ping(from.netns ?? '', to.ip, { count: PINGS, intervalMs: 1, deadlineSeconds: 60 });
}

export const PINGS = 4000;
