import { existsSync, writeFileSync } from 'node:fs';
import { askAgent } from '../agent-socket.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { createPort } from '../cloud.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import { type MovableVm, startMovableVm } from '../guests/movable.ts';
import type { Lab } from '../lab.ts';
import type { LabHost } from '../names.ts';
import type { Restartable } from '../restartable.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest, startServices } from '../traffic/in-guest.ts';
import { CHUNK_BYTES } from '../traffic/pattern.ts';
import { type PingResult, ping } from '../traffic/ping.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';

/** A VM on the source, one on the destination and one on a third host; the one that moves is made by the first check. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {}, h3: {} },
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

type MoveLab = Lab<typeof WORLD>;

const moved = new WeakMap<object, MovableVm>();

function movable(lab: MoveLab): MovableVm {
  const vm = moved.get(lab.ledger);
  if (vm === undefined) throw new Error('the VM was not made: an earlier check failed, or was left out');
  return vm;
}

async function makeVm(lab: MoveLab, name: string, group: 'blue' | 'quiet'): Promise<MovableVm> {
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
async function takenBy(host: LabHost): Promise<number> {
  const { handover } = (await askAgent(host, '/status')) as { readonly handover: { readonly taken: { made: number } } };
  return handover.taken.made;
}

/** Waits until those are so many. */
async function untilTaken(host: LabHost, count: number): Promise<void> {
  await eventually({ what: `${host.short} to have taken ${count} flows`, deadlineMs: 60_000 }, async () =>
    (await takenBy(host)) >= count ? true : undefined,
  );
}

function agentOf({ agent, short }: { readonly agent?: Restartable | undefined; readonly short: string }): Restartable {
  if (agent === undefined) throw new Error(`${short} has no agent`);
  return agent;
}

/** Waits until a host's agent has programmed the port. */
async function untilUp(host: LabHost, portId: string): Promise<void> {
  await eventually({ what: `${host.short} to have programmed the port`, deadlineMs: 10_000 }, async () => {
    const ports = (await askAgent(host, '/vifs')) as readonly { readonly port_id?: string; readonly state?: string }[];
    return ports.some((one) => one.port_id === portId && one.state === 'up') ? true : undefined;
  });
}

/**
 * What Nova does: prepare, switch while the guest is paused, end the source. `flows`: so many are handed over first, as while memory is copied. Resolves to how long the guest was paused (ms).
 */
