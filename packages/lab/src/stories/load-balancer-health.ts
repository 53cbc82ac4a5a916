import { chmodSync, writeFileSync } from 'node:fs';
import { type Check, expect } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import type { LabProcess } from '../processes.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';

/** One network on two hosts, with guests of every kind. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: { front: { project: 'blue', cidr: '10.10.0.0/24' } },
  routers: { router: { project: 'blue', networks: ['front'] } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    client: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'front', group: 'blue' },
    far: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'front', group: 'blue' },
    vm: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'front', group: 'blue' },
    pod: { kind: 'pod', host: 'h1', network: 'front', group: 'blue' },
    machine: { kind: 'machine', host: 'h2', network: 'front', group: 'blue' },
  },
} as const;

type HealthWorld = typeof WORLD;
type HealthLab = Lab<HealthWorld>;
type MemberName = 'vm' | 'pod' | 'machine';

const PORT = 80;
const VIP = '10.10.0.200';
const VIP6 = '2001:db8:10::200';
/** Where members say how they are; no rule lets anybody there. */
const HEALTH_PORT = 7000;
const UDP_PORT = 7001;
const V6_PORT = 7002;
/** First of the ports that a client asks from by UDP. */
const FIRST_SOURCE = 20_000;
const MEMBERS: readonly MemberName[] = ['vm', 'pod', 'machine'];
const DEADLINE_MS = 40_000;
const PROBE = { delay: 1, timeout: 1, max_retries: 1, max_retries_down: 2 };

/** What the checks have made. */
const made = { balancer: '', pool: '', monitor: '' };
const healthy = new Map<MemberName, LabProcess>();

/** Lets a guest say of itself by HTTP that it is well. */
async function serveHealth(lab: HealthLab, name: MemberName): Promise<void> {
  const place = `TCP4-LISTEN:${HEALTH_PORT},fork,reuseaddr`;
  const answer = 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n';
  healthy.set(name, await serve(lab, lab.guests[name], { what: 'health', place, answer }));
}

/** Who asks the guest there, and says a line, is answered each time. */
function serve(
  lab: HealthLab,
  guest: Guest,
  { what, place, answer }: { readonly what: string; readonly place: string; readonly answer: string },
): Promise<LabProcess> {
  if (guest.netns === null) throw new Error(`${guest.name} has no namespace`);
  const name = `${what}-${guest.name}`;
  const script = `${lab.names.dir}/${name}.sh`;
  writeFileSync(script, `#!/bin/sh\nread -r asked\nprintf '${answer}'\n`);
  chmodSync(script, 0o755);
  return lab.processes.start({ name, command: ['socat', '-T', '5', place, `EXEC:${script}`], netns: guest.netns });
}

/** What a guest hears when it asks there, a line. */
async function hears(guest: Guest, place: string): Promise<string> {
  if (guest.netns === null) throw new Error(`${guest.name} has no namespace`);
  const ask = `echo hello | socat -t 2 -T 2 STDIO ${place}`;
  return (await run(['sh', '-c', ask], { netns: guest.netns, timeoutMs: 10_000 })).stdout.trim();
}

/** Waits until those whom `ask` meets in some attempts are these, and nobody else. */
async function untilMet(
  who: string,
  names: readonly string[],
  ask: () => Promise<string>,
  atOnce = 12,
): Promise<string> {
  const wanted = [...names].sort().join(', ');
  return eventually({ what: `${who} to meet ${wanted}`, deadlineMs: DEADLINE_MS }, async () => {
    const met = new Set(await Promise.all(Array.from({ length: atOnce }, () => ask().catch(() => 'nobody'))));
    return [...met].sort().join(', ') === wanted ? wanted : undefined;
  });
}

function untilMeets(from: Guest, names: readonly string[]): Promise<string> {
  return untilMet(from.name, names, () => inGuest<string>(from, 'who', { ip: VIP, port: PORT }));
}

type Node = {
  readonly name: string;
  readonly operating_status: string;
  readonly listeners?: readonly Node[];
  readonly pools?: readonly Node[];
  readonly members?: readonly Node[];
};

/** Statuses of the load balancer, and of its members by their names: `DEGRADED vm ERROR, ...`. */
async function statuses(lab: HealthLab): Promise<string> {
  const path = `/v2.0/lbaas/loadbalancers/${made.balancer}/status`;
  const tree = (await lab.tenants.blue.request('GET', path)) as { statuses: { loadbalancer: Node } };
  const { loadbalancer } = tree.statuses;
  const members =
    loadbalancer.listeners?.flatMap(({ pools = [] }) => pools.flatMap((pool) => pool.members ?? [])) ?? [];
  const each = members.map((member) => `${member.name} ${member.operating_status}`).sort();
  return `${loadbalancer.operating_status}: ${each.join(', ')}`;
}

