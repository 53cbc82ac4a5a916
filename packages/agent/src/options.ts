import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitUsage, type LogLevel, type ProbePlace, parseProbePlace } from '@cable/kit';
import {
  DEFAULT_ZONE,
  formatIp,
  type HostBandwidth,
  isClusterName,
  isMachineAddress,
  isUnderlayAddress,
  isZoneName,
  parseCidr,
  parseIp,
  parseUnderlayMtu,
  TUNNELLED,
  UNDERLAY_MTU_BYTES,
} from '@cable/model';
import type { TlsFiles } from '@cable/pki';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseBandwidth, parsePacketRate, strayOf } from './bandwidth.ts';
import { pinName } from './bpf/pin.ts';
import type { CollectorPlace } from './flow-export/collector.ts';
import { defaultTimeouts, type FlowTimeouts, parseFlowTimeouts } from './flow-timeouts.ts';
import { type DnsUpstream, parseUpstream } from './guest/dns-forwarder.ts';
import { DEFAULT_OPEN_PORTS, type OpenPorts, parseOpenPorts } from './host-policies/open-ports.ts';
import type { TokenSource } from './joining/join-token.ts';
import type { AdmissionOptions } from './joining/node-admission.ts';

/** How the agent was called, checked. */
export type AgentOptions = {
  readonly server: string;
  readonly host: string;
  readonly underlay: string;
  /** Where the token is by which the host joins; null: it has joined, or need not. */
  readonly join: TokenSource | null;
  /** Who gives this node's pod a token by which the host joins; null: nobody. */
  readonly admission: AdmissionOptions | null;
  /** The host's certificate of an operator's authority; null: it has joined, or need not. */
  readonly tlsFiles: TlsFiles | null;
  /** Certificate of the user as whom ports of pods are made; null: none, which over https makes none. */
  readonly cniFiles: { readonly cert: string; readonly key: string } | null;
  /** Directories of this host: last state, sockets, pins. */
  readonly stateDir: string;
  readonly runDir: string;
  readonly pinDir: string;
  /** Largest packet of the underlay. */
  readonly underlayMtuBytes: number;
  /** Interface of this host on each physical network that it is on, by the network's name. */
  readonly bridgeMappings: ReadonlyMap<string, string>;
  /** What ports may be promised of the host's bandwidth, and of the packets that it can process. */
  readonly bandwidth: HostBandwidth;
  /** Zone that the host is in. */
  readonly availabilityZone: string;
  /** Kubernetes cluster that it is a node of; undefined: none. */
  readonly cluster: string | undefined;
  /** As a node it leaves size and timeouts of the kernel's connection tracking as they are. */
  readonly leavesConntrack: boolean;
  /** Names of interfaces on whose links it announces addresses of Services; undefined: that of the underlay. */
  readonly announceOn: readonly string[] | undefined;
  /** Prefixes of which it announces addresses there besides those of the interfaces' own subnets. */
  readonly announceCidrs: readonly string[];
  /** As a node it lets in what others route to pods and ClusterIPs through it. */
  readonly opensCluster: boolean;
  readonly vifType: VifType;
  /** Who puts packets for other hosts into VXLAN, and takes them out. `auto`: see runChosen(). */
  readonly encapsulation: Encapsulation | 'auto';
  /** The vrouter's compiled programs. */
  readonly object: string;
  /** Nova's metadata service and the file with the secret that it shares; null: the agent answers all guests itself. */
  readonly novaMetadata: { readonly url: string; readonly secretFile: string } | null;
  /** Who is told of the flows of ports that say so; null: nobody. */
  readonly flowCollector: CollectorPlace | null;
  /** After how many seconds without a packet flows end, where it is not as built in. */
  readonly flowTimeouts: FlowTimeouts;
  /** Whether guests get DNS from this host, and who is asked for names of others; null: the servers of the host's resolv.conf. */
  readonly dns: { readonly upstreams: readonly DnsUpstream[] | null } | null;
  /** Files that name the host's name servers, in the form of resolv.conf(5); null: those of the machine. */
  readonly resolvConf: readonly string[] | null;
  /** Whether packets to a group of multicast go to the guests alone that have joined it. */
  readonly snoopsGroups: boolean;
  /** Ports of this host that policies for hosts never close, besides those that the overlay and the agent need. */
  readonly hostOpenPorts: OpenPorts;
  /** Where probes by HTTP are answered; null: nowhere. */
  readonly probeListen: ProbePlace | null;
  readonly logLevel: LogLevel;
  readonly teardown: boolean;
};

