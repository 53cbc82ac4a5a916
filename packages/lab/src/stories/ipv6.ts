import { type Check, expect, pingFrom } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';

/** Two networks with a router between them, on two hosts. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: {
    blue: { project: 'blue', cidr: '10.10.0.0/24' },
    green: { project: 'blue', cidr: '10.20.0.0/24' },
  },
  routers: { router: { project: 'blue', networks: ['blue', 'green'] } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'blue', group: 'blue' },
    vm2: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'blue', group: 'blue' },
    vm3: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'green', group: 'blue' },
  },
} as const;

type Ipv6World = typeof WORLD;
const PREFIX = { blue: '2001:db8:10::', green: '2001:db8:20::' } as const;
const PORT = 7777;

/** The address that the API says of a guest's port. */
async function addressOf(lab: Lab<Ipv6World>, guest: Guest): Promise<string> {
  const { fixed_ips: ips } = await lab.tenants.blue.get('port', guest.portId);
  const address = ips.map(({ ip_address }) => ip_address).find((one) => one.includes(':'));
  expect(address !== undefined, `the port of ${guest.name} has no IPv6 address`);
  return address;
}

async function inside(guest: Guest, ...command: readonly string[]): Promise<string> {
  if (guest.netns === null) throw new Error(`${guest.name} has no namespace`);
  const { code, stdout, stderr } = await run(command, { netns: guest.netns, timeoutMs: 15_000 });
  expect(code === 0, `${guest.name}: ${command.join(' ')}: ${stderr.trim()}`);
  return stdout;
}

/** Whether the guest has it, usable. */
async function has(guest: Guest, address: string): Promise<boolean> {
  const shown = await inside(guest, 'ip', '-6', '-o', 'addr', 'show', 'dev', guest.device, 'to', address);
  return shown !== '' && !shown.includes('tentative');
}

/** Gives a network a subnet of IPv6 by advertisements, with the router in it, and waits until its guests have made their ports' addresses. */
async function addSubnet(lab: Lab<Ipv6World>, name: keyof typeof PREFIX, guests: readonly Guest[]): Promise<void> {
  const { blue } = lab.tenants;
  for (const guest of guests) await inside(guest, 'sysctl', '-qw', `net.ipv6.conf.${guest.device}.accept_ra=1`);
  const mode = { ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' };
  const body = { network_id: lab.networks[name].network.id, ip_version: 6, cidr: `${PREFIX[name]}/64`, ...mode };
  const subnet = await blue.create('subnet', body);
  await blue.action('router', lab.routers.router.id, 'add_router_interface', { subnet_id: subnet.id });
  for (const guest of guests) {
    const address = await addressOf(lab, guest);
    await eventually({ what: `${guest.name} to have ${address}`, deadlineMs: 15_000, everyMs: 100 }, async () =>
      (await has(guest, address)) ? true : undefined,
    );
  }
}

async function pings(from: Guest, address: string): Promise<number> {
  return (await pingFrom(from, address, { count: 3, deadlineSeconds: 3 })).answered;
}

/** Whether a word sent by TCP arrives. */
async function sends(from: Guest, to: Guest, address: string): Promise<boolean> {
  if (from.netns === null || to.netns === null) throw new Error('no namespace');
  const listen = ['timeout', '4', 'socat', '-u', `TCP6-LISTEN:${PORT},reuseaddr`, 'STDOUT'];
  const heard = run(listen, { netns: to.netns, timeoutMs: 8_000 });
  const talk = `sleep 0.3; echo hello | socat -u STDIN TCP6:[${address}]:${PORT},connect-timeout=2`;
  await run(['sh', '-c', talk], { netns: from.netns, timeoutMs: 8_000 });
  return (await heard).stdout === 'hello\n';
}

const CHECKS: readonly Check<Ipv6World>[] = [
  {
    group: 'addresses',
    name: 'guests that run make the addresses of their ports when a subnet comes',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2, vm3 } = lab.guests;
      await addSubnet(lab, 'blue', [vm1, vm2]);
      await addSubnet(lab, 'green', [vm3]);
      return `vm1 has ${await addressOf(lab, vm1)}`;
    },
  },
  {
    group: 'traffic',
    name: 'without a rule of IPv6 nothing passes; with one ping and TCP do, within and across networks and hosts',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2, vm3 } = lab.guests;
      const ways = [
        [vm1, vm2],
        [vm1, vm3],
        [vm3, vm2],
      ] as const;
      for (const [from, to] of ways) {
        const address = await addressOf(lab, to);
        expect((await pings(from, address)) === 0, `${from.name} pings ${to.name} without a rule`);
      }
      const rule = { security_group_id: lab.groups.blue.id, direction: 'ingress', ethertype: 'IPv6' };
      const { blue } = lab.tenants;
      await blue.create('security_group_rule', { ...rule, protocol: 'ipv6-icmp' });
      for (const [from, to] of ways) {
        const address = await addressOf(lab, to);
        await eventually({ what: `${from.name} to ping ${to.name} at ${address}`, deadlineMs: 10_000 }, async () =>
          (await pings(from, address)) === 3 ? true : undefined,
        );
        expect(!(await sends(from, to, address)), `TCP from ${from.name} to ${to.name} passes without a rule`);
      }
      const ports = { port_range_min: PORT, port_range_max: PORT };
      await blue.create('security_group_rule', { ...rule, protocol: 'tcp', ...ports });
      for (const [from, to] of ways) {
        const address = await addressOf(lab, to);
        await eventually({ what: `TCP from ${from.name} to ${to.name}`, deadlineMs: 15_000 }, async () =>
          (await sends(from, to, address)) ? true : undefined,
        );
      }
      return `${ways.length} ways`;
    },
  },
  {
    group: 'services',
    name: 'metadata at fe80::a9fe:a9fe, and a router that answers',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm3 } = lab.guests;
      for (const guest of [vm1, vm3]) {
        const url = `http://[fe80::a9fe:a9fe%25${guest.device}]/latest/meta-data/mac`;
        const mac = await inside(guest, 'curl', '-sSf', '-g', '-m', '5', url);
        expect(mac.startsWith(guest.macAddress), `${guest.name} hears the MAC ${mac}`);
        const said = await inside(guest, 'rdisc6', '-1', '-w', '3000', guest.device);
        expect(said.includes(guest === vm1 ? PREFIX.blue : PREFIX.green), `${guest.name} hears ${said}`);
      }
      return 'by two guests';
    },
  },
];

/** IPv6 from end to end. */
export const IPV6: Story = defineStory({
  name: 'ipv6',
  sentence:
    'IPv6: guests make their addresses by router advertisements, and ping and connect within and across networks and hosts as rules allow.',
  world: WORLD,
  checks: CHECKS,
});
