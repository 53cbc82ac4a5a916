/** How a real API server knows who asks: by certificate, by a token of a ServiceAccount; and what it says to others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '@cable/kit';
import { createKubeApi, type KubeApi, KubeError, type KubeKind, type KubeObject } from '@cable/kube';
import { CONFIG_MAPS } from '@cable/kube/testing';
import { testedApiServer } from './namespaces.ts';

const { server, start } = testedApiServer();
const ACCOUNTS: KubeKind = { group: '', version: 'v1', plural: 'serviceaccounts', isNamespaced: true };
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1', isNamespaced: true };
const [ROLES, BINDINGS] = [
  { ...RBAC, plural: 'roles' },
  { ...RBAC, plural: 'rolebindings' },
] as const;

type TokenRequest = KubeObject & { readonly spec: object; readonly status?: { readonly token: string } };

/** That one may read config maps of the namespace. */
async function allow(api: KubeApi, namespace: string, subject: object): Promise<void> {
  const metadata = { name: 'reader', namespace };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] }];
  const roleRef = { apiGroup: RBAC.group, kind: 'Role', name: 'reader' };
  await api.create(ROLES, { metadata, rules } as KubeObject);
  await api.create(BINDINGS, { metadata, roleRef, subjects: [subject] } as KubeObject);
}

function refused(status: number, reason: string): (err: unknown) => boolean {
  return (err) => err instanceof KubeError && err.status === status && err.reason === reason;
}

test('real: who has a certificate may do what its user may', async () => {
  const { api, namespace } = await start();
  const own = await server().issueCertificate('alice');
  const alice = createKubeApi({ transport: server().connect(own) });
  await assert.rejects(alice.list(CONFIG_MAPS, { namespace }), refused(403, 'Forbidden'));
  await allow(api, namespace, { apiGroup: RBAC.group, kind: 'User', name: 'alice' });
  await untilAllowed(() => alice.list(CONFIG_MAPS, { namespace }));
  await assert.rejects(alice.list(CONFIG_MAPS), refused(403, 'Forbidden'));
  await assert.rejects(alice.delete(CONFIG_MAPS, { namespace, name: 'a' }), refused(403, 'Forbidden'));
});

test('real: who has a token of a ServiceAccount may do what that may', async () => {
  const { api, namespace } = await start();
  await api.create(ACCOUNTS, { metadata: { name: 'cable', namespace } });
  await allow(api, namespace, { kind: 'ServiceAccount', name: 'cable', namespace });
  const tokens: KubeKind = { ...ACCOUNTS, plural: 'serviceaccounts/cable/token' };
  const wanted = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 600 } };
  const { status } = await api.create<TokenRequest>(tokens, { ...wanted, metadata: { name: 'cable', namespace } });
  const cable = createKubeApi({ transport: server().connect(), token: () => status?.token });
  await untilAllowed(() => cable.list(CONFIG_MAPS, { namespace }));
});

test('real: a token that nobody gave is refused, in a watch, too', async () => {
  const { namespace } = await start();
  const guessed = createKubeApi({ transport: server().connect(), token: () => 'guessed' });
  await assert.rejects(guessed.list(CONFIG_MAPS, { namespace }), refused(401, 'Unauthorized'));
  const signal = AbortSignal.timeout(20_000);
  const watch = guessed.watch(CONFIG_MAPS, { namespace, resourceVersion: '1', timeoutSeconds: 1, signal });
  await assert.rejects(
    async () => {
      for await (const _ of watch);
    },
    refused(401, 'Unauthorized'),
  );
});

/** The authorizer hears of a new role by a watch of its own, and says nothing when it has. */
async function untilAllowed(ask: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const err = await ask().then(
      () => undefined,
      (caught: unknown) => caught,
    );
    if (err === undefined) return;
    if (!refused(403, 'Forbidden')(err) || performance.now() > deadline) throw err;
    await sleep(50);
  }
}
