import { type Check, expect } from '../../checks/check.ts';
import { eventually } from '../../eventually.ts';
import { run } from '../../exec.ts';
import type { Guest } from '../../guests/guest.ts';
import { curl } from './dhcp.ts';
import { OUTSIDE_ADDRESS } from './outside.ts';
import { DOMAIN, type GuestServicesLab, type GuestServicesWorld, SHARED_NAME } from './world.ts';

const FQDN = `${SHARED_NAME}.${DOMAIN}`;

/** Names, by dig in guests. */
export const DNS_CHECKS: readonly Check<GuestServicesWorld>[] = [
  {
    group: 'dns',
    name: 'names of ports and their reverse, by UDP and TCP; what is not there is not',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      await lab.tenants.blue.update('port', vm1.portId, { dns_name: SHARED_NAME });
      await eventually({ what: `${FQDN} to be known`, deadlineMs: 10_000 }, async () =>
        (await dig(vm2, FQDN)) === vm1.ip ? true : undefined,
      );
      await expectDig(vm2, vm1.ip, '+tcp', FQDN);
      await expectDig(vm2, vm1.ip, '+search', '+domain=corp.example', SHARED_NAME);
      await expectDig(vm2, FQDN, '-x', vm1.ip);
      await expectDig(vm1, vm2.ip, `host-${vm2.ip.replaceAll('.', '-')}.${DOMAIN}`);
      const missing = await digWhole(vm1, `nobody.${DOMAIN}`);
      expect(missing.includes('status: NXDOMAIN'), `nobody.${DOMAIN}: ${missing}`);
      return `${FQDN} is ${vm1.ip}`;
    },
  },
  {
    group: 'dns',
    name: 'equal names of two tenants are each its own',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm1, red1 } = lab.guests;
      const { red } = lab.tenants;
      const { network, subnet } = lab.networks.red;
      await red.update('network', network.id, { dns_domain: DOMAIN });
      const fixed_ips = [{ subnet_id: subnet.id, ip_address: '10.10.0.77' }];
      const vip = await red.create('port', { network_id: network.id, dns_name: SHARED_NAME, fixed_ips });
      await eventually({ what: 'red’s name to be known', deadlineMs: 10_000 }, async () =>
        (await dig(red1, FQDN)) === '10.10.0.77' ? true : undefined,
      );
      await expectDig(vm1, vm1.ip, FQDN);
      await red.delete('port', vip.id);
      return `${FQDN} is ${vm1.ip} in blue, 10.10.0.77 in red, where no host carries it`;
    },
  },
  {
    group: 'dns',
    name: 'names of others come from the operator’s server',
    concerns: ['agent', 'outside'],
    run: async ({ guests: { vm1, vm2 } }) => {
      await expectDig(vm1, OUTSIDE_ADDRESS, 'www.example.net');
      await expectDig(vm2, OUTSIDE_ADDRESS, 'www.example.net');
      return `www.example.net is ${OUTSIDE_ADDRESS}`;
    },
  },
  {
    group: 'dns',
    name: 'names and metadata while no server is there',
    concerns: ['agent', 'server'],
    run: withoutServer,
  },
];

async function withoutServer(lab: GuestServicesLab): Promise<string> {
  const { vm1, vm2 } = lab.guests;
  await lab.control.servers[0].kill();
  try {
    await expectDig(vm2, vm1.ip, FQDN);
    await expectDig(vm2, OUTSIDE_ADDRESS, 'www.example.net');
    const id = await curl(vm1, '/latest/meta-data/instance-id');
    expect(id === 'vm1-instance', `the instance is ${id}`);
    return 'own names, those of others, metadata';
  } finally {
    await lab.control.servers[0].start();
  }
}

async function expectDig(guest: Guest, wanted: string, ...words: readonly string[]): Promise<void> {
  const got = await dig(guest, ...words);
  expect(got === wanted, `${guest.name}: dig ${words.join(' ')} says ${JSON.stringify(got)}, not ${wanted}`);
}

async function dig(guest: Guest, ...words: readonly string[]): Promise<string> {
  return (await digWhole(guest, '+short', ...words)).trim();
}

async function digWhole(guest: Guest, ...words: readonly string[]): Promise<string> {
  const command = ['dig', '@169.254.169.254', '+tries=2', '+time=3', ...words];
  return (await run(command, { netns: guest.netns, timeoutMs: 10_000 })).stdout;
}
