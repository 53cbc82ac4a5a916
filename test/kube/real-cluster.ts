/** A real Kubernetes of two nodes, or more, on one underlay, whose network is what the printed manifests of Cable bring: kubelets run it like any other pods. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type HttpTransport, httpTransport } from '@cable/kit';
import { createKubeApi, type KubeApi } from '@cable/kube';
import { createControlGroup } from './control-groups.ts';
import { ControlPlane, nodeUser } from './control-plane.ts';
import { ARCHITECTURE, IMAGE_SOURCES, writeImages } from './images.ts';
import { KubeNode } from './kubelet.ts';
import { createDirectory, writeRemnants } from './remnants.ts';

const ROOT = new URL('../../', import.meta.url);
const LAUNCHER = fileURLToPath(new URL('bin/cable.mjs', ROOT));
const { version: VERSION } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
/** What `npm run images` writes. */
const CABLE_IMAGE = fileURLToPath(new URL(`build/images/cable-${VERSION}-${ARCHITECTURE}.tar`, ROOT));
const POD_CIDRS = ['10.244.0.0/16', 'fd00:10:244::/64'];
const SERVICE_CIDRS = ['10.96.0.0/16', 'fd00:10:96::/112'];
/** Of the nodes' link, for load balancers. */
const BALANCER_CIDR = '192.0.2.192/28';
const ROUTER = { v4: '192.0.2.254', v6: '2001:db8::fe' };

const NEEDED = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kubectl'];
/** Which has all that kubelet is told in its file. */
const OLDEST_MINOR = 31;
const RUNTIME = ['containerd', 'ctr', 'runc'];

const run = promisify(execFile);

/** Why there can be none here of the programs in that directory; undefined: there can. */
export function lacking(programs: string): string | undefined {
  if (programs === '') return 'CABLE_KUBE_BIN does not name a directory with the programs of Kubernetes';
  if (process.getuid?.() !== 0) return 'namespaces and control groups need root';
  const missing = NEEDED.filter((name) => !existsSync(join(programs, name)));
  if (missing.length > 0)
    return `${programs} has no ${missing.join(', no ')}: npm run test:kube -- build ${missing.join(' ')}`;
  const version = execFileSync(join(programs, 'kubelet'), ['--version'], { encoding: 'utf8' }).trim();
  const [, minor = ''] = /^Kubernetes v1\.(\d+)\./.exec(version) ?? [];
  if (Number(minor) < OLDEST_MINOR) return `${version} is not configured here: name one from 1.${OLDEST_MINOR} on`;
  const path = `${programs}:${process.env['PATH']}`;
  const absent = RUNTIME.filter((name) => !path.split(':').some((one) => existsSync(join(one, name))));
  if (absent.length > 0) return `there is no ${absent.join(', no ')}: npm run test:kube -- build containerd`;
  const away = IMAGE_SOURCES.filter((one) => !existsSync(one));
  if (away.length > 0) return `there is no ${away.join(', no ')}: npm run setup`;
  return existsSync(CABLE_IMAGE) ? undefined : `there is no ${CABLE_IMAGE}: npm run images`;
}

export type RealClusterOptions = {
  /** Directory of Kubernetes' programs. */
  readonly programs: string;
  /** Short; names of what is made begin with it. */
  readonly label: string;
  /** How many; absent: two. */
  readonly nodes?: number;
  /** Ends of the names of hosts on the nodes' link that are none. */
  readonly hosts?: readonly string[];
};

/** On the nodes' link. */
export type LinkedHost = {
  /** Of its network namespace and its control group. */
  readonly name: string;
  readonly address: string;
  /** Empty, its own. */
  readonly directory: string;
  /** Words before a command that run it there. */
  readonly enter: readonly string[];
};

export class RealCluster {
  readonly nodes: readonly KubeNode[];
  readonly controlPlane: ControlPlane;
  /** Network namespace of who is on the nodes' link and is no node. */
  readonly outside: string;
  readonly directory: string;
  readonly hosts: readonly LinkedHost[];
  /** Removes everything, and says nothing more where it was done before. */
  readonly remove: () => void;
  readonly #programs: string;

  private constructor(
    made: Pick<RealCluster, 'nodes' | 'controlPlane' | 'outside' | 'directory' | 'hosts' | 'remove'>,
    programs: string,
  ) {
    this.nodes = made.nodes;
    this.controlPlane = made.controlPlane;
    this.outside = made.outside;
    this.directory = made.directory;
    this.hosts = made.hosts;
    this.remove = made.remove;
    this.#programs = programs;
  }

