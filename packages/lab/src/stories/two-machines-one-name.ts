import { cpSync } from 'node:fs';
import { ApiError, type Client } from '@cable/api';
import { startAgent } from '../agent.ts';
import { untilLogged, untilRefused, untilSynced, untilUnconnected } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { giveJoinToken, removeJoinToken } from '../joining.ts';
import { agentPaths, type LabHost } from '../names.ts';
import { defineStory, type Story } from '../story.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  ...TWO_VMS,
  hosts: { ...TWO_VMS.hosts, twin: { posesAs: 'h1' } },
} as const;

/** A host counts as alive for 20 s after its agent has fallen silent; one that was refused asks again every 30 s. */
const NAME_IS_FREE_MS = 60_000;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'refusal',
    name: 'a second machine with a token for the name of a host that has joined gets no certificate, and is told why',
    concerns: ['server', 'agent-twin'],
    run: async (lab) => {
      const { guests, hosts, names } = lab;
      const { result, pings } = await duringPings(guests.vm2, guests.vm1, async () => {
        await giveJoinToken(names, lab.processes, hosts.twin);
        const agent = await startAgent(names, lab.processes, hosts.twin, lab.encapsulation);
        const words = await untilUnconnected(hosts.twin, /refuses this host: There is a host .* already/);
        await agent.stop();
        return words;
      });
      removeJoinToken(names, hosts.twin);
      return `${pings} of ${pings} pings answered; the second says: ${result}`;
    },
  },
  {
    group: 'refusal',
    name: 'with a copy of the first’s certificate it is refused while that is alive; traffic of the first goes on',
    concerns: ['server', 'agent-h1', 'agent-twin'],
    run: async (lab) => {
      const { guests, hosts } = lab;
      const { result, pings } = await duringPings(guests.vm2, guests.vm1, async () => {
        copyCertificate(hosts.h1, hosts.twin);
        await startAgent(lab.names, lab.processes, hosts.twin, lab.encapsulation);
        return untilRefused(hosts.twin, 'HostNameInUse');
      });
      await expectPings(guests.vm1, guests.vm2);
      return `${pings} of ${pings} pings answered; the second says: ${result}`;
    },
  },
  {
    group: 'refusal',
    name: 'both sides log it',
    concerns: ['server', 'agent-twin'],
    run: async ({ names, hosts }) => {
      await untilLogged(names, 'agent-twin', ['HostNameInUse']);
      await untilLogged(names, 'server', ['refused', hosts.h1.name, hosts.twin.underlay]);
      return 'the server names the host and the second machine’s address';
    },
  },
  {
    group: 'refusal',
    name: 'over the API the answer is 409 HostNameInUse, and the host stays as it is',
    concerns: ['server'],
    run: async ({ tenants, hosts }) => {
      const { status, type } = await registerAgain(tenants.blue, hosts.h1.name, hosts.twin.underlay);
      expect(status === 409 && type === 'HostNameInUse', `the answer is ${status} ${type}`);
      const host = await tenants.blue.get('host', hosts.h1.name);
      expect(host.alive && host.underlay === hosts.h1.underlay, `the host is ${JSON.stringify(host)}`);
      return `${hosts.h1.name} is alive at ${host.underlay}`;
    },
  },
  {
    group: 'succession',
    name: 'the first machine’s agent gone for good, the second gets the name',
    concerns: ['server', 'agent-h1', 'agent-twin'],
    run: async ({ tenants, hosts }) => {
      await hosts.h1.agent?.kill();
      const took = await untilSynced(hosts.twin, NAME_IS_FREE_MS);
      const { underlay } = await tenants.blue.get('host', hosts.h1.name);
      expect(underlay === hosts.twin.underlay, `the host is still at ${underlay}`);
      return `after ${duration(took)}`;
    },
  },
  {
    group: 'succession',
    name: 'now the first is the one that is refused',
    concerns: ['server', 'agent-h1'],
    run: async ({ hosts }) => {
      await hosts.h1.agent?.start();
      return `it says: ${await untilRefused(hosts.h1, 'HostNameInUse')}`;
    },
  },
];

/** As by whoever copies a machine's disk, and gives the copy an agent id of its own. */
function copyCertificate(from: LabHost, to: LabHost): void {
  const [source, target] = [from, to].map(({ name, root }) => `${agentPaths(name, root).state}/joined`);
  if (source !== undefined && target !== undefined) cpSync(source, target, { recursive: true });
}

/** As another agent would. */
async function registerAgain(
  client: Client,
  host: string,
  underlay: string,
): Promise<{ readonly status: number; readonly type: string }> {
  const agentId = '5d5eb4a1-0000-4000-8000-000000000001';
  const registration = { underlay, agentVersion: 'lab', agentId, session: agentId, protocol: 2 };
  try {
    await client.request('PUT', `/cable/v1/hosts/${host}`, registration);
    return { status: 200, type: 'none' };
  } catch (err) {
    if (err instanceof ApiError) return { status: err.status, type: err.type };
    throw err;
  }
}

export const TWO_MACHINES_ONE_NAME: Story = defineStory({
  name: 'two-machines-one-name',
  sentence:
    'A second machine comes with the name of a live host, by a token or a copy of its certificate: it is refused, and takes no traffic away.',
  world: WORLD,
  checks: CHECKS,
});
