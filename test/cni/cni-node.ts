/** A node whose pods are plugged by the executable, as a container runtime does it: a real server, a real agent. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Client } from '@cable/api';
import { leadCluster } from '@cable/controller/testing';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const EXECUTABLE = join(fileURLToPath(new URL('../..', import.meta.url)), 'build/cni/cable-cni');

/** Of agents: of the cluster that the configuration names. */
export const CLUSTER = ['--cluster', 'k1'] as const;

export type Mode = 'cluster' | 'plain';

export type TestPod = { readonly netns: string; readonly uid: string };

/** `code`: of the error; undefined: it went well. */
export type Ended = { readonly code: unknown; readonly json: Record<string, unknown> };

export class CniNode {
  readonly bed: VersionBed;
  readonly pods: readonly TestPod[];
  readonly #mode: Mode;

  constructor(bed: VersionBed, mode: Mode, pods: readonly TestPod[]) {
    this.bed = bed;
    this.pods = pods;
    this.#mode = mode;
  }

  /** `container`: unique with the pod. */
  async call(
    command: string,
    { netns, uid }: TestPod,
    container: string,
    { host = this.bed.h1, ...extra }: { readonly host?: BedHost } & Readonly<Record<string, unknown>> = {},
  ): Promise<Ended> {
    const child = spawn(EXECUTABLE, [], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: `${container}-${uid}`,
        CNI_NETNS: `/run/netns/${netns}`,
        CNI_IFNAME: 'eth0',
        CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${netns};K8S_POD_UID=${uid}`,
      },
    });
    const exited = once(child, 'exit');
    const mode = this.#mode === 'cluster' ? { cluster: 'k1' } : { network: 'pods' };
    const conf = { cniVersion: '1.1.0', name: 'pods', type: 'cable-cni', socket: host.socket, ...mode, ...extra };
    child.stdin.end(JSON.stringify(conf));
    let text = '';
    for await (const chunk of child.stdout) text += chunk;
    const [status] = await exited;
    const json = text === '' ? {} : JSON.parse(text);
    return { code: status === 0 ? undefined : json.code, json };
  }

  /** As a runtime does: again, as long as it is told to try again later. */
  async callUntilDone(command: string, pod: TestPod, container: string, extra: object = {}): Promise<Ended> {
    return eventually(`${command} of ${pod.netns}`, async () => {
      const ended = await this.call(command, pod, container, { ...extra });
      if (ended.code !== undefined) assert.equal(ended.code, 11, JSON.stringify(ended.json));
      return ended.code === undefined ? ended : undefined;
    });
  }

  /** Links of pods, or what was to become one. */
  links(): readonly string[] {
    return this.bed.h1.links().filter((name) => /^c[vn]/.test(name));
  }

  async ports(): Promise<number> {
    return (await this.bed.api.list('port', { device_owner: 'kubernetes:pod' })).length;
  }
}

/** Devices in a pod's namespace, but for loopback. */
export function linksIn({ netns }: TestPod): readonly string[] {
  const shown: { ifname: string }[] = JSON.parse(ip('-n', netns, '-j', 'link', 'show'));
  return shown.map(({ ifname }) => ifname).filter((name) => name !== 'lo');
}

export function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

/** With so many pods' namespaces, in the mode `cluster` with their ports as well. All is removed when the test has ended. `label`: short, and no other bed's. */
export async function startNode(t: TestContext, label: string, mode: Mode, count: number): Promise<CniNode> {
  const bed = new VersionBed(label);
  const pods = Array.from({ length: count }, (_, n) => ({
    netns: `cbpod-${label}-${process.pid}-${n}`,
    uid: randomUUID(),
  }));
  t.after(async () => {
    for (const { netns } of pods) execFileSync('sh', ['-c', `ip netns del ${netns} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  await bed.h1.start(CURRENT, ...CLUSTER);
  for (const { netns } of pods) ip('netns', 'add', netns);
  if (mode === 'cluster') await makePorts(bed, pods);
  else await makeNetwork(bed.api);
  return new CniNode(bed, mode, pods);
}

/** As the cluster's controller does before the runtime asks. */
async function makePorts({ address, h1 }: VersionBed, pods: readonly TestPod[]): Promise<void> {
  const cluster = await leadCluster(address, 'k1');
  try {
    const of = {
      network_id: await makeNetwork(cluster.own),
      device_owner: 'kubernetes:pod',
      'binding:host_id': h1.name,
      'cable:cluster': 'k1',
    };
    for (const { netns, uid } of pods) {
      const origin = `Pod/default/${netns}/${uid}`;
      await cluster.own.create('port', { ...of, device_id: `${uid}:eth0`, 'cable:origin': origin });
    }
  } finally {
    cluster.close();
  }
}

async function makeNetwork(client: Client): Promise<string> {
  const { id } = await client.create('network', { name: 'pods' });
  await client.create('subnet', { network_id: id, ip_version: 4, cidr: '10.7.0.0/24' });
  return id;
}
