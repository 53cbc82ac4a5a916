/** `kubectl cable`: finds the ports of pods, and has `cable` do the rest. */
import { CliError, explainFailure } from '../errors.ts';
import { type Row, renderJson, renderTable } from '../render.ts';
import { type KubectlLine, type PodPlace, parseKubectlLine, podOf } from './arguments.ts';

export type PluginDeps = {
  /** What kubectl prints. Throws `CliError` with what it says when it fails. */
  readonly kubectl: (args: readonly string[]) => Promise<string>;
  /** Runs `cable` with these arguments; its output goes where this process's goes. */
  readonly cable: (line: KubectlLine, argv: readonly string[]) => Promise<number>;
  /** The same; what it prints is answered. Throws `CliError` when it fails. */
  readonly ask: (line: KubectlLine, argv: readonly string[]) => Promise<string>;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
};

const HELP = `Usage: kubectl cable [-n NAMESPACE] COMMAND

Where a command of cable takes a port, it takes the name of a pod: NAME, or NAMESPACE/NAME; and NAME:INTERFACE for another
interface than eth0, such as vpc0 of a pod in a Vpc, or net1 of Multus. IDs of ports and addresses are what they are.

  ports [POD]...                        pods with the ports of their interfaces, addresses and nodes; -A: of all namespaces
  trace --from POD --to POD|ADDRESS     the way of a packet and of its answer; --proto tcp --dport 80; --live: of real ones
  why POD [POD]                         explains a pod that has no network, or two that cannot talk
  drops [POD]...                        what was dropped, why, and what to do about it; without POD of all of the namespace
  flows POD                             connections
  capture POD --out FILE                what is sent and received, as pcap

Options of a command: cable COMMAND --help. Of kubectl: -n, --context, --kubeconfig, --cluster, --user, --token, --as, --as-group.
Cable's server is the one that CABLE_SERVER or --server names, as for cable; without them cable is run in the server's pod
(kubectl exec deploy/cable-server), for those who may enter it. --cable-namespace: where that is (default: kube-system).
`;

/** Gives the exit status, as `cable` does. */
export async function runPlugin(argv: readonly string[], deps: PluginDeps): Promise<number> {
  try {
    const line = parseKubectlLine(argv);
    if (line.isHelp) {
      deps.print(HELP);
      return 0;
    }
    if (line.command === 'ports') {
      await showPorts(line, deps);
      return 0;
    }
    if (line.command === 'drops' && !line.words.some(({ isArgument }) => isArgument))
      return await showDrops(line, deps);
    const namespace = line.words.some(({ isPod }) => isPod) ? await namespaceOf(line, deps) : '';
    const words: string[] = [];
    for (const { text, prefix = '', isPod } of line.words)
      words.push(`${prefix}${isPod ? await portOf(line, podOf(text, namespace), deps) : text}`);
    return await deps.cable(line, [line.command, ...words]);
  } catch (err) {
    const { text, exitStatus } = explainFailure(err);
    deps.printError(text);
    return exitStatus;
  }
}

type Pod = {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly hostNetwork?: boolean; readonly nodeName?: string };
};

/** Set by kubelet at the mirror of a static pod, the first as the UID that it has on the node. */
const STATIC_UID = 'kubernetes.io/config.hash';
const MIRROR = 'kubernetes.io/config.mirror';
/** That which Multus reads. */
const NETWORKS = 'k8s.v1.cni.cncf.io/networks';

async function namespaceOf({ namespace, kubectl }: KubectlLine, deps: Pick<PluginDeps, 'kubectl'>): Promise<string> {
  if (namespace !== undefined) return namespace;
  const text = await deps.kubectl([...kubectl, 'config', 'view', '--minify', '--output=jsonpath={..namespace}']);
  return text.trim() || 'default';
}

async function podNamed(
  { kubectl }: KubectlLine,
  { namespace, name }: Pick<PodPlace, 'namespace' | 'name'>,
  deps: Pick<PluginDeps, 'kubectl'>,
): Promise<Pod> {
  const text = await deps.kubectl([...kubectl, 'get', 'pod', name, `--namespace=${namespace}`, '--output=json']);
  return JSON.parse(text) as Pod;
}

/** The first interface: of a pod in a Vpc its leg in the cluster's network, by which nodes know it. */
const FIRST = 'eth0';
/** Of a pod in a Vpc the one there. */
const IN_VPC = 'vpc0';

function deviceIdOf({ metadata: { uid, annotations = {} } }: Pod, interfaceName: string): string {
  return `${annotations[MIRROR] === undefined ? uid : (annotations[STATIC_UID] ?? uid)}:${interfaceName}`;
}

/** Interfaces that it may have ports for. */
function interfacesOf({ metadata: { annotations = {} } }: Pod): readonly string[] {
  return [...new Set([FIRST, IN_VPC, ...furtherIn(annotations[NETWORKS] ?? '')])];
}

