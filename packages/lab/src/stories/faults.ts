import { type Check, expect, pingFrom } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { LAUNCHER } from '../names.ts';
import { defineStory, type Story } from '../story.ts';

/** Two hosts and a physical machine; a router; another tenant with the same addresses. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {}, pm1: {} },
  projects: ['blue', 'red'],
  networks: {
    blue: { project: 'blue', cidr: '10.10.0.0/24' },
    'blue-back': { project: 'blue', cidr: '10.20.0.0/24' },
    red: { project: 'red', cidr: '10.10.0.0/24' },
  },
  routers: { 'blue-router': { project: 'blue', networks: ['blue', 'blue-back'] } },
  groups: {
    blue: { project: 'blue', allow: ['ping', 'service'] },
    red: { project: 'red', allow: ['ping'] },
    clients: { project: 'blue', allow: [] },
  },
  guests: {
    vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'blue', group: 'blue' },
    vm2: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'blue-back', group: 'blue' },
    pod1: { kind: 'pod', host: 'h2', network: 'blue', group: 'blue' },
    machine: { kind: 'machine', host: 'pm1', network: 'blue', group: 'blue' },
    red1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'red', group: 'red', sameAddressAs: 'vm1' },
  },
} as const;

type FaultWorld = typeof WORLD;
type FaultLab = Lab<FaultWorld>;

/** What is sent. */
type Probe = { readonly name: string; readonly query: string; sends(from: Guest, address: string): Promise<boolean> };

const PORT = 81;
/** How long hosts may take to follow a change. */
const SETTLED_MS = 8_000;

const PING: Probe = { name: 'ping', query: 'protocol=icmp', sends: pings };
const TCP: Probe = { name: `TCP ${PORT}`, query: `protocol=tcp&dport=${PORT}`, sends: connects };

/** A machine without a route does not send at all. */
async function pings(from: Guest, address: string): Promise<boolean> {
  const { code } = await run(['ping', '-c1', '-W1', address], { netns: from.netns, timeoutMs: 8_000 });
  return code === 0;
}

/** A connection that is refused has passed, both ways. */
async function connects(from: Guest, address: string): Promise<boolean> {
  const script = `exec 3<>/dev/tcp/${address}/${PORT}`;
  const { code, stderr } = await run(['timeout', '1', 'bash', '-c', script], { netns: from.netns, timeoutMs: 8_000 });
  return code === 0 || stderr.includes('refused');
}

type Verdict = { readonly verdict: string; readonly cause: { readonly reason: string } | null };

async function traceOf(lab: FaultLab, from: Guest, address: string, { query }: Probe): Promise<Verdict> {
  const path = `/cable/v1/ports/${from.portId}/trace?to=${address}&${query}`;
  return (await lab.tenants.blue.request('GET', path)) as Verdict;
}

/** Of all pairs and probes: what the trace says and what really happens. Throws at the first that stays different. */
async function compareAll(lab: FaultLab): Promise<string> {
  const { vm1, vm2, pod1, machine } = lab.guests;
  const guests = [vm1, vm2, pod1, machine];
  const pairs = guests.flatMap((from) => guests.flatMap((to) => (to === from ? [] : [[from, to] as const])));
  let passed = 0;
  const reasons = new Set<string>();
  const comparisons = pairs.flatMap(([from, to]) => [PING, TCP].map((probe) => ({ from, to, probe })));
  await Promise.all(
    comparisons.map(async ({ from, to, probe }) => {
      const what = `what a trace says of ${probe.name} from ${from.name} to ${to.name} to be so`;
      const { verdict, cause } = await eventually({ what, deadlineMs: SETTLED_MS, everyMs: 200 }, async () => {
        const said = await traceOf(lab, from, to.ip, probe);
        const happens = await probe.sends(from, to.ip);
        return (said.verdict === 'passes') === happens ? said : undefined;
      });
      if (verdict === 'passes') passed += 1;
      else reasons.add(cause?.reason ?? verdict);
    }),
  );
  const why = reasons.size === 0 ? '' : `, the others not for ${[...reasons].sort().join(', ')}`;
  return `${comparisons.length} traces: ${passed} pass${why}`;
}

/** Undoes what it did, also when the comparison fails. */
async function comparedWith(lab: FaultLab, change: () => Promise<() => Promise<unknown>>): Promise<string> {
  const undo = await change();
  try {
    return await compareAll(lab);
  } finally {
    await undo();
  }
}

const concerns = ['server', 'agent'];