  /** Nothing runs yet. Of what is made nothing outlives this process. */
  static async create({
    programs,
    label,
    nodes: count = 2,
    hosts: ends = [],
  }: RealClusterOptions): Promise<RealCluster> {
    const directory = createDirectory();
    const nameOf = (end: string): string => `${label}-${process.pid}-${end}`;
    const [outside, group] = [nameOf('out'), nameOf('control')];
    const names = Array.from({ length: count }, (_, n) => nameOf(`n${n + 1}`));
    const [first = ''] = names;
    const others = ends.map(nameOf);
    const remove = writeRemnants(directory, {
      groups: [group, ...names, ...others],
      namespaces: [...names, ...others, outside],
      sysctls: readSysctls(),
    });
    const controlPlane = await ControlPlane.create({
      ...{ netns: first, group, address: addressesOf(1).v4, programs, directory: join(directory, 'control') },
      ...{ nodes: names, serviceCidrs: SERVICE_CIDRS },
    });
    mkdirSync(join(directory, 'images'));
    const images = [writeImages(join(directory, 'images')), CABLE_IMAGE];
    const nodes = names.map((name, n) => {
      const own = join(directory, `n${n + 1}`);
      mkdirSync(own);
      const { v4, v6 } = addressesOf(n + 1);
      return new KubeNode({
        ...{ name, programs, directory: own, images, addresses: [v4, v6], nameServer: ROUTER.v4 },
        ...{ kubeconfig: controlPlane.kubeconfigOf(nodeUser(name)), clientCa: controlPlane.ca, labels: [] },
      });
    });
    const hosts = others.map((name, n): LinkedHost => {
      const own = join(directory, `h${n + 1}`);
      mkdirSync(own);
      const enter = ['nsenter', `--net=/run/netns/${name}`, ...createControlGroup(name).enter];
      return { name, address: addressesOf(names.length + n + 1).v4, directory: own, enter };
    });
    return new RealCluster({ nodes, controlPlane, outside, directory, hosts, remove }, programs);
  }

  /** Of Cable's server, as hosts reach it. */
  get cableUrl(): string {
    return `https://${addressesOf(1).v4}:9697`;
  }

  /** API server, kubelets, and one file applied. All nodes are ready when this resolves. */
  async start(): Promise<void> {
    const { nodes, controlPlane } = this;
    this.#wire();
    await controlPlane.start();
    await Promise.all(nodes.map((node) => node.start()));
    const [first] = nodes;
    if (first === undefined) throw new Error('no node');
    await this.until(['get', 'nodes', '-o', 'name'], (text) => nodes.every(({ name }) => text.includes(name)));
    // A kubelet may not say that of itself.
    await this.kubectl(['label', 'node', first.name, 'node-role.kubernetes.io/control-plane=']);
    await this.kubectl(['apply', '--server-side', '-f', '-'], this.manifests());
    try {
      await this.kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=300s']);
    } catch (cause) {
      const pods = await this.kubectl(['get', 'pods', '-A', '-o', 'wide']);
      throw new Error(`the nodes are not ready; pods:\n${pods}`, { cause });
    }
  }

