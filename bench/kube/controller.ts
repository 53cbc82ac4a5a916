import type { Client } from '@cable/api';
import { askAgent } from '@cable/lab';
import { BENCH_CLUSTER, type CableBed } from '../lib/cable.ts';
import type { Sandbox } from '../lib/cni.ts';

/** What the cluster's controller does beside: makes the ports of pods before the runtime asks, and deletes them when the pods are gone. */
export type Controller = {
  /** Resolves when the host was sent the ports. */
  bind(sandboxes: readonly Sandbox[]): Promise<void>;
  release(sandboxes: readonly Sandbox[]): Promise<void>;
};

/** Ports in a request: the server takes a thousand. */
const AT_ONCE = 500;
const LOOK_MS = 5;
const DEADLINE_MS = 60_000;

/** `client`: asks as the cluster's controller, in the project of the bed. `groupId`: of the ports. */
export function createController({ networkId, names }: CableBed, client: Client, groupId: string): Controller {
  const made = new Map<string, string>();
  const carried = async (): Promise<ReadonlySet<string>> => {
    const vifs = (await askAgent(names.h1, '/vifs')) as readonly { readonly port_id: string }[];
    return new Set(vifs.map(({ port_id: portId }) => portId));
  };
  return {
    bind: async (sandboxes) => {
      const ids: string[] = [];
      for (const some of chunks(sandboxes)) {
        const ports = some.map(({ podUid, netns }) => ({
          network_id: networkId,
          device_owner: 'kubernetes:pod',
          device_id: `${podUid}:eth0`,
          'binding:host_id': names.h1.name,
          security_groups: [groupId],
          'cable:cluster': BENCH_CLUSTER,
          'cable:origin': `Pod/bench/${netns}/${podUid}`,
        }));
        const answer = (await client.request('POST', '/v2.0/ports', { ports })) as {
          readonly ports: readonly { readonly id: string; readonly device_id: string }[];
        };
        for (const { id, device_id: deviceId } of answer.ports) {
          made.set(deviceId, id);
          ids.push(id);
        }
      }
      const deadline = performance.now() + DEADLINE_MS;
      for (;;) {
        const there = await carried();
        if (ids.every((id) => there.has(id))) return;
        if (performance.now() > deadline) throw new Error(`the host was not sent ${ids.length} ports in a minute`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    },
    release: async (sandboxes) => {
      for (const { podUid } of sandboxes) {
        const id = made.get(`${podUid}:eth0`);
        if (id !== undefined) await client.delete('port', id);
        made.delete(`${podUid}:eth0`);
      }
    },
  };
}

function* chunks<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < all.length; start += AT_ONCE) yield all.slice(start, start + AT_ONCE);
}
