import { type Check, expect } from '../../checks/check.ts';
import { run } from '../../exec.ts';
import type { Guest } from '../../guests/guest.ts';
import { DEMO_WORLD, type DemoWorld } from './world.ts';

/** Guests fetch what is theirs from 169.254.169.254. */
export const METADATA_CHECKS: readonly Check<DemoWorld>[] = [
  {
    group: 'metadata',
    name: 'VM fetches its metadata by address',
    concerns: ['agent-h1'],
    run: async (lab) => {
      const { vm1 } = lab.guests;
      await expectDocument(vm1, 'meta-data/instance-id', 'vm1-instance');
      await expectDocument(vm1, 'meta-data/hostname', 'vm1');
      await expectDocument(vm1, 'meta-data/local-ipv4', vm1.ip);
      await expectDocument(vm1, 'user-data', DEMO_WORLD.guests.vm1.userData);
      return 'instance id, hostname, address, user data';
    },
  },
  {
    group: 'metadata',
    name: 'equal address, other tenant: its own metadata',
    concerns: ['agent-h1'],
    run: async (lab) => {
      const { red1 } = lab.guests;
      await expectDocument(red1, 'meta-data/instance-id', 'red1-instance');
      await expectDocument(red1, 'meta-data/local-ipv4', red1.ip);
      return `red1 (${red1.ip}) is not taken for vm1`;
    },
  },
  {
    group: 'qemu',
    name: 'real machine (QEMU) fetches its metadata',
    concerns: ['qemu1', 'agent-h2'],
    run: async (lab) => {
      const qemu = await lab.realMachines.qemu1;
      expect(qemu !== undefined, 'there is none');
      const expected = {
        'instance-id': 'qemu1-instance',
        hostname: 'qemu1',
        'local-ipv4': qemu.ip,
        'user-data': DEMO_WORLD.realMachines.qemu1.userData,
      };
      for (const [name, value] of Object.entries(expected)) {
        const got = qemu.report.metadata.get(name);
        expect(got === value, `${name} is ${JSON.stringify(got)}, not ${JSON.stringify(value)}`);
      }
      return 'instance id, hostname, address, user data';
    },
  },
];

/** Fetches a document below `latest/` as the guest, and compares it. */
export async function expectDocument(guest: Guest, path: string, expected: string): Promise<void> {
  const url = `http://169.254.169.254/latest/${path}`;
  const result = await run(['busybox', 'wget', '-q', '-O', '-', url], {
    netns: guest.netns,
    timeoutMs: 10_000,
  });
  expect(result.code === 0, `${guest.name}: ${url}: ${result.stderr.trim()}`);
  const got = result.stdout.trim();
  expect(got === expected, `${guest.name}: ${path} is ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`);
}
