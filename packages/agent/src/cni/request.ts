import { CNI_CODE, CniError } from './errors.ts';
import { type Netconf, parseNetconf, parseNetconfToRemove } from './netconf.ts';
import { isAtLeast } from './versions.ts';

/** Header fields of `POST /cni`, by lower-case name, as node:http gives them. */
export type CniHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export const CNI_COMMANDS = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC'] as const;

export type CniCommand = (typeof CNI_COMMANDS)[number];

/** One call of the plug-in, checked. */
export type CniRequest<Conf extends Netconf = Netconf> = {
  readonly command: CniCommand;
  /** Empty for STATUS and GC. */
  readonly containerId: string;
  /** Path of the network namespace; may be empty for DEL, is for STATUS and GC. */
  readonly netns: string;
  readonly interfaceName: string;
  readonly podName: string;
  readonly podNamespace: string;
  /** Empty: the runtime is none of Kubernetes, or does not tell. */
  readonly podUid: string;
  readonly conf: Conf;
};

/** Keys of CNI_ARGS that mean something here; others are an error unless IgnoreUnknown is set. */
const KNOWN_ARGS = new Set([
  'IgnoreUnknown',
  'IP',
  'MAC',
  'K8S_POD_NAME',
  'K8S_POD_NAMESPACE',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
]);

/** Parses a call; throws CniError. */
export function parseCniRequest(headers: CniHeaders, body: string): CniRequest {
  const command = commandOf(header(headers, 'cni-command'));
  const isRemoving = command === 'DEL' || command === 'GC';
  const args = parseArgs(header(headers, 'cni-args'), isRemoving);
  const conf = isRemoving ? parseNetconfToRemove(body) : parseNetconf(body, args);
  const request: CniRequest = {
    command,
    containerId: header(headers, 'cni-containerid'),
    netns: header(headers, 'cni-netns'),
    interfaceName: header(headers, 'cni-ifname'),
    podName: args.get('K8S_POD_NAME') ?? '',
    podNamespace: args.get('K8S_POD_NAMESPACE') ?? '',
    podUid: args.get('K8S_POD_UID') ?? '',
    conf,
  };
  checkVersion(request);
  if (command !== 'STATUS' && command !== 'GC') checkAttachment(request);
  return request;
}

function header(headers: CniHeaders, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
}

function commandOf(text: string): CniCommand {
  const command = CNI_COMMANDS.find((one) => one === text);
  if (command !== undefined) return command;
  throw environment('CNI_COMMAND', `"${text}" is not a command`, `use one of ${CNI_COMMANDS.join(', ')}, VERSION`);
}

/** `A=1;B=2`. `isRemoving`: what is no such pair, or is not known, is passed over. */
function parseArgs(text: string, isRemoving: boolean): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(';').filter((one) => one !== '')) {
    const at = pair.indexOf('=');
    if (at <= 0 && isRemoving) continue;
    if (at <= 0) throw environment('CNI_ARGS', `"${pair}" is not KEY=VALUE`, 'separate pairs by semicolons');
    args.set(pair.slice(0, at), pair.slice(at + 1));
  }
  const ignoreUnknown = isRemoving || /^(1|true)$/i.test(args.get('IgnoreUnknown') ?? '');
  const unknown = [...args.keys()].find((key) => !KNOWN_ARGS.has(key));
  if (unknown === undefined || ignoreUnknown) return args;
  throw environment('CNI_ARGS', `${unknown} is not known`, 'remove it or add IgnoreUnknown=1');
}

function checkVersion({ command, conf }: CniRequest): void {
  const since = command === 'CHECK' ? '0.4.0' : command === 'STATUS' || command === 'GC' ? '1.1.0' : '0.3.0';
  if (isAtLeast(conf.cniVersion, since)) return;
  const message = `cniVersion: ${conf.cniVersion} has no ${command}`;
  throw new CniError(CNI_CODE.incompatibleVersion, message, `use ${since} or newer`);
}

/** Of the container's id, with others, the alias of the link is made, which has 255 characters at most; what an older agent took can still be deleted. */
function checkAttachment({ command, containerId, netns, interfaceName, podUid, conf }: CniRequest): void {
  const length = command === 'ADD' ? 128 : 200;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId) || containerId.length > length) {
    const remedy = `start with a letter or digit; then also _ . -; at most ${length} characters`;
    throw environment('CNI_CONTAINERID', 'is missing or not an id', remedy);
  }
  if (!isInterfaceName(interfaceName, command)) {
    const remedy = 'use 1 to 15 ASCII characters, none of / : % or space, and not all or default';
    throw environment('CNI_IFNAME', 'is missing or no interface name', remedy);
  }
  if (!netns.startsWith('/') && !(command === 'DEL' && netns === '')) {
    throw environment('CNI_NETNS', 'is not the path of a namespace', 'give a path such as /run/netns/NAME');
  }
  if (command === 'ADD' && conf.mode === 'cluster' && podUid === '') {
    const remedy =
      'the runtime of a node of Kubernetes gives it; elsewhere leave "cluster" out of the network configuration';
    throw environment('CNI_ARGS', 'K8S_POD_UID is missing, by which the port of the pod is found', remedy);
  }
}

/**
 * What the kernel takes as it is (`dev_valid_name`, and `all` and `default` are sysctls'): of `a%d` it makes `a0`. What an older agent took can still be
 * deleted.
 */
function isInterfaceName(name: string, command: CniCommand): boolean {
  if (/^\.{1,2}$/.test(name)) return false;
  if (command === 'DEL') return /^[^/:\s\p{Cc}]{1,15}$/u.test(name);
  return /^[!-~]{1,15}$/.test(name) && !/[/:%]/.test(name) && name !== 'all' && name !== 'default';
}

function environment(name: string, problem: string, remedy: string): CniError {
  return new CniError(CNI_CODE.invalidEnvironment, `${name}: ${problem}`, remedy);
}
