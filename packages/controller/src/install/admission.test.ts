/** Who is let in, who is not, and as which host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Client } from '@cable/api';
import { silentLogger } from '@cable/kit';
import { type KubeApi, KubeError } from '@cable/kube';
import { type AdmissionAnswer, admit, ensureCluster } from './admission.ts';

const ACCOUNT = 'system:serviceaccount:kube-system:cable-agent';
const POD = { metadata: { name: 'cable-agent-x', namespace: 'kube-system', uid: 'u-1' }, spec: { nodeName: 'node-7' } };

/** What the API server says of the token: that of the agent’s pod on node-7, but for `more`. */
function reviewOf(more: object = {}): object {
  const extra = {
    'authentication.kubernetes.io/pod-name': [POD.metadata.name],
    'authentication.kubernetes.io/pod-uid': [POD.metadata.uid],
  };
  return { authenticated: true, audiences: ['cable.io/join'], user: { username: ACCOUNT, extra }, ...more };
}

type Asked = { readonly issued: object[]; readonly reviewed: object[] };

async function ask(
  review: object,
  {
    hosts = {},
    pod = POD,
    refusal,
  }: {
    readonly hosts?: Readonly<Record<string, object>>;
    readonly pod?: object | null;
    readonly refusal?: ApiError;
  } = {},
): Promise<AdmissionAnswer & Asked> {
  const asked: Asked = { issued: [], reviewed: [] };
  const kube = {
    create: async (_kind: unknown, { spec }: { readonly spec: object }) => {
      asked.reviewed.push(spec);
      return { status: review };
    },
    get: async () => {
      if (pod === null) throw new KubeError(404, 'NotFound', 'no such pod');
      return pod;
    },
  } as unknown as Pick<KubeApi, 'create' | 'get'>;
  const cable = {
    get: async (_type: string, id: string) => {
      if (hosts[id] === undefined) throw new ApiError(404, 'HostNotFound', 'no such host', '');
      return hosts[id];
    },
    action: async (_type: string, _id: string, _name: string, body: object) => {
      if (refusal !== undefined) throw refusal;
      asked.issued.push(body);
      return { token: 'id.secret.authority' };
    },
  } as unknown as Pick<Client, 'get' | 'action'>;
  const answer = await admit(
    'shown',
    { namespace: 'kube-system', cluster: 'prod' },
    { kube, cable, log: silentLogger() },
  );
  return { ...answer, ...asked };
}

test('a pod of the agent gets a token for the host of its node alone', async () => {
  const answer = await ask(reviewOf());
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.reviewed, [{ token: 'shown', audiences: ['cable.io/join'] }]);
  assert.deepEqual(answer.issued, [{ host: 'node-7', replace: false, unless_revoked: true, ttl: 600 }]);
});

test('a host of the cluster that is there gives way; one of others does not', async () => {
  const ours = await ask(reviewOf(), { hosts: { 'node-7': { id: 'node-7', cluster: 'prod' } } });
  assert.deepEqual(ours.issued, [{ host: 'node-7', replace: true, unless_revoked: true, ttl: 600 }]);
  for (const cluster of [null, 'other']) {
    const answer = await ask(reviewOf(), { hosts: { 'node-7': { id: 'node-7', cluster } } });
    assert.equal(answer.status, 403);
    assert.deepEqual(answer.issued, []);
  }
});

for (const [who, review, status] of [
  ['nobody', { authenticated: false }, 401],
  ['a token of another audience', reviewOf({ audiences: ['https://kubernetes.default.svc'] }), 401],
  ['a token, by an API server that knows no audiences', reviewOf({ audiences: undefined }), 401],
  ['another ServiceAccount', reviewOf({ user: { username: 'system:serviceaccount:shop:cable-agent' } }), 403],
  ['a user of that name', reviewOf({ user: { username: 'cable-agent' } }), 403],
  ['a token that is bound to no pod', reviewOf({ user: { username: ACCOUNT, extra: {} } }), 403],
] as const) {
  test(`not let in: ${who}`, async () => {
    const answer = await ask(review);
    assert.equal(answer.status, status);
    assert.deepEqual(answer.issued, []);
  });
}

test('not let in: a pod that is gone, another one of its name, one that is on no node', async () => {
  for (const pod of [null, { ...POD, metadata: { ...POD.metadata, uid: 'u-2' } }, { ...POD, spec: {} }]) {
    const answer = await ask(reviewOf(), { pod });
    assert.equal(answer.status, 403);
    assert.deepEqual(answer.issued, []);
  }
});

test('a host that was revoked hears so, with what to do', async () => {
  const refusal = new ApiError(409, 'HostWasRevoked', 'Host node-7 was revoked.', 'Make a token.');
  const answer = await ask(reviewOf(), { refusal });
  assert.deepEqual(
    [answer.status, 'reason' in answer && answer.reason],
    [409, 'Host node-7 was revoked. Make a token.'],
  );
});

test('a cluster that is there is taken as it is, whoever made it', async () => {
  const missing = new ApiError(404, 'KubernetesClusterNotFound', 'no such cluster', '');
  const made: object[] = [];
  const cable = (conflict: boolean): Pick<Client, 'get' | 'create'> =>
    ({
      get: () => Promise.reject(missing),
      create: async (_type: string, body: object) => {
        made.push(body);
        if (conflict) throw new ApiError(409, 'Conflict', 'it is there', '');
      },
    }) as unknown as Pick<Client, 'get' | 'create'>;
  await ensureCluster(cable(false), 'prod');
  await ensureCluster(cable(true), 'prod');
  assert.deepEqual(made, [{ name: 'prod' }, { name: 'prod' }]);
});