/** The same, with all that the host decides. */
export type ChosenOptions = Omit<AgentOptions, 'encapsulation'> & { readonly encapsulation: Encapsulation };

/** How Nova has devices of VMs made: `tap`: Nova itself; `bridge`: libvirt, in a bridge for each. */
export type VifType = (typeof VIF_TYPES)[number];

const VIF_TYPES = ['tap', 'bridge'] as const;

/** `own`: the vrouter itself, where it can; `kernel`: the kernel's VXLAN device, always. On the wire they are the same. */
export type Encapsulation = (typeof ENCAPSULATIONS)[number];

const ENCAPSULATIONS = ['own', 'kernel'] as const;

/** Where bpffs is mounted. */
export const BPFFS = '/sys/fs/bpf';

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/;
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
/** From `src/` and from `dist/` alike. */
const OBJECT = fileURLToPath(new URL('../../../build/vrouter/vrouter.bpf.o', import.meta.url));

/** Parses the arguments after `cable agent`; prints help or what is wrong, and ends the process then. */
export function parseOptions(args: readonly string[]): AgentOptions {
  const command = new Command('cable agent')
    .description('Runs the agent of one host: carries its ports, and answers DHCP, DNS and metadata. Needs root.')
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .option('--server <url>', 'the server: https://HOST:PORT, http://HOST:PORT on this machine, or unix:PATH')
    .requiredOption('--host <name>', 'name of this host in the cloud', parseHost)
    .option('--join-file <path>', 'file with a join token (-: standard input), which may go once the host has joined')
    .addOption(
      new Option('--join <token>', 'the token itself, which others on this machine can see').env('CABLE_JOIN_TOKEN'),
    )
    .option(
      '--admission <url>',
      'who gives tokens to pods of agents: https://HOST:PORT (cable kube admission). A token in --join-file is taken first, and the file removed once the host has joined by it',
      parseHttpsUrl,
    )
    .option('--admission-ca <file>', 'authorities of servers, PEM')
    .option('--admission-token <file>', 'token of the ServiceAccount, for the audience cable.io/join')
    .option('--tls-cert <file>', 'certificate of this host, in PEM, when it does not join; read anew when it changes')
    .option('--tls-key <file>', 'its key')
    .option('--tls-ca <file>', 'authorities of servers that are trusted (default: those of the system)')
    .option(
      '--cni-cert <file>',
      'certificate of the user (cable pki issue user) as whom ports of pods are made by https',
    )
    .option('--cni-key <file>', 'its key')
    .option('--underlay <address>', 'address that other hosts tunnel to', parseUnderlay)
    .option('--state <dir>', 'directory of the last state (default: /var/lib/cable/<host>)')
    .option('--run <dir>', 'directory of the socket agent.sock (default: /run/cable/<host>)')
    .option('--underlay-mtu <bytes>', 'largest packet of the underlay', parseMtu, 1500)
    .option(
      '--bridge-mappings <list>',
      'physical networks that this host is on, with its interface there: physnet1:eth1,physnet2:eth2',
      parseMappings,
    )
    .option(
      '--bandwidth <list>',
      'kbit/s that ports may be promised there: physnet1:EGRESS:INGRESS,rp_tunnelled:EGRESS:INGRESS (rp_tunnelled: of tunnelled networks)',
      parseBandwidthOption,
    )
    .option(
      '--packet-rate <rates>',
      'thousands of packets a second that ports may be promised, sent and received together, or EGRESS:INGRESS',
      parsePacketRateOption,
    )
    .option(
      '--availability-zone <name>',
      'availability zone that this host is in; hints of routers choose by it where gateways are',
      parseZone,
      DEFAULT_ZONE,
    )
    .option(
      '--cluster <name>',
      'Kubernetes cluster that this host is a node of: its controller binds pods’ ports here, by the name of the node',
      parseCluster,
    )
    .option(
      '--open-cluster',
      'a node lets in what others route to pods and ClusterIPs through it, not only what is for node ports, load balancers and external addresses',
      false,
    )
    .option(
      '--leave-conntrack',
      'a node leaves size and timeouts of the kernel’s connection tracking as they are (default: as kube-proxy had them, and no smaller than they are)',
      false,
    )
    .option(
      '--announce-on <list>',
      'interfaces on whose links a node announces addresses of Services by ARP and ND: eth0,eth1; none: on none (default: that of the underlay)',
      parseInterfaces,
    )
    .option(
      '--announce-cidr <prefix>',
      'prefix whose addresses are announced there though it is no subnet of the interface (repeatable)',
      addPrefix,
    )
    .addOption(
      new Option(
        '--vif-type <type>',
        'how Nova has devices of VMs made: by itself (tap), or by libvirt, in a bridge for each (bridge)',
      )
        .choices(VIF_TYPES)
        .default('tap'),
    )
    .addOption(
      new Option(
        '--encapsulation <who>',
        'who makes VXLAN of packets for other hosts: the vrouter itself, or the kernel’s device',
      )
        .choices(['auto', ...ENCAPSULATIONS])
        .default('auto', 'own, but kernel where IPsec policies are about the underlay address'),
    )
    .option('--object <path>', 'compiled vrouter programs', OBJECT)
    .option('--nova-metadata <url>', "Nova's metadata service, asked for the guests of Nova's instances", parseHttpUrl)
    .option('--metadata-secret-file <path>', "file with Nova's metadata_proxy_shared_secret")
    .option(
      '--dns-upstream <address>',
      'name server for the names of others, maybe with :PORT; again for more; none: refuse them',
      addUpstream,
    )
    .option(
      '--resolv-conf <path>',
      'file that names the host’s name servers, where --dns-upstream does not; again for more, of which the first with a server that can be asked counts (default: /etc/resolv.conf, then that of systemd-resolved)',
      addPath,
    )
    .option(
      '--flow-collector <address>',
      'IPFIX collector, told by UDP of the flows of ports with cable:flow_export: 192.0.2.9:4739 or [2001:db8::9]:4739',
      parseCollector,
    )
    .option(
      '--flow-timeouts <list>',
      `after which time without a packet flows end, by protocol and state: tcp_established=2h,udp_new=10s (default: ${defaultTimeouts()})`,
      parseTimeouts,
    )
    .option(
      '--host-open-ports <list>',
      `ports of this host that policies for hosts never close (in: they reach it), besides those that the overlay and the agent need; none: no others (default: ${DEFAULT_OPEN_PORTS})`,
      parseHostOpenPorts,
    )
    .option(
      '--probe-listen <address>',
      'loopback address and port where /livez and /readyz are answered, for kubelet: 127.0.0.1:9699',
      parseProbeListen,
    )
    .option('--no-dns', 'guests get no DNS from this host')
    .option('--no-igmp-snooping', 'packets to groups of multicast (IPv4 and IPv6) go to all guests of a network')
    .addOption(new Option('--log-level <level>', 'what to log').choices(LEVELS).default('info'))
    .option('--teardown', 'remove everything that agents of this host left on this machine, and end', false)
    .addHelpText('after', '\nThe agent may be killed at any time: traffic goes on, and the next one takes over.');
  command.parse([...args], { from: 'user' });
  const given = command.opts<{
    server?: string;
    host: string;
    join?: string;
    joinFile?: string;
    admission?: string;
    admissionCa?: string;
    admissionToken?: string;
    tlsCert?: string;
    tlsKey?: string;
    tlsCa?: string;
    cniCert?: string;
    cniKey?: string;
    underlay?: string;
    state?: string;
    run?: string;
    underlayMtu: number;
    bridgeMappings?: ReadonlyMap<string, string>;
    bandwidth?: HostBandwidth;
    packetRate?: HostBandwidth;
    availabilityZone: string;
    cluster?: string;
    openCluster: boolean;
    leaveConntrack: boolean;
    announceOn?: readonly string[];
    announceCidr?: readonly string[];
    vifType: VifType;
    encapsulation: Encapsulation | 'auto';
    object: string;
    novaMetadata?: string;
    metadataSecretFile?: string;
    dnsUpstream?: readonly (DnsUpstream | 'none')[];
    resolvConf?: readonly string[];
    flowCollector?: CollectorPlace;
    flowTimeouts?: FlowTimeouts;
    dns: boolean;
    igmpSnooping: boolean;
    hostOpenPorts?: OpenPorts;
    probeListen?: NonNullable<AgentOptions['probeListen']>;
    logLevel: LogLevel;
    teardown: boolean;
  }>();
  if (!given.teardown && given.server === undefined)
    command.error("error: required option '--server <url>' not specified");
  if (!given.teardown && given.underlay === undefined)
    command.error("error: required option '--underlay <address>' not specified");
  const stray = strayOf(given.bandwidth ?? {}, given.bridgeMappings ?? new Map());
  if (stray !== undefined)
    command.error(`error: option '--bandwidth <list>' names ${stray}, which is not in --bridge-mappings`);
  const { novaMetadata, metadataSecretFile } = given;
  if ((novaMetadata === undefined) !== (metadataSecretFile === undefined))
    command.error("error: options '--nova-metadata <url>' and '--metadata-secret-file <path>' go together");
  const access = accessOf(given, (text) => command.error(`error: ${text}`));
  return {
    ...access,
    server: given.server ?? '',
    host: given.host,
    underlay: given.underlay ?? '',
    stateDir: given.state ?? `/var/lib/cable/${given.host}`,
    runDir: given.run ?? `/run/cable/${given.host}`,
    pinDir: join(BPFFS, 'cable', pinName(given.host)),
    underlayMtuBytes: given.underlayMtu,
    bridgeMappings: given.bridgeMappings ?? new Map(),
    bandwidth: { ...given.bandwidth, ...given.packetRate },
    availabilityZone: given.availabilityZone,
    cluster: given.cluster,
    opensCluster: given.openCluster,
    leavesConntrack: given.leaveConntrack,
    announceOn: given.announceOn,
    announceCidrs: given.announceCidr ?? [],
    vifType: given.vifType,
    encapsulation: given.encapsulation,
    object: given.object,
    novaMetadata:
      novaMetadata === undefined || metadataSecretFile === undefined
        ? null
        : { url: novaMetadata, secretFile: metadataSecretFile },
    dns: given.dns ? { upstreams: given.dnsUpstream?.filter((one) => one !== 'none') ?? null } : null,
    resolvConf: given.resolvConf ?? null,
    flowCollector: given.flowCollector ?? null,
    flowTimeouts: given.flowTimeouts ?? {},
    snoopsGroups: given.igmpSnooping,
    hostOpenPorts: given.hostOpenPorts ?? parseHostOpenPorts(DEFAULT_OPEN_PORTS),
    probeListen: given.probeListen ?? null,
    logLevel: given.logLevel,
    teardown: given.teardown,
  };
}