/** Names of further interfaces, as Multus makes them of its annotation; none of one that cannot be read. */
function furtherIn(text: string): readonly string[] {
  const nameOf = (given: unknown, at: number): string => (typeof given === 'string' ? given : `net${at + 1}`);
  if (text.trim() === '') return [];
  if (!/^\s*[[{]/.test(text)) return text.split(',').map((one, at) => nameOf(one.trim().split('@')[1], at));
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.map((one, at) => nameOf((one as Row | null)?.['interface'], at)) : [];
  } catch {
    return [];
  }
}

async function portsOf(
  line: KubectlLine,
  devices: readonly string[],
  deps: Pick<PluginDeps, 'ask'>,
): Promise<readonly Row[]> {
  const found: Row[] = [];
  for (let at = 0; at < devices.length; at += DEVICES_AT_ONCE) {
    const asked = devices.slice(at, at + DEVICES_AT_ONCE).flatMap((device) => ['--device-id', device]);
    const text = await deps.ask(line, [...siteWords(line), '--json', 'port', 'list', ...asked]);
    found.push(...(JSON.parse(text) as readonly Row[]));
  }
  return found;
}

/** ID of the port. */
async function portOf(line: KubectlLine, wanted: PodPlace, deps: PluginDeps): Promise<string> {
  const pod = await podNamed(line, wanted, deps);
  const { interfaceName = FIRST } = wanted;
  const shown = `${wanted.namespace}/${wanted.name}`;
  if (pod.spec.hostNetwork === true)
    throw new CliError(1, `pod ${shown} is in the network of its node, and has no port`, 'Give an address instead.');
  const [port] = await portsOf(line, [deviceIdOf(pod, interfaceName)], deps);
  if (port !== undefined) return String(port['id']);
  const place = `${wanted.name} -n ${wanted.namespace}`;
  const why =
    pod.spec.nodeName === undefined
      ? 'It is on no node yet.'
      : wanted.interfaceName === undefined
        ? `kubectl describe pod ${place} says why.`
        : `kubectl cable ports ${place} shows what it has.`;
  const which = wanted.interfaceName === undefined ? '' : ` at ${wanted.interfaceName}`;
  throw new CliError(1, `pod ${shown} has no port${which} that you may see`, why);
}

/** Options that say which server, and who asks: every request needs them. */
function siteWords({ words }: KubectlLine): readonly string[] {
  const names = ['--server', '--ca', '--cert', '--key', '--os-cloud', '--project', '--role'];
  return words.flatMap(({ text, prefix }, at) => {
    if (prefix !== undefined && names.includes(prefix.slice(0, -1))) return [`${prefix}${text}`];
    return names.includes(text) && prefix === undefined ? [text, words[at + 1]?.text ?? ''] : [];
  });
}

/** Those that are named, or else all of the namespace, or of all. */
async function podsOf(line: KubectlLine, deps: Pick<PluginDeps, 'kubectl'>): Promise<readonly Pod[]> {
  const named = line.words.filter(({ isPod }) => isPod);
  const namespace = line.isAll && named.length === 0 ? '' : await namespaceOf(line, deps);
  if (named.length > 0) return await Promise.all(named.map(({ text }) => podNamed(line, podOf(text, namespace), deps)));
  const where = line.isAll ? '--all-namespaces' : `--namespace=${namespace}`;
  const text = await deps.kubectl([...line.kubectl, 'get', 'pods', where, '--output=json']);
  return (JSON.parse(text) as { readonly items: readonly Pod[] }).items;
}

async function showPorts(line: KubectlLine, deps: PluginDeps): Promise<void> {
  const pods = await podsOf(line, deps);
  const plugged = pods.filter(({ spec }) => spec.hostNetwork !== true);
  const devices = plugged.flatMap((pod) => interfacesOf(pod).map((one) => deviceIdOf(pod, one)));
  const found = new Map((await portsOf(line, devices, deps)).map((port) => [port['device_id'], port]));
  const rows = pods.flatMap((pod) => {
    const all = pod.spec.hostNetwork === true ? [] : interfacesOf(pod);
    const there = all.flatMap((name) => {
      const port = found.get(deviceIdOf(pod, name));
      return port === undefined ? [] : [rowOf(pod, { interface: name, port })];
    });
    return there.length > 0 ? there : [rowOf(pod, {})];
  });
  const isJson = line.words.some(({ text }) => text === '--json');
  if (isJson) return deps.print(renderJson(rows));
  if (rows.length === 0) return deps.print(await nobody(line, deps));
  deps.print(renderTable(line.isAll ? ['namespace', ...COLUMNS] : COLUMNS, rows));
}

function rowOf(pod: Pod, own: { readonly interface?: string; readonly port?: Row }): Row {
  const { port } = own;
  const addresses = (port?.['fixed_ips'] ?? []) as readonly { readonly ip_address: string }[];
  return {
    namespace: pod.metadata.namespace,
    pod: pod.metadata.name,
    interface: own.interface ?? '',
    port: pod.spec.hostNetwork === true ? '(network of the node)' : (port?.['id'] ?? ''),
    addresses: addresses.map((one) => one.ip_address).join(', '),
    mac_address: port?.['mac_address'] ?? '',
    node: pod.spec.nodeName ?? '',
    status: port?.['status'] ?? '',
  };
}

async function nobody(line: KubectlLine, deps: PluginDeps): Promise<string> {
  return line.isAll ? 'There are no pods.\n' : `There are no pods in namespace ${await namespaceOf(line, deps)}.\n`;
}

/** Of all pods that are meant; those whose ports are not up have dropped nothing. */
async function showDrops(line: KubectlLine, deps: PluginDeps): Promise<number> {
  const plugged = (await podsOf(line, deps)).filter(({ spec }) => spec.hostNetwork !== true);
  const devices = plugged.flatMap((pod) => interfacesOf(pod).map((one) => deviceIdOf(pod, one)));
  const ports = (await portsOf(line, devices, deps)).filter((port) => port['status'] === 'ACTIVE');
  if (ports.length === 0) {
    deps.print(plugged.length === 0 ? await nobody(line, deps) : 'None of the pods has a port that is up.\n');
    return 0;
  }
  const words = line.words.map(({ text, prefix = '' }) => `${prefix}${text}`);
  return await deps.cable(line, ['drops', ...ports.map((port) => String(port['id'])), ...words]);
}

const COLUMNS = ['pod', 'interface', 'port', 'addresses', 'mac_address', 'node', 'status'];

/** A request line has room for some hundred. */
const DEVICES_AT_ONCE = 50;
