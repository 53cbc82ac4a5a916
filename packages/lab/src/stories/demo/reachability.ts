import { ALL_AGENTS, type Check, duration, expect, expectPings, pingFrom } from '../../checks/check.ts';
import type { Guest } from '../../guests/guest.ts';
import type { DemoLab, DemoWorld } from './world.ts';

type Named = keyof DemoLab['guests'];

/** Pings in a subnet across hosts, through the router, to gateways, and of the largest size. */
export const REACHABILITY_CHECKS: readonly Check<DemoWorld>[] = [
  pairCheck('subnet', 'VM ↔ pod, one subnet, two hosts', 'vm1', 'pod1'),
  pairCheck('subnet', 'VM ↔ physical machine', 'vm1', 'machine'),
  pairCheck('subnet', 'pod ↔ physical machine', 'pod1', 'machine'),
  {
    group: 'qemu',
    name: 'real machine (QEMU) answers VM, pod and machine',
    concerns: ['qemu1', 'agent-h2'],
    run: async (lab) => {
      const qemu = await lab.realMachines.qemu1;
      expect(qemu !== undefined, 'there is none');
      const { vm1, pod1, machine } = lab.guests;
      const times = [];
      for (const guest of [vm1, pod1, machine]) times.push(await expectPings(guest, qemu));
      return times.map(duration).join(', ');
    },
  },
  pairCheck('router', 'VM ↔ VM through the router, two hosts', 'vm1', 'vm2'),
  pairCheck('router', 'pod ↔ VM through the router, one host', 'pod1', 'vm2'),
  pairCheck('router', 'physical machine ↔ VM through the router', 'machine', 'vm2'),
  {
    group: 'router',
    name: 'gateways answer pings',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      for (const guest of [vm1, vm2]) await expectGateway(guest);
      return `${vm1.lease?.router}, ${vm2.lease?.router}`;
    },
  },
  {
    group: 'mtu',
    name: 'packets of the full MTU pass unfragmented',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { vm1, pod1, vm2 } = lab.guests;
      const { mtu } = lab.networks.blue.network;
      for (const to of [pod1, vm2]) {
        const result = await pingFrom(vm1, to.ip, { count: 3, size: mtu - 28, dontFragment: true });
        expect(
          result.lost.length === 0,
          `${result.answered} of 3 pings of ${mtu} bytes from vm1 to ${to.name} answered`,
        );
      }
      return `${mtu} bytes, switched and routed`;
    },
  },
];

function pairCheck(group: string, name: string, left: Named, right: Named): Check<DemoWorld> {
  return {
    group,
    name,
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const there = await expectPings(lab.guests[left], lab.guests[right]);
      const back = await expectPings(lab.guests[right], lab.guests[left]);
      return `${duration(there)} there, ${duration(back)} back`;
    },
  };
}

async function expectGateway(guest: Guest): Promise<void> {
  const gateway = guest.lease?.router ?? '';
  const result = await pingFrom(guest, gateway, { count: 3 });
  expect(result.lost.length === 0, `${result.answered} of 3 pings of ${guest.name} to ${gateway} answered`);
}