  /** What `cable kube manifests` prints for this cluster. */
  manifests(...more: readonly string[]): string {
    const { url } = this.controlPlane;
    const [first] = this.nodes;
    const options = {
      ...{ cluster: 'prod', 'server-address': addressesOf(1).v4, 'store-node': first?.name, 'api-server': url },
      ...{ 'pod-cidr': POD_CIDRS.join(','), 'service-cidr': SERVICE_CIDRS.join(',') },
      'load-balancer-cidr': BALANCER_CIDR,
    };
    const words = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    return execFileSync(process.execPath, [LAUNCHER, 'kube', 'manifests', ...words, ...more], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
  }

  /** What kubectl prints; throws with what it says on standard error. */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const [program, ...words] = this.#kubectlWords(args);
    const running = run(program ?? '', words, { maxBuffer: 1 << 26 });
    // Who ends without reading says why, or did not want it.
    running.child.stdin?.on('error', () => undefined).end(input ?? '');
    try {
      return (await running).stdout;
    } catch (err) {
      const { stderr = '' } = err as { readonly stderr?: string };
      throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || err}`);
    }
  }

  /** Objects are made, or changed to this. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.kubectl(['apply', '-f', '-'], objects.map((one) => JSON.stringify(one)).join('\n---\n'));
  }

  /** Asks kubectl again and again; what it says in vain is in the error. */
  async until(args: readonly string[], holds: (text: string) => boolean, seconds = 120): Promise<string> {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const said = await this.kubectl(args).catch((err: unknown) => String(err));
      if (holds(said)) return said;
      if (Date.now() > deadline) throw new Error(`kubectl ${args.join(' ')} says in vain:\n${said}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** Starts kubectl in the background; the caller ends it. */
  background(args: readonly string[]): ChildProcess {
    const [program = '', ...words] = this.#kubectlWords(args);
    return spawn(program, words, { stdio: 'ignore' });
  }

  /** Kubernetes' API as its administrator; the caller closes it. */
  async kube(): Promise<{ readonly api: KubeApi; close(): void }> {
    const socket = join(this.directory, 'kubectl.sock');
    rmSync(socket, { force: true });
    const proxy = this.background(['proxy', `--unix-socket=${socket}`]);
    const transport = httpTransport(`unix:${socket}`);
    await this.until(['version'], () => existsSync(socket));
    return {
      api: createKubeApi({ transport }),
      close: () => {
        transport.close();
        proxy.kill('SIGKILL');
      },
    };
  }

  /** What asks Cable's server as an administrator, by its socket in the pod that runs now. The caller closes it. */
  async cable(): Promise<HttpTransport> {
    const uid = [
      'get',
      'pods',
      '-l',
      'app.kubernetes.io/component=cable-server',
      '-o',
      'jsonpath={.items[0].metadata.uid}',
    ];
    const pod = await this.kubectl(['-n', 'kube-system', ...uid]);
    const run = join(this.directory, 'n1/kubelet/pods', pod, 'volumes/kubernetes.io~empty-dir/run');
    // The path of a socket has a hundred characters at the most.
    const short = join(this.directory, 'run');
    rmSync(short, { force: true });
    symlinkSync(run, short);
    return httpTransport(`unix:${join(short, 'server.sock')}`);
  }

  #kubectlWords(args: readonly string[]): readonly string[] {
    const enter = ['nsenter', `--net=/run/netns/${this.outside}`, join(this.#programs, 'kubectl')];
    return [...this.controlPlane.beside, ...enter, '--kubeconfig', this.controlPlane.kubeconfig, ...args];
  }

  /** The nodes' link: a bridge in the namespace outside, with a router on it. */
  #wire(): void {
    const { outside, nodes, hosts } = this;
    ip('netns', 'add', outside);
    ip('-n', outside, 'link', 'set', 'lo', 'up');
    ip('-n', outside, 'link', 'add', 'br0', 'up', 'type', 'bridge');
    ip('-n', outside, 'address', 'add', `${ROUTER.v4}/24`, 'dev', 'br0');
    ip('-n', outside, 'address', 'add', `${ROUTER.v6}/64`, 'dev', 'br0', 'nodad');
    for (const [n, { name }] of [...nodes, ...hosts].entries()) {
      const { v4, v6 } = addressesOf(n + 1);
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `p${n + 1}`, 'netns', outside);
      ip('-n', outside, 'link', 'set', `p${n + 1}`, 'master', 'br0', 'up');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
      ip('-n', name, 'address', 'add', `${v4}/24`, 'dev', 'eth0');
      ip('-n', name, 'address', 'add', `${v6}/64`, 'dev', 'eth0', 'nodad');
      ip('-n', name, 'route', 'add', 'default', 'via', ROUTER.v4);
      ip('-n', name, 'route', 'add', 'default', 'via', ROUTER.v6);
    }
  }
}

function addressesOf(n: number): { readonly v4: string; readonly v6: string } {
  return { v4: `192.0.2.${n}`, v6: `2001:db8::${n}` };
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

/** Kubelet sets them for the machine as a whole. */
const SYSCTLS = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'].concat([
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
]);

function readSysctls(): Readonly<Record<string, string>> {
  const paths = SYSCTLS.map((one) => join('/proc/sys', one)).filter((one) => existsSync(one));
  return Object.fromEntries(paths.map((path) => [path, readFileSync(path, 'utf8')]));
}
