/** What the operator says to `cable kube manifests`. */
import { readFileSync } from 'node:fs';
import { exitUsage } from '@cable/kit';
import { isClusterName, parseCidr, parseUnderlayMtu } from '@cable/model';
import { isPlace } from '@cable/pki';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseCommandLine } from '../options.ts';
import { CNI_VERSIONS } from './cni-files.ts';
import type { EmbeddedStore, EtcdStore, Install } from './workloads.ts';

/** What is printed. `install` undefined: no pods. */
export type ManifestsLine = {
  readonly namespace: string;
  /** Undefined: all. */
  readonly only: (typeof PARTS)[number] | undefined;
  readonly install?: Install | undefined;
  /** Roles of pods, too, of which nothing else is said: for their removal. */
  readonly allRoles?: boolean;
  /** Of the DaemonSet that removes what agents have left; undefined: it is not asked for. */
  readonly teardown?: Pick<Install, 'image' | 'maxUnavailable'> | undefined;
  /** Directory that a Helm chart is written to, in place of what is printed. */
  readonly helm?: string | undefined;
};

const PARTS = ['crds', 'rbac', 'workloads'] as const;

export const INSTALL_DEFAULTS = {
  podCidr: '10.244.0.0/16',
  joinCidr: '',
  serviceCidr: '10.96.0.0/12',
  externalIpCidr: '',
  loadBalancerCidr: '',
  announceOn: '',
  announceCidr: '',
  clusterDomain: 'cluster.local',
  underlayMtu: '1500',
  overlayIpVersion: '4',
  cniVersion: '1.0.0',
  maxUnavailable: '10%',
} as const;

/** Name of the image that is built of this version. */
export function defaultImage(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return `localhost/cable:${(JSON.parse(text) as { readonly version: string }).version}`;
}

type Given = {
  readonly namespace: string;
  readonly only?: ManifestsLine['only'];
  readonly cluster?: string;
  readonly image: string;
  readonly serverAddress?: string;
  readonly apiServer?: Install['apiServer'];
  readonly storeNode?: string;
  readonly etcd?: string;
  readonly etcdSecret?: string;
  readonly serverReplicas?: string;
  readonly podCidr: string;
  readonly joinCidr: string;
  readonly serviceCidr: string;
  readonly externalIpCidr: string;
  readonly loadBalancerCidr: string;
  readonly loadBalancerDefault?: boolean;
  readonly announceExternalIps?: boolean;
  readonly openCluster?: boolean;
  readonly leaveConntrack?: boolean;
  readonly announceOn: string;
  readonly announceCidr: string;
  readonly clusterDomain: string;
  readonly underlayMtu: string;
  readonly overlayIpVersion: string;
  readonly cniVersion: string;
  readonly maxUnavailable: string;
  readonly allRoles?: boolean;
  readonly teardown?: boolean;
  readonly helm?: string;
};

