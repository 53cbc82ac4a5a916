import { hostname } from 'node:os';
import { exitUsage, type LogLevel, type ProbePlace, parseProbePlace } from '@cable/kit';
import { cidrsOverlap, type IpPrefix, isClusterName, parseCidr, parseHostName } from '@cable/model';
import { Command, InvalidArgumentError, Option } from 'commander';

/** What the operator asked for on the command line. */
export type CommandLine = {
  readonly cluster: string;
  readonly server: string;
  /** Files; undefined: nothing is shown, and the system's authorities are trusted. */
  readonly ca: string | undefined;
  readonly own: { readonly cert: string; readonly key: string } | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly namespace: string;
  readonly identity: string;
  readonly podCidrs: readonly string[];
  readonly joinCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly externalIpCidrs: readonly string[];
  readonly clusterDomain: string;
  readonly loadBalancerCidrs: readonly string[];
  readonly isDefaultLoadBalancer: boolean;
  readonly announceExternalIps: boolean;
  /** Undefined: nobody asks how it is. */
  readonly probeListen: ProbePlace | undefined;
  readonly logLevel: LogLevel;
};

const DEFAULTS = {
  podCidrs: ['10.244.0.0/16'],
  joinCidrs: { 4: '100.64.0.0/16', 6: 'fd00:100:64::/112' },
  serviceCidrs: ['10.96.0.0/12'],
} as const;