type GivenAccess = {
  readonly join?: string;
  readonly joinFile?: string;
  readonly admission?: string;
  readonly admissionCa?: string;
  readonly admissionToken?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly cniCert?: string;
  readonly cniKey?: string;
};

/** How the host shows who it is. */
function accessOf(
  given: GivenAccess,
  fail: (text: string) => never,
): Pick<AgentOptions, 'join' | 'admission' | 'tlsFiles' | 'cniFiles'> {
  const { join: text, joinFile: path, tlsCa } = given;
  if (text !== undefined && path !== undefined) fail('give either --join-file or --join (CABLE_JOIN_TOKEN)');
  const source = path === undefined ? (text === undefined ? null : { text }) : { path };
  const own = pairOf(given.tlsCert, given.tlsKey, () => fail('--tls-cert and --tls-key go together'));
  if (own === null && tlsCa !== undefined)
    fail('--tls-ca goes with --tls-cert and --tls-key: a host that joins is told');
  const { admission: url, admissionCa: caFile, admissionToken: tokenFile } = given;
  const admission =
    url === undefined || caFile === undefined || tokenFile === undefined ? null : { url, caFile, tokenFile };
  if (admission === null && (url ?? caFile ?? tokenFile) !== undefined)
    fail('--admission, --admission-ca and --admission-token go together');
  if (admission !== null && (text !== undefined || path === '-'))
    fail('with --admission a token is given in a file (--join-file PATH), or not at all');
  if (own !== null && (source !== null || admission !== null))
    fail('give either a certificate (--tls-cert) or a join token');
  const cniFiles = pairOf(given.cniCert, given.cniKey, () => fail('--cni-cert and --cni-key go together'));
  return { join: source, admission, tlsFiles: own === null ? null : { own, ca: tlsCa ?? null }, cniFiles };
}

