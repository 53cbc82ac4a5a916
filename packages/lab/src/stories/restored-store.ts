import { cpSync, renameSync } from 'node:fs';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings, pingFrom } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { logSizes, untilStoreRefused } from '../checks/other-store.ts';
import { expectChange, retried } from '../checks/rule.ts';
import { withStoreAtRest } from '../control-plane.ts';
import { eventually } from '../eventually.ts';
import { mustRun } from '../exec.ts';
import { addedPod, addPodTo } from '../guests/later.ts';
import { LAUNCHER } from '../names.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

/** Made after the copy: the restored store does not know it. */
const POD = 'pod1';

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'restore',
    name: 'the store is copied; then a pod and a rule are made',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      await withStoreAtRest(lab.control, (dir) => cpSync(dir, `${dir}.copy`, { recursive: true }));
      await Promise.all([lab.hosts.h1, lab.hosts.h2].map((host) => untilSynced(host)));
      const pod = await retried(() => addPodTo(lab, POD, { host: 'h2', network: 'blue', group: 'blue' }));
      await expectPings(lab.guests.vm1, pod);
      const took = await expectChange(lab.tenants.blue, lab.groups.blue, lab.guests.vm2, lab.guests.vm1);
      return `${POD} is at ${pod.ip}; a rule allowed after ${duration(took)}`;
    },
  },
  {
    group: 'restore',
    name: 'the copy restored: agents refuse it, all traffic goes on',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { names, control, guests, hosts } = lab;
      const pod = addedPod(lab, POD);
      const all = [hosts.h1, hosts.h2];
      const logged = logSizes(names, all);
      const { result, pings } = await duringPings(guests.vm1, guests.vm2, async () => {
        await withStoreAtRest(control, (dir) => {
          renameSync(dir, `${dir}.newer`);
          renameSync(`${dir}.copy`, dir);
        });
        return untilStoreRefused(names, all, logged);
      });
      const ports = await retried(() => lab.tenants.blue.list('port'));
      expect(!ports.some((port) => port.id === pod.portId), 'the restored store knows the pod: it is not older');
      const toPod = await pingFrom(guests.vm1, pod.ip, { count: 5 });
      expect(toPod.lost.length === 0, `${toPod.answered} of 5 pings to ${POD} answered`);
      const met = await inGuest<string>(guests.vm2, 'who', { ip: guests.vm1.ip, port: OPEN_PORT });
      expect(met === 'vm1', `vm2 met ${met}`);
      return `${pings} of ${pings} pings answered, new flows too; the agents say: ${result}`;
    },
  },
  {
    group: 'restore',
    name: 'agents restarted meanwhile refuse it still, and traffic goes on',
    concerns: ['agent'],
    run: async ({ names, hosts, guests }) => {
      const all = [hosts.h1, hosts.h2];
      const logged = logSizes(names, all);
      const { pings } = await duringPings(guests.vm1, guests.vm2, async () => {
        for (const { agent } of all) await agent?.kill();
        for (const { agent } of all) await agent?.start();
        await untilStoreRefused(names, all, logged);
      });
      return `${pings} of ${pings} pings answered`;
    },
  },
  {
    group: 'adopt',
    name: '`cable host adopt-store` on each host takes it over: changes work',
    concerns: ['server', 'agent'],
    run: async ({ hosts, guests, tenants, groups }) => {
      const { pings } = await duringPings(guests.vm1, guests.vm2, async () => {
        for (const host of [hosts.h1, hosts.h2]) {
          await mustRun([process.execPath, LAUNCHER, 'host', 'adopt-store', '--host', host.name]);
          await untilSynced(host);
        }
      });
      const took = await expectChange(tenants.blue, groups.blue, guests.vm2, guests.vm1);
      return `${pings} of ${pings} pings answered; a rule allowed after ${duration(took)}`;
    },
  },
  {
    group: 'adopt',
    name: 'what the restored store does not know is carried no more',
    concerns: ['agent-h2'],
    run: async (lab) => {
      const { ip } = addedPod(lab, POD);
      await eventually({ what: `${POD} to fall silent`, deadlineMs: 10_000 }, async () =>
        (await pingFrom(lab.guests.vm1, ip, { count: 2, deadlineSeconds: 1 })).silent ? true : undefined,
      );
      return `${POD} at ${ip}`;
    },
  },
];

export const RESTORED_STORE: Story = defineStory({
  name: 'restored-store',
  sentence:
    'The store is restored from an older copy: agents refuse it and carry on, until the operator has them take it over.',
  world: WORLD,
  checks: CHECKS,
});
