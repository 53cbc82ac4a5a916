import { type Check, expect, expectPings, pingFrom } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { startCapture } from '../traffic/capture.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';

/** Clients, servers and a machine that looks at what passes, each in a network of its own, behind one router; on two hosts. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: {
    clients: { project: 'blue', cidr: '10.64.0.0/24' },
    servers: { project: 'blue', cidr: '10.65.0.0/24' },
    walls: { project: 'blue', cidr: '10.66.0.0/24' },
  },
  routers: { router: { project: 'blue', networks: ['clients', 'servers', 'walls'] } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    client: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'clients', group: 'blue' },
    server: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'servers', group: 'blue' },
    wall: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'walls', group: 'blue' },
  },
} as const;

type PolicyWorld = typeof WORLD;
type Name = keyof PolicyWorld['networks'];

const GUEST_IN = { clients: 'client', servers: 'server', walls: 'wall' } as const;
const PREFIX: Readonly<Record<Name, string>> = { clients: 'fd64::', servers: 'fd65::', walls: 'fd66::' };
const ALL = [...Object.keys(PREFIX)] as readonly Name[];
const WAIT_MS = 60_000;

/** What a guest has in IPv6. */
const six = (name: Name): string => `${PREFIX[name]}5`;

async function inside(guest: Guest, ...command: readonly string[]): Promise<string> {
  if (guest.netns === null) throw new Error(`${guest.name} has no namespace`);
  const { code, stdout, stderr } = await run(command, { netns: guest.netns, timeoutMs: 20_000 });
  expect(code === 0, `${guest.name}: ${command.join(' ')}: ${stderr.trim()} ${stdout.trim()}`);
  return stdout;
}

/** With IPv6 in each network, which the router joins too. */
async function addIpv6(lab: Lab<PolicyWorld>): Promise<void> {
  const { blue } = lab.tenants;
  const rule = { security_group_id: lab.groups.blue.id, direction: 'ingress', ethertype: 'IPv6' } as const;
  await blue.create('security_group_rule', rule);
  for (const name of ALL) {
    const guest = lab.guests[GUEST_IN[name]];
    const body = { network_id: lab.networks[name].network.id, ip_version: 6, cidr: `${PREFIX[name]}/64` } as const;
    const subnet = await blue.create('subnet', body);
    await blue.action('router', lab.routers.router.id, 'add_router_interface', { subnet_id: subnet.id });
    const { fixed_ips: ips } = await blue.get('port', guest.portId);
    await blue.update('port', guest.portId, {
      fixed_ips: [...ips, { subnet_id: subnet.id, ip_address: six(name) }],
    });
    await inside(guest, 'sysctl', '-qw', `net.ipv6.conf.${guest.device}.disable_ipv6=0`);
    await inside(guest, 'ip', '-6', 'address', 'add', `${six(name)}/64`, 'dev', guest.device, 'nodad');
    await inside(guest, 'ip', '-6', 'route', 'add', 'default', 'via', `${PREFIX[name]}1`, 'dev', guest.device);
  }
}

/** The wall passes on what is sent to it, for everybody. */
async function openWall(lab: Lab<PolicyWorld>): Promise<void> {
  const { wall } = lab.guests;
  const pairs = ['10.64.0.0/15', 'fd64::/15'].map((ip_address) => ({ ip_address }));
  await lab.tenants.blue.update('port', wall.portId, { allowed_address_pairs: pairs });
  for (const key of ['ipv4.ip_forward', 'ipv6.conf.all.forwarding'])
    await inside(wall, 'sysctl', '-qw', `net.${key}=1`);
  for (const key of ['ipv4.conf.all.send_redirects', `ipv4.conf.${wall.device}.send_redirects`])
    await inside(wall, 'sysctl', '-qw', `net.${key}=0`);
}

/** All at once. */
async function addPolicies(lab: Lab<PolicyWorld>, policies: readonly object[]): Promise<readonly string[]> {
  const path = `/v2.0/routers/${lab.routers.router.id}/policies`;
  const common = { name: 'inspect', action: 'reroute' };
  const body = policies.map((one, at) => ({ ...common, priority: 100 + at, ...one }));
  const answer = await lab.tenants.blue.request('POST', path, { router_policies: body });
  return (answer as { readonly router_policies: readonly { readonly id: string }[] }).router_policies.map(
    ({ id }) => id,
  );
}

async function removePolicy(lab: Lab<PolicyWorld>, id: string): Promise<void> {
  await lab.tenants.blue.request('DELETE', `/v2.0/routers/${lab.routers.router.id}/policies/${id}`);
}

async function trace(lab: Lab<PolicyWorld>, address: string, query: string): Promise<string> {
  const path = `/cable/v1/ports/${lab.guests.client.portId}/trace?to=${address}&protocol=${query}`;
  return JSON.stringify(await lab.tenants.blue.request('GET', path));
}

