import { ALL_AGENTS, type Check, expect, expectPings, pingFrom } from '../../checks/check.ts';
import { inGuest } from '../../traffic/in-guest.ts';
import { OPEN_PORT } from '../../traffic/protocol.ts';
import type { DemoWorld } from './world.ts';

/** Two tenants use the same addresses on the same hosts and never meet. */
export const TENANT_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'tenants',
    name: 'equal addresses: each tenant meets its own',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { vm1, pod1, red1, red2 } = lab.guests;
      await expectPings(red1, red2);
      const blueMeets = await inGuest<string>(vm1, 'who', { ip: pod1.ip, port: OPEN_PORT });
      const redMeets = await inGuest<string>(red1, 'who', { ip: red2.ip, port: OPEN_PORT });
      expect(blueMeets === 'pod1', `vm1 asked ${pod1.ip} and met ${blueMeets}`);
      expect(redMeets === 'red2', `red1 asked ${red2.ip} and met ${redMeets}`);
      return `at ${pod1.ip} vm1 meets pod1, red1 meets red2`;
    },
  },
  {
    group: 'tenants',
    name: 'what only the other tenant has is not reached',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { red1, red2, machine, vm2 } = lab.guests;
      const pairs = [red1, red2].flatMap((from) => [machine, vm2].map((to) => ({ from, to })));
      const reached = await Promise.all(
        pairs.map(async ({ from, to }) => ({
          from,
          to,
          result: await pingFrom(from, to.ip, { count: 3, deadlineSeconds: 1 }),
        })),
      );
      for (const { from, to, result } of reached) {
        expect(result.silent, `${from.name} reached ${to.name} (${to.ip}) of the other tenant`);
      }
      return 'red1, red2 do not reach machine, vm2';
    },
  },
];
