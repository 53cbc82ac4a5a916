import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { logSizes, untilStoreRefused } from '../checks/other-store.ts';
import { expectChange, retried } from '../checks/rule.ts';
import { withStoreAtRest } from '../control-plane.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'empty',
    name: 'an empty store behind the same address: agents refuse it, traffic goes on',
    concerns: ['server', 'agent'],
    run: async ({ names, control, guests, hosts, tenants }) => {
      const all = [hosts.h1, hosts.h2];
      const logged = logSizes(names, all);
      const { result, pings } = await duringPings(guests.vm1, guests.vm2, async () => {
        await withStoreAtRest(control, (dir) => {
          renameSync(dir, `${dir}.true`);
          mkdirSync(dir, { mode: 0o700 });
        });
        return untilStoreRefused(names, all, logged);
      });
      const ports = await retried(() => tenants.blue.list('port'));
      expect(ports.length === 0, `the store is not empty: it has ${ports.length} ports`);
      return `${pings} of ${pings} pings answered; the agents say: ${result}`;
    },
  },
  {
    group: 'empty',
    name: 'agents restarted meanwhile: new flows work, nothing is removed',
    concerns: ['agent'],
    run: async ({ names, hosts, guests: { vm1, vm2 } }) => {
      const all = [hosts.h1, hosts.h2];
      const logged = logSizes(names, all);
      const { pings } = await duringPings(vm1, vm2, async () => {
        for (const { agent } of all) await agent?.kill();
        for (const { agent } of all) await agent?.start();
        await untilStoreRefused(names, all, logged);
      });
      for (const [from, to] of [
        [vm1, vm2],
        [vm2, vm1],
      ] as const) {
        const met = await inGuest<string>(from, 'who', { ip: to.ip, port: OPEN_PORT });
        expect(met === to.name, `${from.name} met ${met}`);
      }
      return `${pings} of ${pings} pings answered`;
    },
  },
  {
    group: 'back',
    name: 'the true store is back: agents follow it again by themselves',
    concerns: ['server', 'agent'],
    run: async ({ control, guests, hosts, tenants, groups }) => {
      const startedAt = performance.now();
      await withStoreAtRest(control, (dir) => {
        rmSync(dir, { recursive: true });
        renameSync(`${dir}.true`, dir);
      });
      // A refused agent asks again every 30 s.
      for (const host of [hosts.h1, hosts.h2]) await untilSynced(host, 45_000);
      const back = performance.now() - startedAt;
      const took = await expectChange(tenants.blue, groups.blue, guests.vm2, guests.vm1);
      await expectPings(guests.vm1, guests.vm2);
      return `in sync after ${duration(back)}; a rule allowed after ${duration(took)}`;
    },
  },
];

export const STORE_GUARD: Story = defineStory({
  name: 'store-guard',
  sentence: 'An empty store appears behind the server’s address: no agent believes it, and no guest notices.',
  world: WORLD,
  checks: CHECKS,
});
