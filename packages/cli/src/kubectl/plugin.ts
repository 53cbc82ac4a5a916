/** `kubectl cable`: finds the ports of pods, and has `cable` do the rest. */
import { CliError, explainFailure } from '../errors.ts';
import { type Row, renderJson, renderTable } from '../render.ts';
import { type KubectlLine, parseKubectlLine, podOf } from './arguments.ts';

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

Where a command of cable takes a port, it takes the name of a pod: NAME, or NAMESPACE/NAME. IDs of ports and addresses are what they are.

  ports [POD]...                        pods with their ports, addresses and nodes
  trace --from POD --to POD|ADDRESS     the way of a packet and of its answer; --proto tcp --dport 80; --live: of real ones
  why POD [POD]                         explains a pod that has no network, or two that cannot talk
  drops [POD]                           what was dropped, why, and what to do about it
  flows POD                             connections
  capture POD --out FILE                what is sent and received, as pcap

Options of a command: cable COMMAND --help. Of kubectl: -n, --context, --kubeconfig, --cluster, --user, --as.
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

async function namespaceOf({ namespace, kubectl }: KubectlLine, deps: Pick<PluginDeps, 'kubectl'>): Promise<string> {
  if (namespace !== undefined) return namespace;
  const text = await deps.kubectl([...kubectl, 'config', 'view', '--minify', '--output=jsonpath={..namespace}']);
  return text.trim() || 'default';
}

async function podNamed(
  { kubectl }: KubectlLine,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  deps: Pick<PluginDeps, 'kubectl'>,
): Promise<Pod> {
  const text = await deps.kubectl([...kubectl, 'get', 'pod', name, `--namespace=${namespace}`, '--output=json']);
  return JSON.parse(text) as Pod;
}

/** Of its first interface. */
function deviceIdOf({ metadata: { uid, annotations = {} } }: Pod): string {
  return `${annotations[MIRROR] === undefined ? uid : (annotations[STATIC_UID] ?? uid)}:eth0`;
}

async function portsOf(line: KubectlLine, pod: Pod, deps: Pick<PluginDeps, 'ask'>): Promise<readonly Row[]> {
  const text = await deps.ask(line, [...siteWords(line), '--json', 'port', 'list', '--device-id', deviceIdOf(pod)]);
  return JSON.parse(text) as readonly Row[];
}

/** ID of the port. */
async function portOf(
  line: KubectlLine,
  wanted: { readonly namespace: string; readonly name: string },
  deps: PluginDeps,
): Promise<string> {
  const pod = await podNamed(line, wanted, deps);
  const shown = `${wanted.namespace}/${wanted.name}`;
  if (pod.spec.hostNetwork === true)
    throw new CliError(1, `pod ${shown} is in the network of its node, and has no port`, 'Give an address instead.');
  const [port] = await portsOf(line, pod, deps);
  if (port !== undefined) return String(port['id']);
  const why =
    pod.spec.nodeName === undefined
      ? 'It is on no node yet.'
      : `kubectl describe pod ${wanted.name} -n ${wanted.namespace} says why.`;
  throw new CliError(1, `pod ${shown} has no port that you may see`, why);
}

/** Options that say which server, and who asks: every request needs them. */
function siteWords({ words }: KubectlLine): readonly string[] {
  const names = ['--server', '--ca', '--cert', '--key', '--os-cloud', '--project', '--role'];
  return words.flatMap(({ text, prefix }, at) => {
    if (prefix !== undefined && names.includes(prefix.slice(0, -1))) return [`${prefix}${text}`];
    return names.includes(text) && prefix === undefined ? [text, words[at + 1]?.text ?? ''] : [];
  });
}

async function showPorts(line: KubectlLine, deps: PluginDeps): Promise<void> {
  const namespace = await namespaceOf(line, deps);
  const named = line.words.filter(({ isPod }) => isPod);
  const pods =
    named.length > 0
      ? await Promise.all(named.map(({ text }) => podNamed(line, podOf(text, namespace), deps)))
      : (
          JSON.parse(
            await deps.kubectl([...line.kubectl, 'get', 'pods', `--namespace=${namespace}`, '--output=json']),
          ) as { readonly items: readonly Pod[] }
        ).items;
  const plugged = pods.filter(({ spec }) => spec.hostNetwork !== true);
  const found = new Map<unknown, Row>();
  for (let at = 0; at < plugged.length; at += DEVICES_AT_ONCE) {
    const devices = plugged.slice(at, at + DEVICES_AT_ONCE).flatMap((pod) => ['--device-id', deviceIdOf(pod)]);
    const text = await deps.ask(line, [...siteWords(line), '--json', 'port', 'list', ...devices]);
    for (const port of JSON.parse(text) as readonly Row[]) found.set(port['device_id'], port);
  }
  const rows = pods.map((pod): Row => {
    const port = found.get(deviceIdOf(pod));
    const addresses = (port?.['fixed_ips'] ?? []) as readonly { readonly ip_address: string }[];
    return {
      pod: pod.metadata.name,
      port: pod.spec.hostNetwork === true ? '(network of the node)' : (port?.['id'] ?? ''),
      addresses: addresses.map((one) => one.ip_address).join(', '),
      mac_address: port?.['mac_address'] ?? '',
      node: pod.spec.nodeName ?? '',
      status: port?.['status'] ?? '',
    };
  });
  const isJson = line.words.some(({ text }) => text === '--json');
  if (isJson) return deps.print(renderJson(rows));
  deps.print(rows.length === 0 ? `There are no pods in namespace ${namespace}.\n` : renderTable(COLUMNS, rows));
}

const COLUMNS = ['pod', 'port', 'addresses', 'mac_address', 'node', 'status'];

/** A request line has room for some hundred. */
const DEVICES_AT_ONCE = 50;