/** Waits for these statuses; of the members, those that are not named are ONLINE. */
async function untilStatus(
  lab: HealthLab,
  whole: string,
  ill: Partial<Record<MemberName, string>> = {},
): Promise<string> {
  const wanted = `${whole}: ${[...MEMBERS]
    .sort()
    .map((name) => `${name} ${ill[name] ?? 'ONLINE'}`)
    .join(', ')}`;
  let said = '';
  try {
    return await eventually({ what: wanted, deadlineMs: DEADLINE_MS }, async () => {
      said = await statuses(lab);
      return said === wanted ? said : undefined;
    });
  } catch (err) {
    throw new Error(`the last statuses were ${said}`, { cause: err });
  }
}

async function makePool(
  lab: HealthLab,
  vip: { readonly subnet: string; readonly address: string },
  protocol: 'TCP' | 'UDP',
  balancer?: string,
): Promise<{ readonly balancer: string; readonly pool: string }> {
  const { blue } = lab.tenants;
  const vipOf = { vip_subnet_id: vip.subnet, vip_address: vip.address };
  const loadbalancer_id = balancer ?? (await blue.create('loadbalancer', vipOf)).id;
  const listener = await blue.create('listener', { loadbalancer_id, protocol, protocol_port: PORT });
  const pool = await blue.create('pool', { listener_id: listener.id, protocol, lb_algorithm: 'SOURCE_IP_PORT' });
  return { balancer: loadbalancer_id, pool: pool.id };
}

async function setMonitor(lab: HealthLab, type: string, more: object = {}): Promise<void> {
  const { blue } = lab.tenants;
  if (made.monitor !== '') await blue.delete('healthmonitor', made.monitor);
  made.monitor = (await blue.create('healthmonitor', { pool_id: made.pool, type, ...PROBE, ...more })).id;
}

