/** `cable kube` as an operator starts it: with the certificate of a cluster at a server that speaks TLS, and a kubeconfig. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import type { KubeObject } from '@cable/kube';
import { initAuthorities, issueWithKey, validityFrom } from '@cable/pki';
import { startSecureServer } from '../joining/secure-server.ts';
import { NAMESPACES, NODES, startCluster, undoing, until } from './world.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));

const run = promisify(execFile);

async function cable(...args: readonly string[]): Promise<void> {
  await run(process.execPath, [LAUNCHER, ...args]);
}

/** What it says on standard error when it does not begin, and its exit status. */
async function refusal(...args: readonly string[]): Promise<readonly [status: number, said: string]> {
  try {
    await cable(...args);
    return [0, ''];
  } catch (err) {
    const { code, stderr } = err as { readonly code: number; readonly stderr: string };
    return [code, stderr];
  }
}

/** The double of the API server, which speaks no TLS, behind something that does. What a kubeconfig says of it. */
async function behindTls(undo: (() => unknown)[], url: string): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), `cable-tls-${process.pid}-`));
  undo.push(() => rmSync(directory, { recursive: true }));
  const { authority } = await initAuthorities(directory, new Date());
  const identity = { kind: 'server', name: 'kube' } as const;
  const validity = validityFrom(new Date(), 86_400_000);
  const { certificate, key } = await issueWithKey(authority, { identity, places: ['127.0.0.1'], validity });
  const server = createServer({ cert: certificate, key }, (client) => {
    const inner = connect(Number(new URL(url).port), '127.0.0.1');
    for (const [from, to] of [
      [client, inner],
      [inner, client],
    ] as const)
      from.on('error', () => to.destroy()).pipe(to);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const ca = Buffer.from(authority.certificate).toString('base64');
  return { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': ca };
}

test('the command writes for its cluster by a certificate, for namespaces that are projects of others, too', async (t) => {
  const undo = undoing(t);
  const server = await startSecureServer({ after: (one) => undo.push(one) });
  const socket = `unix:${join(server.directory, 'api.sock')}`;
  const cluster = await startCluster(undo, socket);
  const pki = join(server.directory, 'pki');
  await cable('pki', 'issue', 'cluster', 'prod', '--dir', pki, '--out', join(server.directory, 'prod'));
  const kubeconfig = join(server.directory, 'kubeconfig');
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'here' },
    clusters: [{ name: 'c', cluster: await behindTls(undo, cluster.fake.url) }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const certificate = [
    ...['--ca', join(pki, 'authority.pem'), '--cert', join(server.directory, 'prod.pem')],
    ...['--key', join(server.directory, 'prod.key')],
  ];
  const options = [...certificate, '--log-level', 'error', '--kubeconfig', kubeconfig];
  const command = ['kube', '--cluster', 'prod', '--server', server.url, ...options];
  for (const [args, text] of [
    [['kube', '--cluster', 'Prod', '--server', server.url], /--cluster/],
    [['kube', '--cluster', 'prod', '--server', server.url], /--cert/],
    [['kube', '--cluster', 'prod', '--server', socket, '--cert', 'x', '--key', 'y'], /not asked by https/],
    [[...command, '--pod-cidr', '10.1.2.3/8'], /10\.1\.2\.3\/8 is no prefix/],
    [[...command, '--pod-cidr', '10.1.0.0/16,10.2.0.0/16'], /two prefixes of one version/],
    [
      [...command, '--pod-cidr', '10.100.0.0/16'],
      /'--pod-cidr' and '--service-cidr' overlap: 10\.100\.0\.0\/16 and 10\.96/,
    ],
    [[...command, '--load-balancer-cidr', '10.244.9.0/24'], /'--pod-cidr' and '--load-balancer-cidr' overlap/],
    [[...command, '--context', 'there'], /no context there/],
    [[...command.slice(0, -1), join(server.directory, 'nowhere')], /kubeconfig is not understood/],
  ] as const) {
    const [status, said] = await refusal(...args);
    assert.notEqual(status, 0, said);
    assert.match(said, text);
  }
  await cable('--server', socket, 'kubernetes', 'cluster', 'create', 'prod');
  const team = await cluster.kube.create<KubeObject>(NAMESPACES, { metadata: { name: 'team' } });
  const given = `uid=${team.metadata.uid},project-id=f0e1d2c3`;
  await cable('--server', socket, 'kubernetes', 'cluster', 'update', 'prod', '--namespace-project', given);
  const child = spawn(process.execPath, [LAUNCHER, ...command], { stdio: 'inherit' });
  undo.push(async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
  const transport = httpTransport(socket);
  undo.push(() => transport.close());
  const admin = createClient({ transport });
  const registration = { underlay: '192.0.2.1', agentVersion: '1', cluster: 'prod' };
  await admin.request('PUT', '/cable/v1/hosts/node-1', registration);
  await cluster.kube.create(NODES, { metadata: { name: 'node-1' } });
  await cluster.pod('web', { node: 'node-1' });
  const port = (await cluster.ports((found) => found.has('web'))).get('web');
  assert.equal(port?.project_id, 'prod.shop');
  const share = { object_type: 'network', object_id: port?.network_id, action: 'access_as_shared' };
  await admin.create('rbac_policy', { ...share, target_tenant: 'f0e1d2c3' });
  await cluster.pod('theirs', { namespace: 'team', node: 'node-1' });
  const theirs = (await cluster.ports((found) => found.has('theirs'))).get('theirs');
  assert.equal(theirs?.project_id, 'f0e1d2c3');
  await until(
    async () => (await admin.list('kubernetes_cluster'))[0]?.['holder'],
    (holder) => typeof holder === 'string' && holder !== '',
  );
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 0, 'it ends in good order');
});
