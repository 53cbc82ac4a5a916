/** A real control plane in a network namespace: etcd, kube-apiserver, kube-controller-manager, kube-scheduler. */
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKey, type Identity, initAuthorities, issueWithKey, validityFrom } from '@cable/pki';
import { Program } from '../hammer/program.ts';
import { createControlGroup } from './control-groups.ts';

export type ControlPlaneOptions = {
  /** Name of the namespace. */
  readonly netns: string;
  /** Name of its control group. */
  readonly group: string;
  /** Of the API server, as nodes reach it. */
  readonly address: string;
  readonly programs: string;
  /** Empty. */
  readonly directory: string;
  readonly nodes: readonly string[];
  readonly serviceCidrs: readonly string[];
};

const DAY_MS = 86_400_000;
const READY_MS = 240_000;
const ADMIN = 'administrator';
const PORT = 6443;

export class ControlPlane {
  readonly etcd: Program;
  readonly apiServer: Program;
  readonly controllerManager: Program;
  readonly scheduler: Program;
  /** PEM file of the authority of servers and clients. */
  readonly ca: string;
  /** File of the administrator's, who may do everything. */
  readonly kubeconfig: string;
  /** Words before a command that let it end with the control plane. */
  readonly beside: readonly string[];
  readonly #options: ControlPlaneOptions;

  private constructor(options: ControlPlaneOptions) {
    const { directory, programs, netns, group } = options;
    this.#options = options;
    this.ca = join(directory, 'ca.pem');
    this.kubeconfig = this.kubeconfigOf(ADMIN);
    const enter = ['nsenter', `--net=/run/netns/${netns}`] as const;
    this.beside = createControlGroup(group).enter;
    const program = (name: string, args: Readonly<Record<string, string>>, ready: () => Promise<boolean>): Program => {
      const path = name === 'etcd' ? name : join(programs, name);
      const words = Object.entries(args).map(([key, value]) => `--${key}=${value}`);
      return new Program({
        ...{ name, log: join(directory, `${name}.log`), ready, readyMs: READY_MS },
        command: [...enter, ...this.beside, path, ...words],
      });
    };
    const answers =
      (url: string): (() => Promise<boolean>) =>
      async () => {
        try {
          const header = `authorization: Bearer ${tokenOf(ADMIN)}`;
          const curl = ['curl', '-sfk', '-m', '2', '-H', header, url];
          execFileSync(enter[0], [...enter.slice(1), ...curl], { stdio: 'ignore' });
          return true;
        } catch {
          return false;
        }
      };
    this.etcd = program('etcd', etcdOptions(directory), answers('http://127.0.0.1:2379/health'));
    this.apiServer = program('kube-apiserver', apiServerOptions(options), answers(`${this.url}/readyz`));
    const [managing, scheduling] = ['system:kube-controller-manager', 'system:kube-scheduler'];
    const own = { 'root-ca-file': this.ca, 'service-account-private-key-file': join(directory, 'accounts.key') };
    const common = { 'leader-elect': 'false', 'bind-address': '127.0.0.1' };
    this.controllerManager = program(
      'kube-controller-manager',
      { ...common, ...own, kubeconfig: this.kubeconfigOf(managing), 'use-service-account-credentials': 'true' },
      answers('https://127.0.0.1:10257/healthz'),
    );
    this.scheduler = program(
      'kube-scheduler',
      { ...common, kubeconfig: this.kubeconfigOf(scheduling) },
      answers('https://127.0.0.1:10259/healthz'),
    );
  }

  get url(): string {
    return `https://${this.#options.address}:${PORT}`;
  }

  /** Writes what the programs need; nothing runs yet. */
  static async create(options: ControlPlaneOptions): Promise<ControlPlane> {
    await writeFiles(options);
    return new ControlPlane(options);
  }

  /** Everything runs when this resolves. */
  async start(): Promise<void> {
    await this.etcd.start();
    await this.apiServer.start();
    await Promise.all([this.controllerManager.start(), this.scheduler.start()]);
  }

  /** Writes a file of a user's, and answers its path. */
  kubeconfigOf(user: string): string {
    const file = join(this.#options.directory, `${user.replaceAll(':', '-')}.kubeconfig`);
    const config = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'here' },
      clusters: [{ name: 'c', cluster: { server: this.url, 'certificate-authority': this.ca } }],
      users: [{ name: 'u', user: { token: tokenOf(user) } }],
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    };
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    return file;
  }
}

export function nodeUser(name: string): string {
  return `system:node:${name}`;
}

function tokenOf(user: string): string {
  return `token-of-${user}`;
}

async function writeFiles({ directory, address, nodes }: ControlPlaneOptions): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const { authority } = await initAuthorities(join(directory, 'pki'), new Date());
  const issue = async (identity: Identity, places: readonly string[]) => {
    const made = await issueWithKey(authority, { identity, places, validity: validityFrom(new Date(), DAY_MS) });
    return { cert: made.certificate, key: made.key };
  };
  // Clients in pods ask the API server by its ClusterIP and its names.
  const places = [address, '127.0.0.1', '10.96.0.1', 'kubernetes.default.svc', 'kubernetes.default'];
  const server = await issue({ kind: 'server', name: 'kube-apiserver' }, places);
  const client = await issue({ kind: 'user', name: 'kube-apiserver', projectId: null, roles: [] }, []);
  const accounts = await createKey();
  const users = [
    [ADMIN, 'system:masters'],
    ['system:kube-controller-manager', ''],
    ['system:kube-scheduler', ''],
    ...nodes.map((one) => [nodeUser(one), 'system:nodes']),
  ];
  const files = {
    'ca.pem': authority.certificate,
    ...{ 'server.pem': server.cert, 'server.key': server.key },
    ...{ 'kubelet-client.pem': client.cert, 'kubelet-client.key': client.key },
    'accounts.key': accounts,
    'accounts.pem': createPublicKey(accounts).export({ type: 'spki', format: 'pem' }).toString(),
    'tokens.csv': users.map(([user = '', group], n) => `${tokenOf(user)},${user},${n + 1},${group}\n`).join(''),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text, { mode: 0o600 });
}

function etcdOptions(directory: string): Readonly<Record<string, string>> {
  const [client, peer] = ['http://127.0.0.1:2379', 'http://127.0.0.1:2380'];
  return {
    'data-dir': join(directory, 'etcd'),
    ...{ 'listen-client-urls': client, 'advertise-client-urls': client },
    ...{ 'listen-peer-urls': peer, 'initial-advertise-peer-urls': peer, 'initial-cluster': `default=${peer}` },
  };
}

function apiServerOptions({ directory, address, serviceCidrs }: ControlPlaneOptions): Readonly<Record<string, string>> {
  const file = (name: string): string => join(directory, name);
  return {
    'etcd-servers': 'http://127.0.0.1:2379',
    ...{ 'bind-address': '0.0.0.0', 'secure-port': String(PORT), 'advertise-address': address },
    ...{ 'tls-cert-file': file('server.pem'), 'tls-private-key-file': file('server.key') },
    ...{ 'client-ca-file': file('ca.pem'), 'token-auth-file': file('tokens.csv') },
    'kubelet-client-certificate': file('kubelet-client.pem'),
    'kubelet-client-key': file('kubelet-client.key'),
    'kubelet-preferred-address-types': 'InternalIP',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': file('accounts.pem'),
    'service-account-signing-key-file': file('accounts.key'),
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction',
    'allow-privileged': 'true',
    'service-cluster-ip-range': serviceCidrs.join(','),
  };
}
