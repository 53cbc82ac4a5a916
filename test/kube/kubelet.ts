/** A node of a real Kubernetes: containerd and kubelet in namespaces of their own (network, mounts, processes, host name), so that a node's paths are this node's alone. */
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from '../hammer/program.ts';
import { type ControlGroup, createControlGroup } from './control-groups.ts';
import { SANDBOX_IMAGE } from './images.ts';

/** Where Debian's package containernetworking-plugins has it. */
const LOOPBACK = '/usr/lib/cni/loopback';
/** As the node sees it. */
const SOCKET = '/run/containerd/containerd.sock';
const READY_MS = 240_000;

export type NodeOptions = {
  /** Of the node, and of its control group and its network namespace, which is there when it starts. */
  readonly name: string;
  /** Of Kubernetes; `kubelet` is in it. */
  readonly programs: string;
  /** Empty, of this node alone, not below /etc, /opt, /run or /var. */
  readonly directory: string;
  readonly kubeconfig: string;
  /** PEM file of the authority whose clients kubelet lets in. */
  readonly clientCa: string;
  /** Archives that `ctr images import` takes. */
  readonly images: readonly string[];
  /** Addresses of the node, one of each version of IP. */
  readonly addresses: readonly string[];
  readonly labels: readonly string[];
  /** Of the node itself. */
  readonly nameServer: string;
};

export class KubeNode {
  readonly name: string;
  readonly containerd: Program;
  readonly kubelet: Program;
  readonly #options: NodeOptions;
  readonly #group: ControlGroup;
  #enter: readonly string[] = [];

