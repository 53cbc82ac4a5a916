import { startAgent } from '../agent.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings, pingFrom } from '../checks/check.ts';
import { expectChange } from '../checks/rule.ts';
import { eventually } from '../eventually.ts';
import { ipBatch, mustRun } from '../exec.ts';
import { routesOf, underlayAddress } from '../names.ts';
import { defineStory, type Story } from '../story.ts';
import { addressOn } from '../topology.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

const NEW_ADDRESS = underlayAddress(101);

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'underlay',
    name: 'a host’s agent restarted at another underlay address: its guests are reached there',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { h1 } = lab.hosts;
      const { vm1, vm2 } = lab.guests;
      await expectPings(vm2, vm1);
      const { control, underlay } = routesOf();
      await ipBatch(h1.netns, [
        addressOn('up0', NEW_ADDRESS, 4),
        // Else the agent's own connection would come from the address that goes, and be found dead only after some silence.
        `route replace ${control.subnet} via ${underlay.router} src ${NEW_ADDRESS}`,
      ]);
      await h1.agent?.stop();
      await startAgent(lab.names, lab.processes, { ...h1, underlay: NEW_ADDRESS }, lab.encapsulation);
      const startedAt = performance.now();
      await untilSynced(h1);
      await removeAddress(h1.netns, h1.underlay);
      await eventually({ what: 'vm2 to reach vm1 at the new address', deadlineMs: 10_000 }, async () =>
        (await pingFrom(vm2, vm1.ip, { count: 1, deadlineSeconds: 1 })).silent ? undefined : true,
      );
      const took = performance.now() - startedAt;
      await expectPings(vm2, vm1, 50);
      await expectPings(vm1, vm2, 50);
      return `after ${duration(took)}, and the old address is gone`;
    },
  },
  {
    group: 'underlay',
    name: 'the server has the new address, and changes work',
    concerns: ['server', 'agent'],
    run: async ({ hosts: { h1 }, tenants, groups, guests }) => {
      const host = await tenants.blue.get('host', h1.name);
      expect(host.underlay === NEW_ADDRESS && host.alive, `the host is ${JSON.stringify(host)}`);
      const took = await expectChange(tenants.blue, groups.blue, guests.vm2, guests.vm1);
      return `${host.underlay}; a rule allowed after ${duration(took)}`;
    },
  },
  {
    group: 'underlay',
    name: 'the old address is free for another host',
    concerns: ['server'],
    run: async ({ hosts: { h1 }, tenants, names }) => {
      const registration = { underlay: h1.underlay, agentVersion: 'lab' };
      await tenants.blue.request('PUT', `/cable/v1/hosts/${names.lab}-h9`, registration);
      return `${h1.underlay}, taken by a third host`;
    },
  },
];

/** The other address stays: without this setting the kernel removes it with the first. */
async function removeAddress(netns: string, address: string): Promise<void> {
  await mustRun(['sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries'], { netns });
  await ipBatch(netns, [`addr del ${address}/24 dev up0`]);
}

export const UNDERLAY_CHANGE: Story = defineStory({
  name: 'underlay-change',
  sentence: 'A host moves to another underlay address: the same agent, restarted, is reached there.',
  world: WORLD,
  checks: CHECKS,
});
