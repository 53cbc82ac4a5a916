/** A real API server for the tests of one file, and of it a namespace for each test. */
import { after, before } from 'node:test';
import { createKubeApi, type KubeKind } from '@cable/kube';
import type { TestedApi } from '@cable/kube/testing';
import { type ApiServer, startApiServer } from './api-server.ts';

const NAMESPACES: KubeKind = { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false };

/** Starts an API server before the first test of the file, and closes it after the last. `server` and `start` are for use within tests. */
export function testedApiServer(): { server(): ApiServer; start(): Promise<TestedApi> } {
  let running: ApiServer | undefined;
  let namespaces = 0;
  before(async () => {
    running = await startApiServer();
  });
  after(async () => {
    await running?.close();
  });
  const server = (): ApiServer => {
    if (running === undefined) throw new Error('there is no API server but within tests');
    return running;
  };
  const start = async (): Promise<TestedApi> => {
    const { adminToken, connect, compact, restart } = server();
    const api = createKubeApi({ transport: connect(), token: () => adminToken });
    const namespace = `test-${++namespaces}`;
    await api.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    return { api, namespace, compact, restart };
  };
  return { server, start };
}