function pairOf(
  cert: string | undefined,
  key: string | undefined,
  fail: () => never,
): { readonly cert: string; readonly key: string } | null {
  if (cert === undefined && key === undefined) return null;
  return cert === undefined || key === undefined ? fail() : { cert, key };
}

function parseHost(text: string): string {
  if (HOST_NAME.test(text)) return text;
  throw new InvalidArgumentError('Give letters, digits, ".", "-" and "_", first and last a letter or digit.');
}

function parseUnderlay(text: string): string {
  const ip = parseIp(text);
  if (ip !== undefined && isUnderlayAddress(ip)) return formatIp(ip);
  throw new InvalidArgumentError(
    'Give an address of this host that other hosts can reach, such as 192.0.2.10 or 2001:db8::10; all hosts of a cloud have one of the same IP version.',
  );
}

/** Neutron's form. A physical network has one interface, and an interface is on one physical network. */
function parseMappings(text: string): ReadonlyMap<string, string> {
  const mappings = new Map<string, string>();
  for (const one of text.split(',')) {
    const [, name = '', device = ''] = /^([^:]+):([^:]+)$/.exec(one.trim()) ?? [];
    if (Buffer.byteLength(name) > 64 || !/^[^\s/]{1,15}$/.test(device)) {
      throw new InvalidArgumentError(
        'Give NAME:INTERFACE, more of them with commas between, each name of at most 64 bytes, such as physnet1:eth1.',
      );
    }
    if (name === TUNNELLED) throw new InvalidArgumentError(`No physical network can have the name ${TUNNELLED}.`);
    if (mappings.has(name)) throw new InvalidArgumentError(`Physical network ${name} is named twice.`);
    if ([...mappings.values()].includes(device)) {
      throw new InvalidArgumentError(`Interface ${device} is named twice: it is on one physical network.`);
    }
    mappings.set(name, device);
  }
  if (mappings.size > 64) throw new InvalidArgumentError('Give at most 64 physical networks.');
  return mappings;
}

