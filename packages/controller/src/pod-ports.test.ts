/** A port that a StatefulSet keeps, from one pod to the next. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodFacts } from './pod-facts.ts';
import { type PortDeps, updatePodPort } from './pod-ports.ts';
import type { PortFacts } from './port-book.ts';

test('a port that was closed for the labels of one pod is open for the next', async () => {
  const written: object[] = [];
  const deps = {
    ...{ cluster: 'prod', rates: { idOf: async () => null }, book: { keep: (port: object) => port } },
    cable: { as: () => ({ update: async (_type: string, _id: string, changes: object) => written.push(changes) }) },
  } as unknown as PortDeps;
  const pod = { namespace: 'shop', name: 'db-0', node: 'n', labels: ['app=db'], namedPorts: [] } as unknown as PodFacts;
  const port = (labels: readonly string[]): PortFacts =>
    ({
      ...{ id: 'p', projectId: 'prod.shop', host: 'n', deviceId: 'u1:eth0', namespace: 'prod/shop', namedPorts: [] },
      ...{ labels, securityGroups: [], qosPolicyId: null },
    }) as unknown as PortFacts;
  const wanted = { deviceId: 'u2:eth0', groups: [], rates: { ingressKbps: 0, egressKbps: 0 } };
  await updatePodPort(deps, pod, port(['refused labels=']), wanted);
  await updatePodPort(deps, pod, port(['app=db']), wanted);
  assert.deepEqual(written, [
    { device_id: 'u2:eth0', admin_state_up: true, 'cable:labels': ['app=db'] },
    { device_id: 'u2:eth0' },
  ]);
});