/** Parses the arguments after `cable kube manifests`. Prints and ends the process for --help and for errors. */
export function parseManifestsLine(argv: readonly string[], env: NodeJS.ProcessEnv): ManifestsLine {
  const command = new Command('cable kube manifests')
    .description(
      'Prints what Kubernetes is to be given of Cable, as YAML: cable kube manifests ... | kubectl apply -f -. Without --cluster: the kinds of cable.io and the roles alone, for what is run by hand.',
    )
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .option('--namespace <name>', 'namespace of Cable', parseLabel, env['POD_NAMESPACE'] ?? 'kube-system')
    .addOption(
      new Option('--only <part>', 'crds: the kinds of cable.io; rbac: who may do what; workloads: the pods').choices(
        PARTS,
      ),
    )
    .option('--cluster <name>', 'name of the cluster here, which is not changed later', parseCluster)
    .option('--server-address <place>', 'address of the node with the store, or what leads to all servers', parsePlace)
    .option('--api-server <url>', 'the API server as kubelets reach it: https://HOST:PORT', parseApiServer)
    .option('--store-node <node>', 'the node that has the embedded store on its disk', parseLabelValue)
    .option('--etcd <list>', 'in place of that, members of an etcd: HOST:PORT,HOST:PORT', parseEndpoints)
    .option(
      '--etcd-secret <name>',
      'Secret with ca.crt, tls.crt and tls.key for it (default: etcd is asked in clear)',
      parseLabel,
    )
    .option('--server-replicas <number>', 'servers on etcd (default: 2)', parseReplicas)
    .option('--image <name>', 'image of all parts', parseImage, defaultImage())
    .option(
      '--pod-cidr <list>',
      'where pods have addresses, one prefix of each version of IP',
      INSTALL_DEFAULTS.podCidr,
    )
    .addOption(listOption('--join-cidr <list>', 'where nodes have addresses', 'joinCidr', 'that of cable kube'))
    .option('--service-cidr <list>', 'where Services have, as the API server has it', INSTALL_DEFAULTS.serviceCidr)
    .addOption(
      listOption(
        '--external-ip-cidr <list>',
        'addresses that Services may take as externalIPs',
        'externalIpCidr',
        'none',
      ),
    )
    .addOption(
      listOption(
        '--load-balancer-cidr <list>',
        'addresses for Services of type LoadBalancer',
        'loadBalancerCidr',
        'none',
      ),
    )
    .option('--load-balancer-default', 'Services without a class get such addresses, too')
    .option('--announce-external-ips', 'nodes announce externalIPs, as addresses of load balancers')
    .addOption(
      listOption(
        '--announce-on <list>',
        'interfaces of nodes on whose links they announce addresses: eth0,eth1; none: on none',
        'announceOn',
        'that of the underlay',
      ),
    )
    .addOption(
      listOption(
        '--announce-cidr <list>',
        'prefixes whose addresses are announced there though they are no subnets of the interfaces',
        'announceCidr',
        'none',
      ),
    )
    .option('--open-cluster', 'nodes let in what others route to pods and ClusterIPs through them')
    .option('--leave-conntrack', 'nodes leave size and timeouts of the kernel’s connection tracking as they are')
    .option('--cluster-domain <domain>', 'what the names of Services end with', INSTALL_DEFAULTS.clusterDomain)
    .option('--underlay-mtu <bytes>', 'largest packet of the nodes’ network', parseMtu, INSTALL_DEFAULTS.underlayMtu)
    .addOption(
      new Option('--overlay-ip-version <version>', 'IP version of the addresses of nodes that kubelet names first')
        .choices(['4', '6'])
        .default(INSTALL_DEFAULTS.overlayIpVersion),
    )
    .addOption(
      new Option('--cni-version <version>', 'of the CNI configuration; 1.1.0 for containerd 2 and CRI-O 1.31')
        .choices(CNI_VERSIONS)
        .default(INSTALL_DEFAULTS.cniVersion),
    )
    .option(
      '--max-unavailable <nodes>',
      'nodes whose agent may be away at once while all are replaced: a number, or a percentage, which is rounded up',
      parseMost,
      INSTALL_DEFAULTS.maxUnavailable,
    )
    .option('--all-roles', 'without --cluster: the roles of pods, too, for their removal')
    .option('--teardown', 'print the DaemonSet that removes what agents have left on nodes, and nothing else')
    .option('--helm <directory>', 'write a Helm chart of the same there, and print nothing')
    .parse([...argv], { from: 'user' });
  const given = command.opts<Given>();
  const fail: (text: string) => never = (text) => command.error(`error: ${text}`);
  const { namespace, only, helm, image, maxUnavailable } = given;
  if (given.teardown === true) return { namespace, only, teardown: { image, maxUnavailable } };
  if (helm !== undefined) return { namespace, only: undefined, helm };
  if (given.cluster === undefined) {
    if (only === 'workloads') fail("option '--only workloads' needs '--cluster <name>'");
    return { namespace, only, allRoles: given.allRoles === true };
  }
  return { namespace, only, install: installOf(given, given.cluster, fail) };
}

/** One that is empty where nobody says it; `means`: what holds then. */
function listOption(flags: string, text: string, name: keyof typeof INSTALL_DEFAULTS, means: string): Option {
  return new Option(flags, text).default(INSTALL_DEFAULTS[name], means);
}

