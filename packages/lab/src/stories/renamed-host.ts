import { rmSync } from 'node:fs';
import { ApiError } from '@cable/api';
import { startAgent } from '../agent.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { eventually } from '../eventually.ts';
import { addedPod, addPodTo } from '../guests/later.ts';
import type { Pod } from '../guests/pod.ts';
import { giveJoinToken, operate } from '../joining.ts';
import type { Lab } from '../lab.ts';
import { agentPaths, type LabHost } from '../names.ts';
import { defineStory, type Story } from '../story.ts';
import { portLinks } from '../topology.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

type RenamedLab = Lab<typeof WORLD>;

/** A host that was heard within this time is alive, and is not renamed. */
const DEAD_MS = 40_000;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'rename',
    name: 'a host that is alive is not renamed, and the refusal says what to do',
    concerns: ['server'],
    run: async (lab) => {
      for (const name of ['pod1', 'pod2']) await addPodTo(lab, name, { host: 'h1', network: 'blue', group: 'blue' });
      const words = await refusalOf(() => rename(lab));
      expect(/stop its agent/i.test(words), `it does not say what to do: ${words}`);
      return words;
    },
  },
  {
    group: 'rename',
    name: 'the guide’s steps: not a ping is lost, from the stop of the old name to the new one in sync',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { hosts, guests, ledger, names, processes } = lab;
      const renamed = renamedHost(lab);
      const steps = async (): Promise<string> => {
        await hosts.h1.agent?.stop();
        await eventually({ what: 'the old name to count as dead', deadlineMs: DEAD_MS, everyMs: 500 }, async () => {
          const found = await lab.tenants.blue.get('host', hosts.h1.name);
          return found.alive ? undefined : true;
        });
        await operate(names, processes, ['host', 'rename', hosts.h1.name, '--name', renamed.name]);
        ledger.add({ kind: 'host', name: renamed.name, netns: renamed.netns });
        await giveJoinToken(names, processes, renamed, true);
        await startAgent(names, processes, renamed, lab.encapsulation);
        return duration(await untilSynced(renamed));
      };
      const { result, pings } = await duringPings(guests.vm2, guests.vm1, steps);
      await expectPings(guests.vm1, guests.vm2);
      return `${pings} pings; in sync ${result} after its start`;
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
    name: 'the VM’s port is of the new name, the old one is gone, and its files are removed',
    concerns: ['server'],
    run: async (lab) => {
      const { tenants, guests } = lab;
      const { h1 } = lab.hosts;
      const { run, state, pins } = agentPaths(h1.name);
      for (const path of [run, state, pins]) rmSync(path, { recursive: true, force: true });
      await expectPings(guests.vm2, guests.vm1);
      const port = await tenants.blue.get('port', guests.vm1.portId);
      expect(port['binding:host_id'] === renamedHost(lab).name, `the port is bound to ${port['binding:host_id']}`);
      const left = (await tenants.blue.list('host')).map((host) => host.id);
      expect(!left.includes(h1.name), `it is listed still: ${left.join(', ')}`);
      return `left: ${left.join(', ')}`;
    },
  },
];

/** The first host under its new name: the same machine, with the same address. */
function renamedHost({ names, hosts }: RenamedLab): LabHost {
  const { short, netns, root, underlay } = hosts.h1;
  return { name: `${names.lab}-renamed`, short, netns, root, underlay };
}

function rename(lab: RenamedLab): Promise<unknown> {
  return lab.tenants.blue.action('host', lab.hosts.h1.name, 'rename', { name: renamedHost(lab).name });
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
  sentence: 'A host gets another name: its VM goes on, its pods are found, and nothing of the old name is left.',
  world: WORLD,
  checks: CHECKS,
});
