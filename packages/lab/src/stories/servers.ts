import { createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { expectChange, retried } from '../checks/rule.ts';
import type { LabServer } from '../control-plane.ts';
import { eventually } from '../eventually.ts';
import { addPodTo } from '../guests/later.ts';
import { defineStory, type Story } from '../story.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['etcd'], servers: 3, ...TWO_VMS } as const;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'servers',
    name: 'all servers show the same ports',
    concerns: ['server'],
    run: async ({ control }) => {
      const [count = 0, ...others] = await Promise.all(control.servers.map(countPorts));
      expect(count > 0 && others.every((other) => other === count), `they show ${[count, ...others].join(', ')} ports`);
      return `${control.servers.length} servers, ${count} ports`;
    },
  },
  {
    group: 'servers',
    name: 'the server with the streams killed: traffic and changes go on',
    concerns: ['server', 'agent', 'balancer'],
    run: async ({ control, guests: { vm1, vm2 }, tenants, groups, hosts }) => {
      const [first] = control.servers;
      const { result, pings } = await duringPings(vm1, vm2, async () => {
        await first.kill();
        const took = await expectChange(tenants.blue, groups.blue, vm2, vm1);
        await Promise.all([hosts.h1, hosts.h2].map((host) => untilSynced(host)));
        return took;
      });
      return `${pings} of ${pings} pings answered; a rule asked for at once allowed after ${duration(result)}`;
    },
  },
  {
    group: 'servers',
    name: 'a new pod is ACTIVE, with two servers',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const pod = await addPodTo(lab, 'pod1', { host: 'h2', network: 'blue', group: 'blue' });
      await expectPings(lab.guests.vm1, pod);
      await eventually({ what: 'its port to be ACTIVE', deadlineMs: 10_000 }, async () => {
        const { status } = await retried(() => lab.tenants.blue.get('port', pod.portId));
        expect(status === 'ACTIVE', `it is ${status}`);
        return true;
      });
      return `${pod.ip} in ${duration(pod.tookMs)}`;
    },
  },
  {
    group: 'servers',
    name: 'the second killed too: one server serves all hosts',
    concerns: ['server', 'agent'],
    run: async ({ control, guests: { vm1, vm2 }, tenants, groups }) => {
      await control.servers[1]?.kill();
      return `a rule allowed after ${duration(await expectChange(tenants.blue, groups.blue, vm1, vm2))}`;
    },
  },
  {
    group: 'servers',
    name: 'the killed servers come back with all that they missed',
    concerns: ['server'],
    run: async ({ control, guests: { vm1, vm2 }, tenants, groups }) => {
      const took = await Promise.all(control.servers.slice(0, 2).map((server) => server.start()));
      const counts = await Promise.all(control.servers.map(countPorts));
      expect(new Set(counts).size === 1, `they show ${counts.join(', ')} ports`);
      await expectChange(tenants.blue, groups.blue, vm2, vm1);
      return `after ${took.map(duration).join(', ')}`;
    },
  },
];

/** As this one server shows them. */
async function countPorts({ socket }: LabServer): Promise<number> {
  const transport = httpTransport(`unix:${socket}`);
  try {
    return (await createClient({ transport }).list('port')).length;
  } finally {
    transport.close();
  }
}

export const SERVERS: Story = defineStory({
  name: 'servers',
  sentence:
    'Three servers on one etcd, behind a balancer: the one that serves the agents is killed, and changes go on.',
  world: WORLD,
  checks: CHECKS,
});