const CHECKS: readonly Check<FaultWorld>[] = [
  {
    group: 'trace',
    name: 'a trace says what ping and TCP then meet: between VMs, pod and machine, within and across networks',
    concerns,
    run: compareAll,
  },
  {
    group: 'trace',
    name: 'with a rule for the members of a group',
    concerns,
    run: (lab) =>
      comparedWith(lab, async () => {
        const { blue } = lab.tenants;
        const group = lab.groups.blue.id;
        const ports = { protocol: 'tcp', port_range_min: PORT, port_range_max: PORT };
        const body = {
          security_group_id: group,
          direction: 'ingress',
          remote_group_id: lab.groups.clients.id,
          ...ports,
        };
        const rule = await blue.create('security_group_rule', body);
        const member = lab.guests.pod1.portId;
        await blue.update('port', member, { security_groups: [group, lab.groups.clients.id] });
        return async () => {
          await blue.update('port', member, { security_groups: [group] });
          await blue.delete('security_group_rule', rule.id);
        };
      }),
  },
  {
    group: 'trace',
    name: 'without egress rules of one guest',
    concerns,
    run: (lab) =>
      comparedWith(lab, async () => {
        const { blue } = lab.tenants;
        const empty = await blue.create('security_group', { name: 'silent' });
        for (const { id } of await blue.list('security_group_rule', { security_group_id: empty.id }))
          await blue.delete('security_group_rule', id);
        const port = lab.guests.vm1.portId;
        await blue.update('port', port, { security_groups: [empty.id] });
        return async () => {
          await blue.update('port', port, { security_groups: [lab.groups.blue.id] });
          await blue.delete('security_group', empty.id);
        };
      }),
  },
  {
    group: 'trace',
    name: 'with a port that is down by admin_state_up',
    concerns,
    run: (lab) =>
      comparedWith(lab, async () => {
        const port = lab.guests.vm2.portId;
        await lab.tenants.blue.update('port', port, { admin_state_up: false });
        return () => lab.tenants.blue.update('port', port, { admin_state_up: true });
      }),
  },
  {
    group: 'trace',
    name: 'without the router’s interface in one network',
    concerns,
    run: (lab) =>
      comparedWith(lab, async () => {
        const body = { subnet_id: lab.networks['blue-back'].subnet.id };
        const router = lab.routers['blue-router'].id;
        await lab.tenants.blue.action('router', router, 'remove_router_interface', body);
        return () => lab.tenants.blue.action('router', router, 'add_router_interface', body);
      }),
  },
  {
    group: 'counted',
    name: 'flows and drops name peer, rule and reason',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const ask = (what: string): Promise<unknown> =>
        lab.tenants.blue.request('GET', `/cable/v1/ports/${vm2.portId}/${what}`);
      // The router has just been given its interface back.
      await eventually({ what: 'vm1 to reach vm2', deadlineMs: SETTLED_MS, everyMs: 200 }, async () =>
        (await PING.sends(vm1, vm2.ip)) ? true : undefined,
      );
      expect(!(await TCP.sends(vm1, vm2.ip)), `TCP ${PORT} is allowed`);
      const { flows } = (await ask('flows?protocol=icmp')) as { flows: readonly Flow[] };
      const flow = flows.find(({ source }) => source === vm1.ip);
      expect(flow?.peer?.id === vm1.portId, 'the flow does not name vm1');
      expect(flow.security_group?.id === lab.groups.blue.id, 'the flow does not name the group whose rule allowed it');
      const { drops } = (await ask('drops')) as { drops: readonly { reason: string; remedy: string }[] };
      const drop = drops.find(({ reason }) => reason === 'policy_ingress');
      expect(drop !== undefined && drop.remedy !== '', 'the drop is not told');
      return `a flow of ${flow.packets} packets; ${drops.length} reasons of drops`;
    },
  },
  {
    group: 'why',
    name: 'ports that cannot talk, and one that is not bound, are explained',
    concerns,
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const { blue } = lab.tenants;
      const pair = (await blue.request(
        'GET',
        `/cable/v1/ports/${vm1.portId}/why?to=${vm2.portId}&protocol=tcp&dport=${PORT}`,
      )) as { finding: { code: string } | null };
      expect(pair.finding?.code === 'policy_ingress', `two ports: ${pair.finding?.code}`);
      const port = await blue.create('port', { network_id: lab.networks.blue.network.id });
      const why = (await blue.request('GET', `/cable/v1/ports/${port.id}/why`)) as { findings: { code: string }[] };
      await blue.delete('port', port.id);
      expect(why.findings[0]?.code === 'not_bound', `one port: ${why.findings[0]?.code}`);
      return 'policy_ingress; not_bound';
    },
  },
  {
    group: 'capture',
    name: 'a capture has both directions, of a VM’s port and of a pod’s, also of a connection that was there before',
    concerns,
    run: async (lab) => {
      const { vm1, pod1 } = lab.guests;
      const both: string[] = [];
      for (const [port, other] of [
        [vm1, pod1],
        [pod1, vm1],
      ] as const) {
        const pinging = pingFrom(other, port.ip, { count: 30, intervalMs: 100, deadlineSeconds: 8 });
        const capture = [process.execPath, LAUNCHER, 'capture', port.portId, '--host', port.host.name];
        const filter = ['--filter', `icmp and host ${other.ip}`, '--count', '20', '--seconds', '6'];
        const piped = ['sh', '-c', '"$@" | tcpdump -n -r - 2>/dev/null', 'sh', ...capture, ...filter];
        const { stdout } = await run(piped, { timeoutMs: 15_000 });
        const { lost } = await pinging;
        for (const what of ['echo request', 'echo reply'])
          expect(stdout.includes(what), `no ${what} in the capture of ${port.name}: ${stdout.slice(0, 300)}`);
        expect(lost.length === 0, `${lost.length} pings to ${port.name} were lost meanwhile`);
        both.push(`${port.name}: ${stdout.trim().split('\n').length} packets`);
      }
      return both.join('; ');
    },
  },
];

type Flow = {
  readonly source: string;
  readonly packets: number;
  readonly peer: { readonly id: string } | null;
  readonly security_group: { readonly id: string } | null;
};

export const FAULTS: Story = defineStory({
  name: 'faults',
  sentence: 'What traces, flows and drops say of packets is what becomes of them.',
  world: WORLD,
  checks: CHECKS,
});
