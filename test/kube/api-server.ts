/** A real kube-apiserver, of the directory that `CABLE_KUBE_BIN` names, with an etcd of its own: both on loopback, and gone when it is closed or this process ends. */
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientTls, type HttpTransport, httpTransport } from '@cable/kit';
import { type Authority, createKey, initAuthorities, issueWithKey, validityFrom } from '@cable/pki';
import { type EtcdServer, startEtcd } from '../../packages/store/src/testing/etcd-server.ts';
import { freePort, Program, startAlone } from '../hammer/program.ts';

export type ApiServer = {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  /** PEM of the authority that its certificate is of. */
  readonly ca: string;
  /** Such as `v1.20.2`. */
  readonly version: string;
  /** Of a user of the group `system:masters`, who may do everything. */
  readonly adminToken: string;
  /** Connections to it, with the certificate of a user if one is given; closed with it. */
  connect(own?: ClientTls['own']): HttpTransport;
  /** A certificate that it takes for the user of that name. */
  issueCertificate(user: string): Promise<NonNullable<ClientTls['own']>>;
  /** Killed, and started again with what it had stored. */
  restart(): Promise<void>;
  /** Everything up to now is forgotten: by etcd, and by the caches of the API server, which begins anew. */
  compact(): Promise<void>;
  close(): Promise<void>;
};

const DAY_MS = 86_400_000;
/** A start takes ten seconds, on a busy machine many times that. */
const READY_MS = 240_000;
const ADMIN_TOKEN = 'token-of-the-administrator';

/** Starts one. Throws with the end of its log when it does not come up, and with nothing left. */
export async function startApiServer(): Promise<ApiServer> {
  const { CABLE_KUBE_BIN: programs } = process.env;
  if (programs === undefined) throw new Error('CABLE_KUBE_BIN is not set: npm run test:kube sets it');
  const directory = mkdtempSync(join(tmpdir(), `cable-kube-${process.pid}-`));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  const closing: (() => unknown)[] = [remove, endBySignals(remove)];
  const close = async (): Promise<void> => {
    for (const done of closing.splice(0).reverse()) await done();
  };
  try {
    const etcd = await startEtcd();
    closing.push(() => etcd.remove());
    const port = await freePort();
    const url = `https://127.0.0.1:${port}`;
    const authority = await writeFiles(directory);
    const ca = authority.certificate;
    const connect: ApiServer['connect'] = (own) => {
      const transport = httpTransport(url, { tls: () => ({ ca: [ca], ...(own === undefined ? {} : { own }) }) });
      closing.push(() => transport.close());
      return transport;
    };
    const admin = connect();
    const ask = (path: string) =>
      admin.request({ method: 'GET', path, headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    const executable = join(programs, 'kube-apiserver');
    const program = new Program({
      name: 'kube-apiserver',
      command: [executable, ...argumentsOf(directory, port, etcd)],
      log: join(directory, 'kube-apiserver.log'),
      ready: () =>
        ask('/readyz').then(
          ({ status }) => status === 200,
          () => false,
        ),
      readyMs: READY_MS,
    });
    closing.push(await startAlone(program));
    const restart = async (): Promise<void> => {
      await program.end('SIGKILL');
      await program.start();
    };
    const { gitVersion } = JSON.parse((await ask('/version')).body) as { readonly gitVersion: string };
    return {
      ...{ url, ca, version: gitVersion, adminToken: ADMIN_TOKEN, connect, restart, close },
      issueCertificate: (user) => issueFor(authority, { kind: 'user', name: user, projectId: null, roles: [] }),
      compact: async () => {
        await compactEtcd(etcd);
        await restart();
      },
    };
  } catch (err) {
    await close();
    throw err;
  }
}

/**
 * A signal ends a process without a word to what would end its programs, so it becomes an exit here; `atEnd` is called at any.
 * Returns what undoes both.
 */
function endBySignals(atEnd: () => void): () => void {
  const exit = (): never => process.exit(1);
  process.once('exit', atEnd);
  for (const signal of SIGNALS) process.once(signal, exit);
  return () => {
    process.off('exit', atEnd);
    for (const signal of SIGNALS) process.off(signal, exit);
  };
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What `argumentsOf` names. Returns the authority that servers and clients are of. */
async function writeFiles(directory: string): Promise<Authority> {
  const { authority } = await initAuthorities(join(directory, 'pki'), new Date());
  const { cert, key } = await issueFor(authority, { kind: 'server', name: 'kube-apiserver' }, ['127.0.0.1']);
  const accounts = await createKey();
  const files = {
    'ca.pem': authority.certificate,
    'server.pem': cert,
    'server.key': key,
    'accounts.key': accounts,
    'accounts.pem': createPublicKey(accounts).export({ type: 'spki', format: 'pem' }).toString(),
    'tokens.csv': `${ADMIN_TOKEN},administrator,1,system:masters\n`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text, { mode: 0o600 });
  return authority;
}

async function issueFor(
  authority: Authority,
  identity: Parameters<typeof issueWithKey>[1]['identity'],
  places: readonly string[] = [],
): Promise<{ readonly cert: string; readonly key: string }> {
  const made = await issueWithKey(authority, { identity, places, validity: validityFrom(new Date(), DAY_MS) });
  return { cert: made.certificate, key: made.key };
}

/** Nothing compacts but the tests. No address of the machine is published: one that may have none runs them, too. */
function argumentsOf(directory: string, port: number, etcd: EtcdServer): readonly string[] {
  const options = {
    'etcd-servers': `http://${etcd.endpoint}`,
    'etcd-compaction-interval': '0',
    'bind-address': '127.0.0.1',
    'secure-port': String(port),
    'tls-cert-file': join(directory, 'server.pem'),
    'tls-private-key-file': join(directory, 'server.key'),
    'client-ca-file': join(directory, 'ca.pem'),
    'token-auth-file': join(directory, 'tokens.csv'),
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': join(directory, 'accounts.pem'),
    'service-account-signing-key-file': join(directory, 'accounts.key'),
    'authorization-mode': 'RBAC',
    'allow-privileged': 'true',
    'service-cluster-ip-range': '10.96.0.0/16',
    'advertise-address': '192.0.2.1',
    'endpoint-reconciler-type': 'none',
  };
  return Object.entries(options).map(([name, value]) => `--${name}=${value}`);
}

/** Leaves only the present: what a real one does with what is older than five minutes. */
async function compactEtcd({ endpoint }: EtcdServer): Promise<void> {
  const ask = async (path: string, body: object): Promise<{ readonly header: { readonly revision: string } }> => {
    const answer = await fetch(`http://${endpoint}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd does not ${path}: ${await answer.text()}`);
    return (await answer.json()) as { header: { revision: string } };
  };
  const { header } = await ask('range', { key: Buffer.from('/').toString('base64') });
  await ask('compaction', { revision: header.revision, physical: true });
}