/** TTL of an answer to a ping; undefined: none came. */
async function ttlFrom(from: Guest, address: string): Promise<number | undefined> {
  const { stdout } = await run(['ping', '-n', '-c', '1', '-W', '1', address], { netns: from.netns, timeoutMs: 5_000 });
  const ttl = stdout.match(/ttl=(\d+)/)?.[1];
  return ttl === undefined ? undefined : Number(ttl);
}

/** One router on the way; and two, with the wall between. */
const [DIRECT, BY_WALL] = [63, 61];

async function untilTtl(lab: Lab<PolicyWorld>, address: string, ttl: number): Promise<void> {
  const { client } = lab.guests;
  await eventually({ what: `an answer of ${address} with TTL ${ttl}`, deadlineMs: WAIT_MS, everyMs: 50 }, async () =>
    (await ttlFrom(client, address)) === ttl ? true : undefined,
  );
}

async function whoIs(from: Guest, ip: string): Promise<boolean> {
  const script = `exec 3<>/dev/tcp/${ip}/${OPEN_PORT}`;
  const { code } = await run(['timeout', '1', 'bash', '-c', script], { netns: from.netns, timeoutMs: 8_000 });
  return code === 0;
}

async function untilTcp(lab: Lab<PolicyWorld>, opens: boolean): Promise<void> {
  const { client, server } = lab.guests;
  const what = `TCP to the server to be ${opens ? 'open' : 'closed'}`;
  await eventually({ what, deadlineMs: WAIT_MS, everyMs: 50 }, async () =>
    (await whoIs(client, server.ip)) === opens ? true : undefined,
  );
}

const CHECKS: readonly Check<PolicyWorld>[] = [
  {
    group: 'drop',
    name: 'a policy route drops TCP to a port, and no ping is lost when it comes and goes',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { client, server } = lab.guests;
      await untilTcp(lab, true);
      const drop = { protocol: 'tcp', port_range_min: OPEN_PORT, port_range_max: OPEN_PORT };
      const { pings } = await duringPings(client, server, async () => {
        const [id] = await addPolicies(lab, [{ name: 'no-service', action: 'drop', ...drop }]);
        await untilTcp(lab, false);
        const told = await trace(lab, server.ip, `tcp&dport=${OPEN_PORT}`);
        expect(told.includes('policy_route') && told.includes('no-service'), `the trace says ${told}`);
        await removePolicy(lab, String(id));
        await untilTcp(lab, true);
      });
      return `${pings} pings answered, TCP closed and open again`;
    },
  },
  {
    group: 'reroute',
    name: 'what goes between client and server passes a machine on another host, both ways, IPv4 and IPv6',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { client, server, wall } = lab.guests;
      await addIpv6(lab);
      await openWall(lab);
      await eventually({ what: 'the server to be reached by IPv6', deadlineMs: WAIT_MS, everyMs: 100 }, async () =>
        (await ttlFrom(client, six('servers'))) === DIRECT ? true : undefined,
      );
      await untilTtl(lab, server.ip, DIRECT);
      const { clients, servers } = lab.networks;
      const [there, back] = await addPolicies(lab, [
        { subnet_id: clients.subnet.id, destination_ip_prefix: servers.subnet.cidr, next_hop: wall.ip },
        { subnet_id: servers.subnet.id, destination_ip_prefix: clients.subnet.cidr, next_hop: wall.ip },
      ]);
      await untilTtl(lab, server.ip, BY_WALL);
      const capture = await startCapture(wall, `icmp[icmptype] == icmp-echo and src ${client.ip}`);
      await expectPings(client, server, 20);
      // Each comes to the wall and leaves it.
      await capture.until((lines) => lines.length >= 40);
      const told = await trace(lab, server.ip, 'icmp');
      expect(told.includes('policy route inspect'), `the trace says ${told}`);
      await untilTcp(lab, true);
      await expectPings(client, wall, 5);
      const running = pingFrom(client, server.ip, { count: 200, intervalMs: 20 });
      for (const id of [there, back]) await removePolicy(lab, String(id));
      await untilTtl(lab, server.ip, DIRECT);
      const { answered } = await running;
      await expectPings(client, server, 20);
      const subnets = await lab.tenants.blue.list('subnet');
      const idOf = (name: Name): string | undefined => subnets.find(({ cidr }) => cidr === `${PREFIX[name]}/64`)?.id;
      const ids = await addPolicies(
        lab,
        (['clients', 'servers'] as const).map((name) => ({ subnet_id: idOf(name), next_hop: six('walls') })),
      );
      await untilTtl(lab, six('servers'), BY_WALL);
      await untilTtl(lab, server.ip, DIRECT);
      for (const id of ids) await removePolicy(lab, id);
      await untilTtl(lab, six('servers'), DIRECT);
      return `20 of 20 by it, ${answered} of 200 while its policy routes went`;
    },
  },
];

/** Policy routes with real traffic. */
export const POLICY_ROUTES: Story = defineStory({
  name: 'policy-routes',
  sentence:
    'A router drops what a policy route says, and leads what another says through a machine on another host and back, in both versions of IP, while the rest goes on.',
  world: WORLD,
  checks: CHECKS,
});