async function migrate(lab: MoveLab, to: LabHost, vm = movable(lab), flows = 0): Promise<number> {
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

/** Two pieces of a stream, between which nothing is sent for some seconds. */
function idleStream(from: Guest, to: Guest): Promise<{ readonly ok: boolean }> {
  const options = { bytes: 2 * CHUNK_BYTES, rate: CHUNK_BYTES / IDLE_SECONDS };
  return inGuest(from, 'put', { ip: to.ip, port: OPEN_PORT }, options);
}

/** Waits until the guest is answered from everywhere: all hosts know where it is. It asks, so nothing that was idle is woken. */
async function untilKnown(lab: MoveLab, { netns, name }: Guest): Promise<void> {
  for (const { ip } of Object.values(lab.guests)) {
    await eventually({ what: `an answer from ${ip} to ${name}`, deadlineMs: 60_000 }, async () =>
      (await ping(netns ?? '', ip, { count: 1 })).silent ? undefined : true,
    );
  }
}

/** Waits until the guest has so many connections. */
async function untilConnected({ name, netns }: Guest, count: number): Promise<void> {
  await eventually({ what: `${name} to have ${count} connections`, deadlineMs: 10_000, everyMs: 20 }, async () => {
    const { stdout } = await run(['ss', '-Htn', 'state', 'established'], { netns });
    return stdout.trim().split('\n').length >= count ? true : undefined;
  });
}

const IDLE_SECONDS = 6;

/** A question of the VM that is answered when the test says so. `over`: TCP, or one datagram each way. */
type Question = { readonly what: string; readonly answer: Promise<string> };

/** Asks, and resolves when the question has come there. */
async function askAndWait(
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
async function makeBalancer(lab: MoveLab): Promise<{ readonly ip: string; retire(): Promise<void> }> {
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
const VIP_PORT = 80;

/** Pings at a high rate, of which so many take longer than what is done meanwhile. */
function pingFast(from: Guest, to: Guest): Promise<PingResult> {
  return ping(from.netns ?? '', to.ip, { count: PINGS, intervalMs: 1, deadlineSeconds: 60 });
}

const PINGS = 4000;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'migration',
    name: 'a VM moves under pings every ms from four sides and a stream: how many are lost, and the stream is whole',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      moved.set(lab.ledger, await makeVm(lab, 'mover', 'blue'));
      const { guest } = movable(lab);
      const { source, target, third, routed } = lab.guests;
      for (const other of [source, target, third, routed]) await expectPings(other, guest);
      const stream = inGuest<{ ok: boolean; bytes: number }>(
        third,
        'put',
        { ip: guest.ip, port: OPEN_PORT },
        { seconds: 5, rate: 4_000_000 },
      );
      const pings = Promise.all([source, target, third, routed].map((other) => pingFast(other, guest)));
      const idle = Promise.all([idleStream(third, guest), idleStream(guest, third)]);
      await untilConnected(guest, 3);
      const paused = await migrate(lab, lab.hosts.h2);
      const results = await pings;
      const { ok, bytes } = await stream;
      expect(ok, `of ${bytes} bytes not all came, or not as they were sent`);
      for (const result of await idle) expect(result.ok, 'a connection that was idle while the VM moved did not go on');
      const lost = results.map((result) => PINGS - result.answered);
      // Of those that were under way while it was paused some may be lost, and none afterwards.
      const late = results.some((result) => result.lost.includes(PINGS));
      expect(!late, `of ${PINGS} pings each ${lost.join(', ')} were not answered, and one of the last was not`);
      const from = ['source', 'target', 'third', 'through the router'];
      const told = from.map((name, at) => `${name} ${lost[at]}`).join(', ');
      return `paused ${duration(paused)}; of ${PINGS} pings lost: ${told}; ${(bytes / 1e6).toFixed(1)} MB whole, and idle connections both ways`;
    },
  },
  {
    group: 'migration',
    name: 'it is there: the port is bound to the new host, all reach it and it reaches all',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { guest } = movable(lab);
      const port = await lab.tenants.blue.get('port', guest.portId);
      expect(port['binding:host_id'] === lab.hosts.h2.name, `it is bound to ${port['binding:host_id']}`);
      for (const other of Object.values(lab.guests)) {
        await expectPings(other, guest);
        await expectPings(guest, other);
      }
      return `${guest.ip} at ${lab.hosts.h2.name}`;
    },
  },
  {
    group: 'migration',
    name: 'the source’s binding is deleted: nothing of the port is left there, and it moves on to a third host',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { guest } = movable(lab);
      const { blue } = lab.tenants;
      const { h1, h3 } = lab.hosts;
      await blue.request('DELETE', `/v2.0/ports/${guest.portId}/bindings/${h1.name}`);
      await eventually({ what: 'the source to forget the port', deadlineMs: 10_000 }, async () => {
        const ports = (await askAgent(h1, '/vifs')) as readonly { readonly port_id?: string }[];
        return ports.every((one) => one.port_id !== guest.portId) ? true : undefined;
      });
      const paused = await migrate(lab, h3);
      for (const other of Object.values(lab.guests)) await expectPings(other, guest);
      return `paused ${duration(paused)}`;
    },
  },
  {
    group: 'idle',
    name: 'a VM that lets nobody in moves: connections that it had, idle meanwhile, go on though the other side speaks first',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const vm = await makeVm(lab, 'quiet', 'quiet');
      const { source, target, third, routed } = lab.guests;
      const balancer = await makeBalancer(lab);
      const go = `${lab.names.dir}/go`;
      const ask = (to: { name: string; ip: string; port: number }, over: 'when' | 'when-udp'): Promise<Question> =>
        askAndWait(lab, { from: vm.guest, to, over, go });
      const questions: Question[] = [];
      for (const { name, ip } of [source, target, third, routed]) {
        for (const over of ['when', 'when-udp'] as const)
          questions.push(await ask({ name, ip, port: OPEN_PORT }, over));
      }
      questions.push(await ask({ name: 'the virtual address', ip: balancer.ip, port: VIP_PORT }, 'when'));
      await balancer.retire();
      // Those with the guest of the target are there.
      const paused = await migrate(lab, lab.hosts.h2, vm, questions.length - 2);
      // A datagram is sent once.
      await untilKnown(lab, vm.guest);
      writeFileSync(go, '');
      const lost: string[] = [];
      for (const { what, answer } of questions) await answer.catch(() => lost.push(what));
      expect(lost.length === 0, `no answer came to ${lost.join(', ')}`);
      return `paused ${duration(paused)}; ${questions.length} answered; ${await takenBy(lab.hosts.h2)} flows were handed over`;
    },
  },
  {
    group: 'idle',
    name: 'it moves while the agents of source and target are killed: its idle connections go on',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const vm = await makeVm(lab, 'hurried', 'quiet');
      const { h1, h2 } = lab.hosts;
      const { blue } = lab.tenants;
      const path = `/v2.0/ports/${vm.guest.portId}/bindings`;
      const go = `${lab.names.dir}/go-hurried`;
      const questions: Question[] = [];
      for (const { name, ip } of Object.values(lab.guests)) {
        const to = { name: `${name} of hurried`, ip, port: OPEN_PORT };
        questions.push(await askAndWait(lab, { from: vm.guest, to, over: 'when', go }));
      }
      const before = await takenBy(h2);
      await agentOf(h1).kill();
      await blue.request('POST', path, { binding: { host: h2.name } });
      await vm.prepare(h2);
      await untilUp(h2, vm.guest.portId);
      await vm.pause();
      await agentOf(h1).start();
      await untilTaken(h2, before + questions.length - 1);
      await agentOf(h2).kill();
      await blue.request('PUT', `${path}/${h2.name}/activate`);
      await vm.resume();
      await agentOf(h2).start();
      await untilKnown(lab, vm.guest);
      writeFileSync(go, '');
      const lost: string[] = [];
      for (const { what, answer } of questions) await answer.catch(() => lost.push(what));
      expect(lost.length === 0, `no answer came to ${lost.join(', ')}`);
      return `${questions.length} answered`;
    },
  },
];

export const LIVE_MIGRATION: Story = defineStory({
  name: 'live-migration',
  sentence: 'A VM moves to another host while it runs, as Nova moves it: its connections go on.',
  world: WORLD,
  checks: CHECKS,
});