function installOf(given: Given, cluster: string, fail: (text: string) => never): Install {
  const { serverAddress, apiServer } = given;
  if (serverAddress === undefined) return fail("required option '--server-address <place>' not specified");
  if (apiServer === undefined) return fail("required option '--api-server <url>' not specified");
  const { podCidr, joinCidr, serviceCidr, externalIpCidr, loadBalancerCidr, clusterDomain } = given;
  // What the controller would refuse is refused here.
  const lists = { podCidr, joinCidr, serviceCidr, externalIpCidr, loadBalancerCidr, clusterDomain };
  const flags = Object.entries(lists).flatMap(([name, value]) =>
    value === '' ? [] : [`--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, value],
  );
  parseCommandLine([`--cluster=${cluster}`, '--server=http://[::1]', ...flags], {});
  refuseAnnouncing(given, fail);
  return {
    ...{
      namespace: given.namespace,
      cluster,
      image: given.image,
      serverAddress,
      apiServer,
      store: storeOf(given, fail),
    },
    ...lists,
    ...{
      loadBalancerDefault: textOf(given.loadBalancerDefault),
      announceExternalIps: textOf(given.announceExternalIps),
    },
    ...{ openCluster: textOf(given.openCluster), leaveConntrack: textOf(given.leaveConntrack) },
    ...{ announceOn: given.announceOn, announceCidr: given.announceCidr },
    ...{ underlayMtu: given.underlayMtu, overlayIpVersion: given.overlayIpVersion, cniVersion: given.cniVersion },
    maxUnavailable: given.maxUnavailable,
  };
}

/** What agents would refuse is refused here. */
function refuseAnnouncing({ announceOn, announceCidr }: Given, fail: (text: string) => never): void {
  if (announceOn !== '' && announceOn.split(',').some((one) => !/^[^\s/:,]{1,15}$/.test(one)))
    fail(`option '--announce-on <list>': ${announceOn} are no names of interfaces, such as eth0,eth1`);
  const prefixes = announceCidr === '' ? [] : announceCidr.split(',');
  if (prefixes.length > 4 || prefixes.some((one) => parseCidr(one) === undefined))
    fail("option '--announce-cidr <list>': give at most 4 prefixes, such as 198.51.100.0/24");
}

function textOf(given: boolean | undefined): string {
  return given === true ? 'true' : '';
}

function storeOf(
  { storeNode, etcd, etcdSecret, serverReplicas }: Given,
  fail: (text: string) => never,
): EmbeddedStore | EtcdStore {
  if (etcd !== undefined && storeNode !== undefined) fail('give either --store-node or --etcd');
  if (etcd !== undefined)
    return { kind: 'etcd', endpoints: etcd, secret: etcdSecret ?? '', replicas: serverReplicas ?? '2' };
  if (etcdSecret !== undefined || serverReplicas !== undefined)
    fail('--etcd-secret and --server-replicas go with --etcd: the embedded store has one server');
  if (storeNode === undefined)
    return fail('say where the store is: --store-node NODE (on its disk), or --etcd HOST:PORT,...');
  return { kind: 'embedded', node: storeNode };
}

function parseCluster(text: string): string {
  if (isClusterName(text)) return text;
  throw new InvalidArgumentError('Give at most 63 of a to z, 0 to 9 and "-", first and last none of "-".');
}

function parseLabel(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('Give at most 63 of a to z, 0 to 9 and "-", first and last none of "-".');
}

function parseLabelValue(text: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('Give the name of the node.');
}

function parsePlace(text: string): string {
  if (isPlace(text)) return text;
  throw new InvalidArgumentError('Give a DNS name or an address.');
}

function parseApiServer(text: string): Install['apiServer'] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '' && url.username === '')
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? '443' : url.port };
  throw new InvalidArgumentError('Give https://HOST:PORT.');
}

function parseEndpoints(text: string): string {
  if (text.split(',').every((one) => /^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/.test(one))) return text;
  throw new InvalidArgumentError('Give HOST:PORT, more of them with commas between.');
}

function parseReplicas(text: string): string {
  if (/^[1-9]$/.test(text)) return text;
  throw new InvalidArgumentError('Give a number from 1 to 9.');
}

function parseMost(text: string): string {
  if (/^([1-9]\d{0,4}|([1-9]\d?|100)%)$/.test(text)) return text;
  throw new InvalidArgumentError('Give a number of nodes, or a percentage such as 10%.');
}

function parseImage(text: string): string {
  if (/^[a-z0-9][\w./:@-]{0,250}$/.test(text)) return text;
  throw new InvalidArgumentError('Give the name of an image, such as registry.example.com/cable:0.1.0.');
}

function parseMtu(text: string): string {
  if (parseUnderlayMtu(text) !== undefined) return text;
  throw new InvalidArgumentError('Give a number of bytes, such as 1500.');
}
