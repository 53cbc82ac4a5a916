import { ALL_AGENTS, type Check, duration, expect } from '../../checks/check.ts';
import type { Guest, Lease } from '../../guests/guest.ts';
import type { DemoLab, DemoWorld } from './world.ts';

/** Each guest has the address of its port, by DHCP, CNI or the agent; and its MTU. */
export const LEASE_CHECKS: readonly Check<DemoWorld>[] = [
  leaseCheck('VM leases by udhcpc', (lab) => lab.guests.vm1),
  leaseCheck('VM leases by dhclient', (lab) => lab.guests.vm2),
  {
    group: 'leases',
    name: 'pod plugged by cable-cni',
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const { pod1 } = lab.guests;
      await expectPortAddress(lab, pod1);
      return `${pod1.ip} in ${duration(pod1.tookMs)}`;
    },
  },
  {
    group: 'leases',
    name: 'physical machine owns a port',
    concerns: ['agent-pm1', 'server'],
    run: async (lab) => {
      const { machine } = lab.guests;
      await expectPortAddress(lab, machine);
      return `${machine.ip} on ${machine.device} in ${duration(machine.tookMs)}`;
    },
  },
  {
    group: 'qemu',
    name: 'real machine (QEMU) leases',
    concerns: ['qemu1', 'agent-h2'],
    run: async (lab) => {
      const qemu = await lab.realMachines.qemu1;
      expect(qemu?.lease !== undefined, 'it has no lease');
      await expectLease(lab, qemu, qemu.lease);
      return `${qemu.ip}, ${duration(qemu.lease.tookMs)} after power on (Linux ${qemu.report.kernel})`;
    },
  },
  {
    group: 'leases',
    name: 'every port is ACTIVE',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const ids = Object.values(lab.guests).map((guest) => guest.portId);
      const ports = await lab.tenants.blue.list('port', { id: ids });
      const waiting = ports.filter((port) => port.status !== 'ACTIVE').map((port) => `${port.name} is ${port.status}`);
      expect(waiting.length === 0 && ports.length === ids.length, waiting.join(', ') || 'a port is not listed');
      return `${ports.length} ports`;
    },
  },
];

function leaseCheck(name: string, of: (lab: DemoLab) => Guest): Check<DemoWorld> {
  return {
    group: 'leases',
    name,
    concerns: ALL_AGENTS,
    run: async (lab) => {
      const guest = of(lab);
      expect(guest.lease !== undefined, 'it has no lease');
      await expectLease(lab, guest, guest.lease);
      return `${guest.lease.ip} mtu ${guest.lease.mtu} in ${duration(guest.lease.tookMs)}`;
    },
  };
}

async function expectLease(lab: DemoLab, guest: Guest, lease: Lease): Promise<void> {
  await expectPortAddress(lab, guest);
  const { mtu } = lab.networks.blue.network;
  expect(lease.mtu === mtu, `the lease says MTU ${lease.mtu}, the network has ${mtu}`);
  expect(lease.router !== '', 'the lease names no router');
  expect(lease.seconds >= 60, `the lease lasts ${lease.seconds} s only`);
}

async function expectPortAddress(lab: DemoLab, guest: Guest): Promise<void> {
  const port = await lab.tenants.blue.get('port', guest.portId);
  const addresses = port.fixed_ips.map((fixed) => fixed.ip_address);
  expect(addresses.includes(guest.ip), `it has ${guest.ip}, its port ${addresses.join(', ')}`);
}
