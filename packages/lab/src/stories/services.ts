import { randomUUID } from 'node:crypto';
import { untilSynced } from '../checks/agent-status.ts';
import { ALL_AGENTS, type Check, expect } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT, type TransferResult } from '../traffic/protocol.ts';

const VM = { kind: 'vm', dhcp: 'udhcpc' } as const;

/** A cluster's router between two networks, on two hosts, with guests of every kind; and another project, which has no part in it. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['kube', 'other'],
  networks: {
    front: { project: 'kube', cidr: '10.10.0.0/24' },
    back: { project: 'kube', cidr: '10.20.0.0/24' },
    alone: { project: 'other', cidr: '10.30.0.0/24' },
    beside: { project: 'other', cidr: '10.40.0.0/24' },
  },
  routers: {
    cluster: { project: 'kube', networks: ['front', 'back'] },
    otherwise: { project: 'other', networks: ['alone', 'beside'] },
  },
  groups: {
    kube: { project: 'kube', allow: ['ping', 'service'] },
    other: { project: 'other', allow: ['ping', 'service'] },
  },
  guests: {
    client: { kind: 'pod', host: 'h1', network: 'front', group: 'kube' },
    far: { ...VM, host: 'h2', network: 'back', group: 'kube' },
    vm: { ...VM, host: 'h2', network: 'front', group: 'kube' },
    pod: { kind: 'pod', host: 'h1', network: 'back', group: 'kube' },
    machine: { kind: 'machine', host: 'h2', network: 'back', group: 'kube' },
    stranger: { ...VM, host: 'h1', network: 'alone', group: 'other' },
  },
} as const;

type ServicesWorld = typeof WORLD;
type ServicesLab = Lab<ServicesWorld>;

const CIDR = '10.96.0.0/16';
const IP = '10.96.0.10';
const NOBODYS = '10.96.0.99';
const PORT = 80;
const BYTES = 300_000_000;

/** Ids, which their writer gives. */
const SCOPE = randomUUID();
const WEB = randomUUID();
const SET = randomUUID();

type Conditions = { readonly ready: boolean; readonly serving: boolean; readonly terminating: boolean };

const PATHS = { service_scope: 'service-scopes', service: 'services', endpoint_set: 'endpoint-sets' } as const;

async function create(lab: ServicesLab, type: keyof typeof PATHS, fields: object): Promise<void> {
  await lab.tenants.kube.request('POST', `/cable/v1/${PATHS[type]}`, { [type]: fields });
}

async function update(lab: ServicesLab, type: keyof typeof PATHS, id: string, fields: object): Promise<void> {
  await lab.tenants.kube.request('PUT', `/cable/v1/${PATHS[type]}/${id}`, { [type]: fields });
}

const READY: Conditions = { ready: true, serving: true, terminating: false };
const DYING: Conditions = { ready: false, serving: true, terminating: true };

/** Makes these guests the endpoints. */
async function serve(lab: ServicesLab, ...all: readonly (Guest | readonly [Guest, Conditions])[]): Promise<void> {
  const endpoints = all.map((one) => {
    const [guest, conditions] = 'portId' in one ? [one, READY] : one;
    return { address: guest.ip, port_id: guest.portId, host_id: guest.host.name, ...conditions };
  });
  await update(lab, 'endpoint_set', SET, { endpoints });
}

const who = (from: Guest): Promise<string> => inGuest<string>(from, 'who', { ip: IP, port: PORT });

/** Names of the guests that one meets at the ClusterIP, each with how often. */
async function meets(from: Guest, times: number): Promise<ReadonlyMap<string, number>> {
  const met = new Map<string, number>();
  for (let n = 0; n < times; n += 1) {
    const name = await who(from);
    met.set(name, (met.get(name) ?? 0) + 1);
  }
  return met;
}

function text(met: ReadonlyMap<string, number>): string {
  return [...met].map(([name, count]) => `${name} ${count}`).join(', ');
}

/** Waits until the guest meets these at the ClusterIP, and nobody else. */
async function untilMeets(from: Guest, names: readonly string[]): Promise<string> {
  const what = `${from.name} to meet ${names.join(', ')} at ${IP}`;
  const met = await eventually({ what, deadlineMs: 20_000 }, async () => {
    const found = await meets(from, 12).catch(() => new Map<string, number>());
    return [...found.keys()].sort().join() === [...names].sort().join() ? found : undefined;
  });
  return `${from.name}: ${text(met)}`;
}