  constructor(options: NodeOptions) {
    const { directory, programs, name } = options;
    this.#options = options;
    this.name = name;
    this.#group = createControlGroup(name);
    const program = (title: string, ready: () => Promise<boolean>): Program =>
      new Program({
        ...{ name: `${title} of ${name}`, log: join(directory, `${title}.log`), ready, readyMs: READY_MS },
        command: ['false'],
        // containerd looks there for its shim, and that for runc.
        env: { PATH: `${programs}:${process.env['PATH']}` },
      });
    this.containerd = program('containerd', async () => this.#tried('ctr', 'version'));
    this.kubelet = program('kubelet', async () => true);
  }

  /** Words before a command that run it on the node. */
  get enter(): readonly string[] {
    return this.#enter;
  }

  /** Words before a command of this machine's that run it in the node's network, and let it end with the node. */
  get beside(): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.name}`, ...this.#group.enter];
  }

  /** What a command prints on the node. Throws with what it says on standard error. */
  run(...command: readonly string[]): string {
    const [program = '', ...args] = [...this.#enter, ...command];
    return execFileSync(program, args, { encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Writes a file of the node's. */
  write(path: string, text: string): void {
    const [program = '', ...args] = [...this.#enter, 'tee', path];
    execFileSync(program, args, { input: text, timeout: 120_000, stdio: ['pipe', 'ignore', 'inherit'] });
  }

  async start(): Promise<void> {
    const { programs, images, name, kubeconfig, addresses, labels } = this.#options;
    await this.#hold();
    const kubelet = join(programs, 'kubelet');
    this.containerd.setCommand([
      'nsenter',
      ...this.#enter.slice(1),
      ...this.#group.enter,
      pathOf('containerd', programs),
    ]);
    await this.containerd.start();
    for (const one of images) {
      const args = ['--namespace', 'k8s.io', 'images', 'import', one];
      if (!this.#tried('ctr', ...args)) throw new Error(`${name} takes no images:\n${this.containerd.logEnd()}`);
    }
    this.kubelet.setCommand([
      'nsenter',
      ...[...this.#enter.slice(1), ...this.#group.enter, kubelet, '--config', '/etc/kubelet.json'],
      ...['--kubeconfig', kubeconfig, '--hostname-override', name, '--node-ip', addresses.join(',')],
      ...(labels.length > 0 ? ['--node-labels', labels.join(',')] : []),
    ]);
    await this.kubelet.start();
  }

  /** Namespaces that last as long as a shell, which takes the children that lost their parents. */
  async #hold(): Promise<void> {
    const { directory, name, programs } = this.#options;
    writeFiles(this.#options, this.#group.path);
    const script = join(directory, 'node.sh');
    writeFileSync(script, scriptOf(this.#options));
    const namespaces = ['--mount', '--uts', '--pid', '--fork', '--mount-proc', '--kill-child=SIGKILL'];
    const args = [`--net=/run/netns/${name}`, ...this.#group.enter, 'unshare', ...namespaces, 'bash', script];
    const holder = spawn('nsenter', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.once('exit', () => reject(new Error(`the namespaces of ${name} could not be made`)));
    });
    const [inner] = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim().split(' ');
    const path = `PATH=${programs}:${process.env['PATH']}`;
    this.#enter = ['nsenter', `--target=${inner}`, '--net', '--mount', '--uts', '--pid', 'env', path];
  }

  #tried(program: string, ...args: readonly string[]): boolean {
    try {
      this.run(pathOf(program, this.#options.programs), '-a', SOCKET, '--connect-timeout', '2s', ...args);
      return true;
    } catch {
      return false;
    }
  }
}

/** Of the directory with Kubernetes' programs, else the machine's. */
function pathOf(program: string, programs: string): string {
  const path = join(programs, program);
  return existsSync(path) ? path : program;
}

/** What changes in /etc, /opt and /var is the node's; what is in memory and BPF's file system are, too. */
function scriptOf({ directory, name }: NodeOptions): string {
  const overlaid = ['etc', 'opt', 'var'].map((one) => {
    const layers = `lowerdir=/${one},upperdir=${directory}/${one},workdir=${directory}/${one}.work`;
    return `mount -t overlay overlay -o ${layers} /${one}`;
  });
  return [
    'set -e',
    `hostname ${name}`,
    ...overlaid,
    'mount -t tmpfs tmpfs /run',
    'mkdir -p /run/netns /run/containerd /var/lib/containerd /var/lib/kubelet /opt/cni/bin /etc/cni/net.d',
    // Layers of containers cannot be on those.
    `mount --bind ${directory}/containerd /var/lib/containerd`,
    `mount --bind ${directory}/kubelet /var/lib/kubelet`,
    'mount -t bpf bpf /sys/fs/bpf',
    'mount --make-rshared /',
    'echo ready',
    'while :; do sleep 86400 & wait; done',
  ].join('\n');
}

function writeFiles({ name, programs, directory, clientCa, nameServer }: NodeOptions, group: string): void {
  const places = ['etc', 'etc.work', 'opt', 'opt.work', 'var', 'var.work', 'containerd', 'kubelet', 'opt/cni/bin'];
  for (const one of places) mkdirSync(join(directory, one), { recursive: true });
  // containerd calls it for each pod.
  const loopback = existsSync(join(programs, 'loopback')) ? join(programs, 'loopback') : LOOPBACK;
  copyFileSync(loopback, join(directory, 'opt/cni/bin/loopback'));
  const etc = (path: string, text: string): void => {
    mkdirSync(join(directory, 'etc', path, '..'), { recursive: true });
    writeFileSync(join(directory, 'etc', path), text);
  };
  etc('hosts', `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${name}\n`);
  etc('resolv.conf', `nameserver ${nameServer}\n`);
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  const toml = [
    'version = 2',
    `[grpc]\naddress = "${SOCKET}"`,
    `[${cri}]\nsandbox_image = "${SANDBOX_IMAGE}"\ndisable_apparmor = true\nrestrict_oom_score_adj = true`,
    'stream_server_address = "127.0.0.1"\nstream_server_port = "0"',
    `[${cri}.containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"`,
  ];
  etc('containerd/config.toml', `${toml.join('\n')}\n`);
  const kubelet = {
    ...{ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' },
    authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: clientCa } },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: `unix://${SOCKET}`,
    ...{ cgroupDriver: 'cgroupfs', cgroupRoot: group, cgroupsPerQOS: true, enforceNodeAllocatable: [] },
    ...{ failSwapOn: false, failCgroupV1: false, clusterDNS: ['169.254.20.10'], clusterDomain: 'cluster.local' },
    ...{ evictionHard: { 'memory.available': '1Mi' }, imageGCHighThresholdPercent: 100, readOnlyPort: 0 },
  };
  etc('kubelet.json', JSON.stringify(kubelet));
}