function parseProbeListen(text: string): ProbePlace {
  const place = parseProbePlace(text);
  if (place !== undefined) return place;
  throw new InvalidArgumentError('Give a loopback address and a port, such as 127.0.0.1:9699 or [::1]:9699.');
}

function parseCluster(text: string): string {
  if (isClusterName(text)) return text;
  throw new InvalidArgumentError('Give at most 63 of a to z, 0 to 9 and "-", first and last none of "-".');
}

function parseInterfaces(text: string): readonly string[] {
  const names = text === 'none' ? [] : text.split(',').map((one) => one.trim());
  if (names.length <= 16 && names.every((one) => /^[^\s/]{1,15}$/.test(one))) return [...new Set(names)];
  throw new InvalidArgumentError(
    'Give at most 16 names of interfaces with commas between, such as eth0,eth1, or none.',
  );
}

function addPrefix(text: string, before: readonly string[] = []): readonly string[] {
  const given = [...before, ...text.split(',')];
  if (given.length <= 4 && given.every((one) => parseCidr(one) !== undefined)) return given;
  throw new InvalidArgumentError('Give at most 4 prefixes, such as 198.51.100.0/24.');
}

function parseZone(text: string): string {
  if (isZoneName(text)) return text;
  throw new InvalidArgumentError('Give a name of 1 to 255 characters, none of them a control character.');
}