const CHECKS: readonly Check<HealthWorld>[] = [
  {
    group: 'probes',
    name: 'a VM, a pod and the machine are found well by their own hosts, at a port where no rule lets anybody',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      for (const name of MEMBERS) await serveHealth(lab, name);
      const subnet = lab.networks.front.subnet.id;
      Object.assign(made, await makePool(lab, { subnet, address: VIP }, 'TCP'));
      const members = MEMBERS.map((name) => ({
        name,
        address: lab.guests[name].ip,
        protocol_port: OPEN_PORT,
        monitor_port: HEALTH_PORT,
      }));
      await lab.tenants.blue.action('pool', made.pool, 'replace_members', { members });
      await setMonitor(lab, 'HTTP', { url_path: '/healthy', expected_codes: '200-204' });
      const said = await untilStatus(lab, 'ONLINE');
      await untilMeets(lab.guests.client, MEMBERS);
      return said;
    },
  },
  {
    group: 'probes',
    name: 'a member whose server is killed is in ERROR, new connections of all hosts go elsewhere, and it comes back',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { client, far } = lab.guests;
      const began = performance.now();
      await healthy.get('vm')?.stop('SIGKILL');
      const others = ['machine', 'pod'];
      await Promise.all([untilMeets(client, others), untilMeets(far, others)]);
      const took = Math.round(performance.now() - began);
      await untilStatus(lab, 'DEGRADED', { vm: 'ERROR' });
      await serveHealth(lab, 'vm');
      await untilStatus(lab, 'ONLINE');
      await untilMeets(client, MEMBERS);
      return `elsewhere ${took} ms after the kill, which twelve connections from each host have shown`;
    },
  },
  {
    group: 'probes',
    name: 'so it is with the machine that is a host',
    concerns: ['agent-h2', 'server'],
    run: async (lab) => {
      await healthy.get('machine')?.stop('SIGKILL');
      await untilMeets(lab.guests.client, ['pod', 'vm']);
      await serveHealth(lab, 'machine');
      return untilStatus(lab, 'ONLINE');
    },
  },
  {
    group: 'probes',
    name: 'while the server is away a host finds its own members, and keeps its own guests from those that are down',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const [server] = lab.control.servers;
      await server.kill();
      await healthy.get('pod')?.stop('SIGKILL');
      const met = await untilMeets(lab.guests.client, ['machine', 'vm']);
      await server.start();
      await untilStatus(lab, 'DEGRADED', { pod: 'ERROR' });
      await untilMeets(lab.guests.far, ['machine', 'vm']);
      await serveHealth(lab, 'pod');
      await untilStatus(lab, 'ONLINE');
      return `${met}; then the server was told`;
    },
  },
  {
    group: 'probes',
    name: 'members are probed by TCP and by ping as well',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      await setMonitor(lab, 'TCP');
      await healthy.get('vm')?.stop('SIGKILL');
      const tcp = await untilStatus(lab, 'DEGRADED', { vm: 'ERROR' });
      await setMonitor(lab, 'PING');
      await untilStatus(lab, 'ONLINE');
      return `TCP: ${tcp}`;
    },
  },
  {
    group: 'protocols',
    name: 'UDP is balanced; a member that nobody hears on is found by its answer, and a client that goes on from one port leaves it',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { blue } = lab.tenants;
      const { client, vm, pod } = lab.guests;
      const { pool } = await makePool(lab, { subnet: '', address: '' }, 'UDP', made.balancer);
      const ports = { port_range_min: UDP_PORT, port_range_max: UDP_PORT };
      const rule = { security_group_id: lab.groups.blue.id, direction: 'ingress', protocol: 'udp', ...ports };
      await blue.create('security_group_rule', { ...rule, ethertype: 'IPv4' });
      const place = `UDP4-RECVFROM:${UDP_PORT},fork,reuseaddr`;
      await serve(lab, vm, { what: 'udp', place, answer: 'vm' });
      const served = await serve(lab, pod, { what: 'udp', place, answer: 'pod' });
      const members = [vm, pod].map(({ name, ip }) => ({ name, address: ip, protocol_port: UDP_PORT }));
      await blue.action('pool', pool, 'replace_members', { members });
      const ask = (): Promise<string> => hears(client, `UDP4:${VIP}:${PORT}`);
      // Such a server takes one datagram after the other.
      await untilMet(client.name, ['pod', 'vm'], ask, 4);
      // Like a resolver that asks from one port, again and again.
      const from = (port: number): Promise<string> => hears(client, `UDP4:${VIP}:${PORT},sourceport=${port}`);
      let port = FIRST_SOURCE;
      while ((await from(port)) !== 'pod') port += 1;
      await blue.create('healthmonitor', { pool_id: pool, type: 'UDP-CONNECT', ...PROBE });
      await served.stop('SIGKILL');
      await untilMet(`port ${port} of ${client.name}`, ['vm'], () => from(port), 1);
      return untilMet(client.name, ['vm'], ask, 4);
    },
  },
  {
    group: 'protocols',
    name: 'IPv6 is balanced, and its members are probed',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { blue } = lab.tenants;
      const { client, vm, far } = lab.guests;
      const network_id = lab.networks.front.network.id;
      const subnet = await blue.create('subnet', { network_id, ip_version: 6, cidr: '2001:db8:10::/64' });
      const ports = { port_range_min: V6_PORT, port_range_max: V6_PORT };
      const rule = { security_group_id: lab.groups.blue.id, direction: 'ingress', ethertype: 'IPv6' };
      await blue.create('security_group_rule', { ...rule, protocol: 'tcp', ...ports });
      const { pool } = await makePool(lab, { subnet: subnet.id, address: VIP6 }, 'TCP');
      const served = new Map<string, LabProcess>();
      const members: object[] = [];
      for (const guest of [vm, far]) {
        const address = await giveAddress(lab, guest, subnet.id);
        const place = `TCP6-LISTEN:${V6_PORT},fork,reuseaddr`;
        served.set(guest.name, await serve(lab, guest, { what: 'six', place, answer: guest.name }));
        members.push({ name: guest.name, address, protocol_port: V6_PORT });
      }
      await giveAddress(lab, client, subnet.id);
      await blue.action('pool', pool, 'replace_members', { members });
      await blue.create('healthmonitor', { pool_id: pool, type: 'TCP', ...PROBE });
      const ask = (): Promise<string> => hears(client, `TCP6:[${VIP6}]:${PORT},connect-timeout=2`);
      await untilMet(client.name, ['far', 'vm'], ask);
      await served.get('far')?.stop('SIGKILL');
      return untilMet(client.name, ['vm'], ask);
    },
  },
];

/** Gives the guest's port an address of the subnet, and the guest the same. */
async function giveAddress(lab: HealthLab, { netns, device, portId }: Guest, subnet_id: string): Promise<string> {
  const { blue } = lab.tenants;
  const { fixed_ips: before } = await blue.get('port', portId);
  const { fixed_ips: ips } = await blue.update('port', portId, { fixed_ips: [...before, { subnet_id }] });
  const address = ips.find((one) => one.subnet_id === subnet_id)?.ip_address ?? '';
  const { code, stderr } = await run(['ip', '-6', 'addr', 'add', `${address}/64`, 'dev', device, 'nodad'], {
    netns,
    timeoutMs: 10_000,
  });
  expect(code === 0, `ip addr add: ${stderr.trim()}`);
  return address;
}

/** Members that die. */
export const LOAD_BALANCER_HEALTH: Story = defineStory({
  name: 'load-balancer-health',
  sentence:
    'Members of load balancers are probed by their own hosts: who dies gets no new connections, by TCP, UDP and IPv6.',
  world: WORLD,
  checks: CHECKS,
});
