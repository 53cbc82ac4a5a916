/** What is printed for a cluster is what a real API server takes, and it says of an agent's pod what joining rests on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '@cable/api';
import { silentLogger } from '@cable/kit';
import { type KubeApi, KubeError, type KubeKind, type KubeObject } from '@cable/kube';
import { admit } from '../../packages/controller/src/install/admission.ts';
import { parseManifestsLine } from '../../packages/controller/src/install/manifests-line.ts';
import { manifestObjects } from '../../packages/controller/src/manifests.ts';
import { testedApiServer } from './namespaces.ts';

const { server, start } = testedApiServer();
const core = (plural: string): KubeKind => ({ group: '', version: 'v1', plural, isNamespaced: true });

type Manifest = KubeObject & { readonly apiVersion: string; readonly kind: string };

function kindOf({ apiVersion, kind, metadata }: Manifest): KubeKind {
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  return { group, version, plural: `${kind.toLowerCase()}s`, isNamespaced: metadata.namespace !== undefined };
}

const LINE = ['--cluster=prod', '--server-address=10.0.0.1', '--api-server=https://10.0.0.1:6443'];

for (const [what, more] of [
  ['with the embedded store', ['--store-node=cp-1']],
  ['with etcd', ['--etcd=10.0.0.5:2379', '--etcd-secret=cable-etcd']],
  ['to remove it from nodes', ['--teardown']],
] as const) {
  test(`real: what is printed ${what} is taken as it is, without a field that it does not know`, async () => {
    const { api, namespace } = await start();
    const line = parseManifestsLine([...LINE, ...more, `--namespace=${namespace}`], {});
    for (const object of manifestObjects(line) as readonly Manifest[]) {
      // Definitions have words that an old API server leaves out; what they do is asked in cable-resources.test.ts.
      if (object.kind === 'Namespace' || object.kind === 'CustomResourceDefinition') continue;
      const made = await api.create<Manifest>(kindOf(object), object);
      assert.deepEqual(missingIn(object, made, object.kind), []);
      await api.delete(kindOf(object), object.metadata);
    }
  });
}

/** Paths of what was sent and is not in what was stored: an unknown field is dropped without a word. */
function missingIn(sent: unknown, stored: unknown, path: string): readonly string[] {
  if (sent === null || typeof sent !== 'object') return sent === stored ? [] : [path];
  if (stored === null || typeof stored !== 'object') return [path];
  return Object.entries(sent).flatMap(([name, value]) =>
    value === undefined ? [] : missingIn(value, (stored as Readonly<Record<string, unknown>>)[name], `${path}.${name}`),
  );
}

test('real: what servers have put into the Secrets stays when what is printed is applied again', async () => {
  const { api, namespace } = await start();
  const line = parseManifestsLine([...LINE, '--store-node=cp-1', `--namespace=${namespace}`], {});
  const empty = (manifestObjects(line) as readonly Manifest[]).filter(({ kind }) => /^(Secret|ConfigMap)$/.test(kind));
  assert.equal(empty.length, 3);
  const headers = {
    authorization: `Bearer ${server().adminToken}`,
    'content-type': 'application/apply-patch+yaml',
  };
  const apply = async (object: Manifest): Promise<void> => {
    const place = `/api/v1/namespaces/${namespace}/${kindOf(object).plural}/${object.metadata.name}`;
    const request = { method: 'PATCH', path: `${place}?fieldManager=kubectl`, headers, body: JSON.stringify(object) };
    const { status, body } = await server().connect().request(request);
    assert.ok(status === 200 || status === 201, body);
  };
  for (const object of empty) {
    await apply(object);
    const there = await api.get<Manifest & { readonly data?: object }>(kindOf(object), object.metadata);
    const data = { 'authority.pem': object.kind === 'Secret' ? 'cGVt' : 'pem' };
    await api.update(kindOf(object), { ...there, data });
    await apply(object);
    assert.deepEqual((await api.get<typeof there>(kindOf(object), object.metadata)).data, data);
  }
});

type TokenAnswer = KubeObject & { readonly status?: { readonly token: string } };

/** A pod of the agent on a node, and a token of it. */
async function agentPod(
  api: KubeApi,
  namespace: string,
  audience?: string,
): Promise<{ readonly token: string; readonly pod: KubeObject }> {
  const account = { metadata: { name: 'cable-agent', namespace } };
  await api.create(core('serviceaccounts'), account).catch((err: unknown) => {
    if (!(err instanceof KubeError && err.status === 409)) throw err;
  });
  const pod = await api.create<KubeObject>(core('pods'), {
    metadata: { name: '', generateName: 'cable-agent-', namespace },
    spec: {
      ...{ nodeName: 'node-7', serviceAccountName: 'cable-agent', automountServiceAccountToken: false },
      containers: [{ name: 'agent', image: 'none' }],
    },
  } as KubeObject);
  const { name, uid } = pod.metadata;
  const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid };
  const spec = { ...(audience === undefined ? {} : { audiences: [audience] }), expirationSeconds: 600, boundObjectRef };
  const { status } = await api.create<TokenAnswer>(core('serviceaccounts/cable-agent/token'), {
    ...{ metadata: { name: '', namespace }, spec },
  } as TokenAnswer);
  return { token: status?.token ?? '', pod };
}

test('real: a token of the agent’s pod lets its node in; another audience, another ServiceAccount, a pod that is gone do not', async () => {
  const { api, namespace } = await start();
  const hosts: unknown[] = [];
  const cable = {
    get: async () => ({ id: 'node-7', cluster: 'prod' }),
    action: async (_type: string, _id: string, _name: string, body: { readonly host: string }) => {
      hosts.push(body.host);
      return { token: 'id.secret.authority' };
    },
  } as unknown as Pick<Client, 'get' | 'action'>;
  const ask = async (token: string, place = namespace): Promise<number> =>
    (await admit(token, { namespace: place, cluster: 'prod' }, { kube: api, cable, log: silentLogger() })).status;
  const { token, pod } = await agentPod(api, namespace, 'cable.io/join');
  assert.equal(await ask(token), 200);
  assert.deepEqual(hosts, ['node-7']);
  assert.equal(await ask((await agentPod(api, namespace)).token), 401);
  assert.equal(await ask(token, 'another'), 403);
  assert.equal(await ask(server().adminToken), 401);
  assert.equal(await ask('made-up'), 401);
  // As its kubelet says it at last.
  const { status } = await server()
    .connect()
    .request({
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace}/pods/${pod.metadata.name}?gracePeriodSeconds=0`,
      headers: { authorization: `Bearer ${server().adminToken}` },
    });
  assert.equal(status, 200);
  const deadline = performance.now() + 60_000;
  while ((await ask(token)) === 200) assert.ok(performance.now() < deadline, 'a token of a pod that is gone is taken');
  assert.equal(
    hosts.every((host) => host === 'node-7'),
    true,
  );
});
