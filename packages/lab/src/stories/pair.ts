import { duration, expect, expectPings } from '../checks/check.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

export const PAIR: Story = defineStory({
  name: 'pair',
  sentence: 'Two VMs on two hosts in one network: the smallest lab, and where a new story begins.',
  world: WORLD,
  checks: [
    {
      group: 'traffic',
      name: 'the VMs answer each other’s pings',
      concerns: ['agent'],
      run: async ({ guests: { vm1, vm2 } }) => {
        const there = await expectPings(vm1, vm2);
        const back = await expectPings(vm2, vm1);
        return `${duration(there)} there, ${duration(back)} back`;
      },
    },
    {
      group: 'traffic',
      name: 'each meets the other over TCP',
      concerns: ['agent'],
      run: async ({ guests: { vm1, vm2 } }) => {
        for (const [from, to] of [
          [vm1, vm2],
          [vm2, vm1],
        ] as const) {
          const met = await inGuest<string>(from, 'who', { ip: to.ip, port: OPEN_PORT });
          expect(met === to.name, `${from.name} asked ${to.ip} and met ${met}`);
        }
        return `TCP ${OPEN_PORT}, both ways`;
      },
    },
  ],
});