function parseBandwidthOption(text: string): HostBandwidth {
  return parsedOr(parseBandwidth(text));
}

function parsePacketRateOption(text: string): HostBandwidth {
  return parsedOr(parsePacketRate(text));
}

function parsedOr(parsed: HostBandwidth | string): HostBandwidth {
  if (typeof parsed !== 'string') return parsed;
  throw new InvalidArgumentError(parsed);
}

function addUpstream(text: string, before: readonly (DnsUpstream | 'none')[] = []): readonly (DnsUpstream | 'none')[] {
  const upstream = text === 'none' ? text : parseUpstream(text);
  if (upstream === undefined) {
    throw new InvalidArgumentError(
      'Give an address of a name server, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53, or none.',
    );
  }
  if (before.length > 0 && (upstream === 'none' || before.includes('none'))) {
    throw new InvalidArgumentError('Give either servers or none.');
  }
  return [...before, upstream];
}

function addPath(text: string, before: readonly string[] = []): readonly string[] {
  if (isAbsolute(text) && before.length < 8) return [...before, text];
  throw new InvalidArgumentError('Give at most 8 paths that begin with "/", such as /etc/resolv.conf.');
}

function parseCollector(text: string): CollectorPlace {
  const [, six, four, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const ip = parseIp(six ?? four ?? '');
  const isWritten = ip !== undefined && (ip.version === 6) === (six !== undefined);
  if (isWritten && isMachineAddress(ip) && Number(port) > 0 && Number(port) < 65_536)
    return { address: formatIp(ip), port: Number(port) };
  throw new InvalidArgumentError('Give an address and a port, such as 192.0.2.9:4739 or [2001:db8::9]:4739.');
}

function parseHostOpenPorts(text: string): OpenPorts {
  const ports = parseOpenPorts(text);
  if (typeof ports !== 'string') return ports;
  throw new InvalidArgumentError(ports);
}

function parseTimeouts(text: string): FlowTimeouts {
  const timeouts = parseFlowTimeouts(text);
  if (typeof timeouts !== 'string') return timeouts;
  throw new InvalidArgumentError(timeouts);
}

function parseHttpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.username === '' && url.search === '' && url.hash === '';
  if (isPlain && (url.protocol === 'http:' || url.protocol === 'https:')) return text;
  throw new InvalidArgumentError('Give http://HOST:PORT or https://HOST:PORT, maybe with a path.');
}

function parseHttpsUrl(text: string): string {
  if (URL.canParse(text) && new URL(text).protocol === 'https:') return text;
  throw new InvalidArgumentError('Give https://HOST:PORT.');
}

function parseMtu(text: string): number {
  const bytes = parseUnderlayMtu(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError(`Give a number from ${UNDERLAY_MTU_BYTES.least} to ${UNDERLAY_MTU_BYTES.most}.`);
}