/** What `socat` says of a connection. */
async function connecting(from: Guest, ip: string): Promise<string> {
  const ask = ['socat', '-u', 'OPEN:/dev/null', `TCP4:${ip}:${PORT},connect-timeout=2`];
  return (await run(ask, { netns: from.netns, timeoutMs: 10_000 })).stderr;
}

type Traced = { readonly verdict: string; readonly cause: { readonly reason: string } | null };

async function traced(lab: ServicesLab, { portId }: Guest): Promise<Traced & { readonly said: string }> {
  const path = `/cable/v1/ports/${portId}/trace?to=${IP}&protocol=tcp&dport=${PORT}`;
  const answer = (await lab.tenants.kube.request('GET', path)) as Traced;
  return { ...answer, said: JSON.stringify(answer) };
}

const CHECKS: readonly Check<ServicesWorld>[] = [
  {
    group: 'endpoints',
    name: 'pods, VMs and a physical machine, on both hosts and in both networks, reach a ClusterIP, and each of them serves there',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, far, vm, pod, machine } = lab.guests;
      await create(lab, 'service_scope', {
        id: SCOPE,
        name: 'lab',
        cidrs: [CIDR],
        router_ids: [lab.routers.cluster.id],
      });
      const ports = [{ name: 'http', protocol: 'TCP', port: PORT }];
      await create(lab, 'service', { id: WEB, name: 'default/web', scope_id: SCOPE, cluster_ips: [IP], ports });
      const served = [{ name: 'http', protocol: 'TCP', port: OPEN_PORT }];
      await create(lab, 'endpoint_set', { id: SET, name: 'default/web-1', service_id: WEB, ports: served });
      await serve(lab, vm, pod, machine);
      const told: string[] = [];
      for (const from of [client, far, machine]) told.push(await untilMeets(from, ['vm', 'pod', 'machine']));
      return told.join('; ');
    },
  },
  {
    group: 'endpoints',
    name: 'an endpoint that asks for itself is answered, on a pod, a VM and a physical machine',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { vm, pod, machine } = lab.guests;
      const told: string[] = [];
      for (const one of [pod, vm, machine]) {
        await serve(lab, one);
        told.push(await untilMeets(one, [one.name]));
      }
      return told.join('; ');
    },
  },
  {
    group: 'endpoints',
    name: 'a trace tells the Service and the endpoint, and comes back',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, vm } = lab.guests;
      await serve(lab, vm);
      await untilMeets(client, ['vm']);
      const { verdict, cause, said } = await traced(lab, client);
      expect(verdict === 'passes', `a trace says ${verdict}, ${cause?.reason}: ${said}`);
      const step = `Service default/web gives it to endpoint ${vm.ip} port ${OPEN_PORT}`;
      expect(said.includes(step), `the trace says ${said}`);
      return step;
    },
  },
  {
    group: 'churn',
    name: 'endpoints come and go under traffic: a transfer goes on though its endpoint leaves, and no connection that begins meanwhile fails',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, far, vm, pod } = lab.guests;
      await serve(lab, vm);
      await untilMeets(client, ['vm']);
      const going = inGuest<TransferResult>(client, 'put', { ip: IP, port: PORT }, { bytes: BYTES, seed: 'churn' });
      let isOver = false;
      const transfer = going.finally(() => {
        isOver = true;
      });
      let changes = 0;
      let asked = 0;
      const churn = (async () => {
        while (!isOver) {
          for (const endpoints of [[pod], [[vm, DYING], pod], [pod, far], [far, [pod, DYING]]] as const) {
            await serve(lab, ...endpoints);
            changes += 1;
          }
        }
      })();
      const asks = (async () => {
        while (!isOver) {
          for (const from of [client, far]) await who(from);
          asked += 2;
        }
      })();
      const [sent] = await Promise.all([transfer, churn, asks]);
      expect(sent.ok, `${sent.received} of ${sent.bytes} bytes came`);
      expect(changes > 3 && asked > 3, `${changes} changes and ${asked} connections were too few`);
      return `${sent.bytes / 1e6} MB in ${Math.round(sent.ms)} ms to an endpoint that had left, ${changes} changes, ${asked} connections`;
    },
  },
  {
    group: 'policies',
    name: 'with internal_traffic_policy Local each host meets its own endpoint, and where it has none packets are dropped as no_local',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, far, vm, pod } = lab.guests;
      await serve(lab, vm, pod);
      await update(lab, 'service', WEB, { internal_traffic_policy: 'Local' });
      const told = [await untilMeets(client, ['pod']), await untilMeets(far, ['vm'])];
      await serve(lab, vm);
      await eventually({ what: 'the client to be dropped', deadlineMs: 20_000 }, async () =>
        (await traced(lab, client)).cause?.reason === 'no_local' ? true : undefined,
      );
      await update(lab, 'service', WEB, { internal_traffic_policy: 'Cluster' });
      told.push(await untilMeets(client, ['vm']));
      return told.join('; ');
    },
  },
  {
    group: 'policies',
    name: 'with ClientIP what one client begins goes to one endpoint',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, vm, pod } = lab.guests;
      await serve(lab, vm, pod);
      await untilMeets(client, ['vm', 'pod']);
      await update(lab, 'service', WEB, { session_affinity: 'ClientIP' });
      const one = await eventually({ what: 'the client to keep one endpoint', deadlineMs: 20_000 }, async () => {
        const met = await meets(client, 12);
        return met.size === 1 ? met : undefined;
      });
      await update(lab, 'service', WEB, { session_affinity: 'None' });
      return text(one);
    },
  },
  {
    group: 'refused',
    name: 'without endpoints connections are refused at once; an address that no Service has, and who is behind another router, meet nobody',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, vm, stranger } = lab.guests;
      await serve(lab, vm);
      await untilMeets(client, ['vm']);
      expect(!(await connecting(stranger, IP)).includes('refused'), 'the stranger is refused by somebody');
      expect((await who(stranger).catch(() => 'nobody')) === 'nobody', 'the stranger meets an endpoint');
      await serve(lab);
      await eventually({ what: 'the client to be refused', deadlineMs: 20_000 }, async () =>
        (await connecting(client, IP)).includes('Connection refused') ? true : undefined,
      );
      const { cause } = await traced(lab, client);
      expect(cause?.reason === 'no_member', `a trace says ${cause?.reason}`);
      expect(!(await connecting(client, NOBODYS)).includes('refused'), `${NOBODYS} is refused by somebody`);
      return `Connection refused: ${cause?.reason}`;
    },
  },
  {
    group: 'away',
    name: 'Services go on without the server, also where an agent is started anew',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client, far, vm, pod } = lab.guests;
      await serve(lab, vm, pod);
      for (const from of [client, far]) await untilMeets(from, ['vm', 'pod']);
      const [server] = lab.control.servers;
      await server.kill();
      try {
        for (const { agent } of [lab.hosts.h1, lab.hosts.h2]) {
          await agent?.kill();
          await agent?.start();
        }
        const told = [await untilMeets(client, ['vm', 'pod']), await untilMeets(far, ['vm', 'pod'])];
        return told.join('; ');
      } finally {
        await server.start();
        for (const host of [lab.hosts.h1, lab.hosts.h2]) await untilSynced(host, 60_000);
      }
    },
  },
  {
    group: 'away',
    name: 'the Service goes with its endpoints, and then the scope: the prefix leads nowhere',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { client } = lab.guests;
      const remove = (type: keyof typeof PATHS, id: string): Promise<unknown> =>
        lab.tenants.kube.request('DELETE', `/cable/v1/${PATHS[type]}/${id}`);
      await remove('service', WEB);
      await eventually({ what: 'the Service to be gone', deadlineMs: 20_000 }, async () =>
        (await traced(lab, client)).cause?.reason === 'no_service' ? true : undefined,
      );
      await remove('service_scope', SCOPE);
      await eventually({ what: 'the scope to be gone', deadlineMs: 20_000 }, async () =>
        (await traced(lab, client)).cause?.reason === 'no_route' ? true : undefined,
      );
      return `${CIDR} leads nowhere`;
    },
  },
];

export const SERVICES: Story = defineStory({
  name: 'services',
  sentence:
    'A ClusterIP of Kubernetes for pods, VMs and a physical machine on two hosts: endpoints come, go and end under traffic.',
  world: WORLD,
  checks: CHECKS,
});
