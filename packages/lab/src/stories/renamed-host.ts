import { rmSync } from 'node:fs';
import { ApiError } from '@cable/api';
import { startAgent } from '../agent.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { ipBatch, mustRun } from '../exec.ts';
import { addedPod, addPodTo } from '../guests/later.ts';
import type { Pod } from '../guests/pod.ts';
import type { Lab } from '../lab.ts';
import { agentPaths, LAUNCHER, type LabHost, underlayAddress } from '../names.ts';
import { defineStory, type Story } from '../story.ts';
import { portLinks } from '../topology.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

type RenamedLab = Lab<typeof WORLD>;

/** A host that was heard within this time is alive, and is not deleted. */
const DEAD_MS = 40_000;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'rename',
    name: 'the agent stopped, and started under the new name (and address)',
    concerns: ['server', 'agent-h1'],
    run: async (lab) => {
      for (const name of ['pod1', 'pod2']) await addPodTo(lab, name, { host: 'h1', network: 'blue', group: 'blue' });
      const { h1 } = lab.hosts;
      const renamed = renamedHost(lab);
      await h1.agent?.stop();
      await ipBatch(h1.netns, [`addr add ${renamed.underlay}/24 dev up0`]);
      lab.ledger.add({ kind: 'host', name: renamed.name, netns: renamed.netns });
      await startAgent(lab.names, lab.processes, renamed);
      return `${h1.name} is ${renamed.name}, in sync after ${duration(await untilSynced(renamed))}`;
    },
  },
  {
    group: 'cni',
    name: 'CNI DEL finds the pod’s port by its container: port, address and link go',
    concerns: ['server', 'agent-h1'],
    run: async (lab) => {
      const pod = addedPod(lab, 'pod1');
      await pod.call('DEL', renamedHost(lab));
      await expectGone(lab, pod);
      return `${pod.ip} is free again`;
    },
  },
  {
    group: 'cni',
    name: 'CNI GC finds the ports of pods that the runtime does not know',
    concerns: ['server', 'agent-h1'],
    run: async (lab) => {
      const pod = addedPod(lab, 'pod2');
      await pod.call('GC', renamedHost(lab), { 'cni.dev/valid-attachments': [] });
      await expectGone(lab, pod);
      return `${pod.ip} is free again`;
    },
  },
  {
    group: 'rename',
    name: 'the old name is not deleted while ports are bound to it, and the refusal says what to do',
    concerns: ['server'],
    run: async ({ tenants, hosts }) => {
      const words = await eventually(
        { what: 'the old name to count as dead', deadlineMs: DEAD_MS, everyMs: 500 },
        async () => {
          const said = await refusalOf(() => tenants.blue.delete('host', hosts.h1.name));
          return /alive/.test(said) ? undefined : said;
        },
      );
      expect(/binding:host_id|--host/.test(words), `it does not say how to move the ports: ${words}`);
      return words;
    },
  },
  {
    group: 'rename',
    name: 'the VM’s port bound to the new name: its traffic is back',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const startedAt = performance.now();
      await lab.tenants.blue.update('port', vm1.portId, { 'binding:host_id': renamedHost(lab).name });
      await eventually({ what: 'vm2 to reach vm1', deadlineMs: 10_000 }, async () => {
        await expectPings(vm2, vm1, 1);
        return true;
      });
      const took = performance.now() - startedAt;
      await expectPings(vm1, vm2);
      return `after ${duration(took)}`;
    },
  },
  {
    group: 'rename',
    name: 'the old name is deleted, and its files with it',
    concerns: ['server'],
    run: async ({ hosts: { h1 }, tenants, control, guests }) => {
      await mustRun([process.execPath, LAUNCHER, '--server', control.url, 'host', 'delete', h1.name]);
      const { run, state, pins } = agentPaths(h1.name);
      for (const path of [run, state, pins]) rmSync(path, { recursive: true, force: true });
      await expectPings(guests.vm2, guests.vm1);
      const left = (await tenants.blue.list('host')).map((host) => host.id);
      expect(!left.includes(h1.name), `it is listed still: ${left.join(', ')}`);
      return `left: ${left.join(', ')}`;
    },
  },
];

/** The first host under its new name: the same machine. Another address too: the old name holds the old one until it is deleted. */
function renamedHost({ names, hosts }: RenamedLab): LabHost {
  const { short, netns, root } = hosts.h1;
  return { name: `${names.lab}-renamed`, short, netns, root, underlay: underlayAddress(101) };
}

async function expectGone(lab: RenamedLab, pod: Pod): Promise<void> {
  const ports = await lab.tenants.blue.list('port', { device_id: `${pod.containerId}:eth0` });
  expect(ports.length === 0, `the port of ${pod.name} is there still, with ${pod.ip}`);
  const link = `cv${pod.portId.slice(0, 11)}`;
  await eventually({ what: `${link} to go`, deadlineMs: 5_000 }, async () =>
    (await portLinks(lab.hosts.h1)).includes(link) ? undefined : true,
  );
}

async function refusalOf(ask: () => Promise<unknown>): Promise<string> {
  try {
    await ask();
  } catch (err) {
    if (err instanceof ApiError) return `${err.message} ${err.detail}`.trim();
    throw err;
  }
  throw new Error('it was not refused');
}

export const RENAMED_HOST: Story = defineStory({
  name: 'renamed-host',
  sentence: 'A host gets another name: its pods are removed and its VM goes on, and nothing of the old name is left.',
  world: WORLD,
  checks: CHECKS,
});
