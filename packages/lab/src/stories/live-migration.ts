import { writeFileSync } from 'node:fs';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { ipBatch, run } from '../exec.ts';
import { tapName } from '../guests/guest.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { KEEPS_ITS_GROUPS } from './live-migration-groups.ts';
import {
  agentOf,
  askAndWait,
  idleStream,
  leave,
  makeBalancer,
  makeVm,
  migrate,
  movable,
  moved,
  PINGS,
  pingFast,
  type Question,
  takenBy,
  untilConnected,
  untilKnown,
  untilTaken,
  untilUp,
  VIP_PORT,
  WORLD,
} from './live-migration-steps.ts';

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
      const late = results.some((result) => result.sent < PINGS || result.lost.includes(PINGS));
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
      await untilKnown(lab, guest);
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
      const { h1, h3 } = lab.hosts;
      await leave(lab, h1, movable(lab));
      const paused = await migrate(lab, h3);
      await untilKnown(lab, guest);
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
  {
    group: 'idle',
    name: 'a VM that has sent 10,000 datagrams which nobody answers moves: its idle connections are told first, and go on',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const vm = await makeVm(lab, 'busy', 'quiet');
      const { h1, h2 } = lab.hosts;
      const go = `${lab.names.dir}/go-busy`;
      const datagrams = `for ((port = 20000; port < 30000; port++)); do echo > /dev/udp/${lab.guests.third.ip}/$port; done`;
      await run(['bash', '-c', datagrams], { netns: vm.guest.netns, timeoutMs: 60_000 });
      const questions: Question[] = [];
      for (const { name, ip } of Object.values(lab.guests)) {
        const to = { name: `${name} of busy`, ip, port: OPEN_PORT };
        questions.push(await askAndWait(lab, { from: vm.guest, to, over: 'when', go }));
      }
      const before = await takenBy(h2);
      const paused = await migrate(lab, h2, vm);
      await leave(lab, h1, vm);
      await untilKnown(lab, vm.guest);
      writeFileSync(go, '');
      const lost: string[] = [];
      for (const { what, answer } of questions) await answer.catch(() => lost.push(what));
      expect(lost.length === 0, `${lost.length} of ${questions.length} did not go on: ${lost.join(', ')}`);
      return `paused ${duration(paused)}; ${questions.length} answered; ${(await takenBy(h2)) - before} flows had come`;
    },
  },
  {
    group: 'again',
    name: 'it moves on and on, and comes back: connections that were begun at each host and are idle since go on, though the other side speaks first',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const vm = await makeVm(lab, 'nomad', 'quiet');
      const { h1, h2, h3 } = lab.hosts;
      const go = `${lab.names.dir}/go-nomad`;
      const questions: Question[] = [];
      const paused: number[] = [];
      let last = h1;
      for (const next of [h2, h3, h1]) {
        for (const { name, ip } of Object.values(lab.guests)) {
          const to = { name: `${name} at ${last.short}`, ip, port: OPEN_PORT };
          questions.push(await askAndWait(lab, { from: vm.guest, to, over: 'when', go }));
        }
        // Nobody looks whether flows have come: the switch waits for them.
        paused.push(await migrate(lab, next, vm));
        await leave(lab, last, vm);
        last = next;
      }
      await untilKnown(lab, vm.guest);
      writeFileSync(go, '');
      const lost: string[] = [];
      for (const { what, answer } of questions) await answer.catch(() => lost.push(what));
      expect(lost.length === 0, `${lost.length} of ${questions.length} did not go on: ${lost.join(', ')}`);
      return `${questions.length} connections, three moves (paused ${paused.map(duration).join(', ')}), all answered`;
    },
  },
  {
    group: 'again',
    name: 'two moves at once, of which the first is not seen by all when the second comes: its idle connections go on',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const vm = await makeVm(lab, 'hasty', 'quiet');
      const { h1, h2, h3 } = lab.hosts;
      const { blue } = lab.tenants;
      const { portId } = vm.guest;
      const path = `/v2.0/ports/${portId}/bindings`;
      const go = `${lab.names.dir}/go-hasty`;
      const questions: Question[] = [];
      for (const { name, ip } of Object.values(lab.guests)) {
        const to = { name: `${name} of hasty`, ip, port: OPEN_PORT };
        questions.push(await askAndWait(lab, { from: vm.guest, to, over: 'when', go }));
      }
      for (const host of [h2, h3]) await blue.request('POST', path, { binding: { host: host.name } });
      // It does not run at the second host: its device there is nobody's.
      const tap = tapName(portId);
      await ipBatch(h2.netns, [`tuntap add dev ${tap} mode tap`, `link set ${tap} up`]);
      await vm.prepare(h3);
      for (const host of [h2, h3]) await untilUp(host, portId);
      await vm.pause();
      const startedAt = performance.now();
      await blue.request('PUT', `${path}/${h2.name}/activate`);
      const firstAt = performance.now();
      await blue.request('PUT', `${path}/${h3.name}/activate`);
      const both = performance.now() - firstAt;
      await vm.resume();
      await ipBatch(h2.netns, [`link delete ${tap}`]);
      for (const host of [h1, h2]) await leave(lab, host, vm);
      await untilKnown(lab, vm.guest);
      writeFileSync(go, '');
      const lost: string[] = [];
      for (const { what, answer } of questions) await answer.catch(() => lost.push(what));
      expect(lost.length === 0, `${lost.length} of ${questions.length} did not go on: ${lost.join(', ')}`);
      return `${questions.length} answered; the first switch took ${duration(firstAt - startedAt)}, the second was ${duration(both)} later`;
    },
  },
  KEEPS_ITS_GROUPS,
];

export const LIVE_MIGRATION: Story = defineStory({
  name: 'live-migration',
  sentence: 'A VM moves to another host while it runs, as Nova moves it: its connections go on.',
  world: WORLD,
  checks: CHECKS,
});