/** Parses the arguments. Prints and ends the process for --help and for errors, as commander does. `name`: a name for this process among others. */
export function parseCommandLine(argv: readonly string[], env: NodeJS.ProcessEnv): CommandLine {
  const command = new Command('cable kube')
    .description(
      'The controller of a Kubernetes cluster: its pods and nodes become ports. Several may run for one cluster; one writes, by a Lease.',
    )
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .addHelpText(
      'after',
      '\nIn place of options: manifests prints what Kubernetes is to be given; convert FILE prints what stands in the place of Kube-OVN’s. Of its pods: authorities, admission, join, cni, store-directory (each has --help).',
    )
    .requiredOption('--cluster <name>', 'name of the cluster here; agents of its nodes have it too', parseCluster)
    .option('--server <url>', 'the Cable server: http://HOST:PORT, https://HOST:PORT or unix:PATH', env['CABLE_SERVER'])
    .option('--ca <file>', 'authorities of the server, PEM', env['CABLE_CA'])
    .option('--cert <file>', 'certificate of the cluster (cable pki issue cluster NAME)', env['CABLE_CERT'])
    .option('--key <file>', 'its key', env['CABLE_KEY'])
    .option('--kubeconfig <file>', 'how to reach Kubernetes (default: KUBECONFIG, ~/.kube/config, or that of a pod)')
    .option('--context <name>', 'context of the kubeconfig (default: its current one)')
    .option('--namespace <name>', 'namespace of its Lease', env['POD_NAMESPACE'] ?? 'kube-system')
    .option('--identity <name>', 'name of this process, as no other has it (default: host name and process ID)')
    .option(
      '--pod-cidr <prefix>',
      `where pods have addresses, one of each version of IP; the first counts first (repeatable; default: ${DEFAULTS.podCidrs[0]})`,
      collectCidr,
    )
    .option(
      '--join-cidr <prefix>',
      `where nodes have addresses (repeatable; default: ${DEFAULTS.joinCidrs[4]}, ${DEFAULTS.joinCidrs[6]})`,
      collectCidr,
    )
    .option(
      '--service-cidr <prefix>',
      `where Services have addresses, as the API server has it (repeatable; default: ${DEFAULTS.serviceCidrs[0]})`,
      collectCidr,
    )
    .option(
      '--external-ip-cidr <prefix>',
      'addresses that Services may take as externalIPs: who takes one gets what pods send there (repeatable; default: none)',
      collectCidr,
    )
    .option(
      '--cluster-domain <domain>',
      'what the names of Services end with, as kubelet has it (clusterDomain)',
      parseDomain,
      'cluster.local',
    )
    .option(
      '--load-balancer-cidr <prefix>',
      'addresses for Services of type LoadBalancer: nodes announce those of subnets of their links, routes of yours bring others (repeatable; default: none are given)',
      collectCidr,
    )
    .option(
      '--load-balancer-default',
      'Services without loadBalancerClass get such addresses too, not only those of cable.io/load-balancer: no other controller may give them any',
    )
    .option(
      '--announce-external-ips',
      'nodes announce externalIPs that Services may take, as addresses of load balancers',
    )
    .option(
      '--probe-listen <address>',
      'loopback address and port where /livez, /readyz and /metrics are answered, for kubelet: 127.0.0.1:9700',
      parseProbeListen,
    )
    .addOption(
      new Option('--log-level <level>', 'what is logged').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .parse([...argv], { from: 'user' });
  const given = command.opts<{
    cluster: string;
    server?: string;
    ca?: string;
    cert?: string;
    key?: string;
    kubeconfig?: string;
    context?: string;
    namespace: string;
    identity?: string;
    podCidr?: readonly string[];
    joinCidr?: readonly string[];
    serviceCidr?: readonly string[];
    externalIpCidr?: readonly string[];
    clusterDomain: string;
    loadBalancerCidr?: readonly string[];
    loadBalancerDefault?: boolean;
    announceExternalIps?: boolean;
    probeListen?: ProbePlace;
    logLevel: LogLevel;
  }>();
  const fail: (text: string) => never = (text) => command.error(`error: ${text}`);
  const { server, ca, cert, key } = given;
  if (server === undefined) return fail("required option '--server <url>' not specified (or CABLE_SERVER)");
  if ((cert === undefined) !== (key === undefined))
    return fail("options '--cert <file>' and '--key <file>' go together");
  if (!server.startsWith('https:') && (ca ?? cert) !== undefined)
    return fail(`options '--ca', '--cert' and '--key' have no effect: ${server} is not asked by https`);
  if (server.startsWith('https:') && cert === undefined)
    return fail("a server that is asked by https wants '--cert <file>' and '--key <file>'");
  const podCidrs = given.podCidr ?? DEFAULTS.podCidrs;
  const joinCidrs = given.joinCidr ?? podCidrs.map((one) => DEFAULTS.joinCidrs[versionOf(one)]);
  for (const [name, list] of Object.entries({ 'pod-cidr': podCidrs, 'join-cidr': joinCidrs })) {
    if (new Set(list.map(versionOf)).size < list.length)
      fail(`option '--${name}' has two prefixes of one version of IP`);
  }
  if (String(podCidrs.map(versionOf)) !== String(joinCidrs.map(versionOf)))
    fail("options '--pod-cidr' and '--join-cidr' have not the same versions of IP, in the same order");
  const serviceCidrs = given.serviceCidr ?? DEFAULTS.serviceCidrs;
  const loadBalancerCidrs = given.loadBalancerCidr ?? [];
  const overlap = overlapOf([
    ...[ofOption('pod-cidr', podCidrs), ofOption('join-cidr', joinCidrs)],
    ...[ofOption('service-cidr', serviceCidrs), ofOption('load-balancer-cidr', loadBalancerCidrs)],
  ]);
  if (overlap !== undefined) fail(overlap);
  return {
    cluster: given.cluster,
    server,
    ca,
    own: cert === undefined || key === undefined ? undefined : { cert, key },
    kubeconfig: given.kubeconfig,
    context: given.context,
    namespace: given.namespace,
    identity: given.identity ?? `${hostname()}_${process.pid}`,
    podCidrs,
    joinCidrs,
    serviceCidrs,
    externalIpCidrs: given.externalIpCidr ?? [],
    clusterDomain: given.clusterDomain,
    loadBalancerCidrs,
    isDefaultLoadBalancer: given.loadBalancerDefault === true,
    announceExternalIps: given.announceExternalIps === true,
    probeListen: given.probeListen,
    logLevel: given.logLevel,
  };
}

type OfOption = { readonly option: string; readonly text: string; readonly prefix: IpPrefix };

function ofOption(option: string, cidrs: readonly string[]): readonly OfOption[] {
  return cidrs.flatMap((text) => {
    const prefix = parseCidr(text);
    return prefix === undefined ? [] : [{ option, text, prefix }];
  });
}

/** What is said of two options of which some prefixes overlap: an address would be of both, and reached as one of them alone. Undefined: none do. */
function overlapOf(groups: readonly (readonly OfOption[])[]): string | undefined {
  const all = groups.flat();
  for (const a of all) {
    const b = all.find((one) => one.option !== a.option && cidrsOverlap(a.prefix, one.prefix));
    if (b !== undefined)
      return `options '--${a.option}' and '--${b.option}' overlap: ${a.text} and ${b.text}. Both are said, or hold by default.`;
  }
  return undefined;
}

function versionOf(cidr: string): 4 | 6 {
  return cidr.includes(':') ? 6 : 4;
}

function parseCluster(text: string): string {
  if (isClusterName(text)) return text;
  throw new InvalidArgumentError('Give at most 63 of a to z, 0 to 9 and "-", first and last none of "-".');
}

function parseProbeListen(text: string): ProbePlace {
  const place = parseProbePlace(text);
  if (place !== undefined) return place;
  throw new InvalidArgumentError('Give a loopback address and a port, such as 127.0.0.1:9700 or [::1]:9700.');
}

function parseDomain(text: string): string {
  const domain = text.toLowerCase().replace(/\.$/, '');
  if (parseHostName(domain) !== undefined && domain.length <= 200) return domain;
  throw new InvalidArgumentError('Give a domain of at most 200 characters, such as cluster.local.');
}

function collectCidr(text: string, before: readonly string[] = []): readonly string[] {
  for (const one of text.split(','))
    if (parseCidr(one) === undefined) throw new InvalidArgumentError(`${one} is no prefix, such as 10.244.0.0/16.`);
  return [...before, ...text.split(',')];
}
