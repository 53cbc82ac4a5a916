import { chmodSync, writeFileSync } from 'node:fs';
import { type Check, expect, pingFrom } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import { addPodTo } from '../guests/later.ts';
import { dhclientCopy } from '../guests/vm.ts';
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

/** Gives a network a subnet of IPv6, with the router in it. */
async function addSubnet(lab: Lab<Ipv6World>, name: keyof typeof PREFIX, mode: 'slaac' | 'dhcpv6-stateful') {
  const { blue } = lab.tenants;
  const modes = { ipv6_ra_mode: mode, ipv6_address_mode: mode };
  const body = { network_id: lab.networks[name].network.id, ip_version: 6, cidr: `${PREFIX[name]}/64`, ...modes };
  const subnet = await blue.create('subnet', body);
  await blue.action('router', lab.routers.router.id, 'add_router_interface', { subnet_id: subnet.id });
  return subnet;
}

async function untilIt(guest: Guest, address: string): Promise<void> {
  await eventually({ what: `${guest.name} to have ${address}`, deadlineMs: 15_000, everyMs: 100 }, async () =>
    (await has(guest, address)) ? true : undefined,
  );
}

async function acceptAdvertisements(guest: Guest): Promise<void> {
  await inside(guest, 'sysctl', '-qw', `net.ipv6.conf.${guest.device}.accept_ra=1`);
}

/** The guest takes what DHCPv6 gives it, once. */
async function leaseByDhclient(lab: Lab<Ipv6World>, guest: Guest): Promise<void> {
  const place = `${lab.names.dir}/dhclient6-${guest.name}`;
  const add = 'ip -6 addr replace "$new_ip6_address/64" dev "$interface"';
  writeFileSync(`${place}.sh`, `#!/bin/sh\n[ "$reason" = BOUND6 ] && ${add}\nexit 0\n`);
  chmodSync(`${place}.sh`, 0o755);
  writeFileSync(`${place}.leases`, '');
  const files = ['-cf', '/dev/null', '-lf', `${place}.leases`, '-sf', `${place}.sh`];
  const command = [dhclientCopy(), '-6', '-1', '-d', '--no-pid', ...files, guest.device];
  await run(command, { netns: guest.netns, timeoutMs: 4_000 });
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
    name: 'guests that run make the addresses of their ports when a subnet of SLAAC comes',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      for (const guest of [vm1, vm2]) await acceptAdvertisements(guest);
      await addSubnet(lab, 'blue', 'slaac');
      for (const guest of [vm1, vm2]) await untilIt(guest, await addressOf(lab, guest));
      return `vm1 has ${await addressOf(lab, vm1)}`;
    },
  },
  {
    group: 'addresses',
    name: 'a guest gets the address of its port by DHCPv6, and its default route by advertisements',
    concerns: ['agent-h2', 'server'],
    run: async (lab) => {
      const { vm3 } = lab.guests;
      await acceptAdvertisements(vm3);
      const subnet = await addSubnet(lab, 'green', 'dhcpv6-stateful');
      const address = `${PREFIX.green}77`;
      const { fixed_ips: ips } = await lab.tenants.blue.get('port', vm3.portId);
      const fixed_ips = [...ips, { subnet_id: subnet.id, ip_address: address }];
      await lab.tenants.blue.update('port', vm3.portId, { fixed_ips });
      await eventually({ what: `vm3 to have ${address}`, deadlineMs: 20_000 }, async () => {
        await leaseByDhclient(lab, vm3);
        return (await has(vm3, address)) ? true : undefined;
      });
      await eventually({ what: 'vm3 to have a default route', deadlineMs: 10_000, everyMs: 100 }, async () =>
        (await inside(vm3, 'ip', '-6', 'route', 'show', 'default')).includes('proto ra') ? true : undefined,
      );
      return `vm3 has ${address}`;
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
    group: 'traffic',
    name: 'a pod has its IPv6 address and route as soon as CNI answers, and meets VMs of both networks',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm2, vm3 } = lab.guests;
      const pod = await addPodTo(lab, 'pod1', { host: 'h1', network: 'blue', group: 'blue' });
      const address = await addressOf(lab, pod);
      expect(await has(pod, address), `pod1 lacks ${address}`);
      const route = await inside(pod, 'ip', '-6', 'route', 'show', 'default');
      expect(route.includes(`via ${PREFIX.blue}`), `pod1 has the default route ${route}`);
      for (const vm of [vm2, vm3]) {
        const there = await addressOf(lab, vm);
        expect((await pings(pod, there)) === 3, `pod1 does not ping ${vm.name} at ${there}`);
        expect(await sends(vm, pod, address), `no TCP from ${vm.name} to pod1`);
      }
      return `pod1 has ${address}`;
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
    'IPv6: guests get their addresses by router advertisements and DHCPv6, and ping and connect within and across networks and hosts as rules allow.',
  world: WORLD,
  checks: CHECKS,
});
