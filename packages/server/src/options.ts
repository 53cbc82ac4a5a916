import { exitUsage, type LogLevel } from '@cable/kit';
import { type OverlayIpVersion, parseUnderlayMtu, UNDERLAY_MTU_BYTES } from '@cable/model';
import { LIFE_MS } from '@cable/pki';
import { Command, InvalidArgumentError, Option } from 'commander';
import { CONNECTION_LIMITS } from './connections.ts';
import type { DefaultRanges } from './engine/context.ts';
import { EVERY_VNI } from './engine/default-ranges.ts';
import { ADMISSION_LIMITS } from './http/admission.ts';
import type { KeystoneSettings } from './identity/identity.ts';
import { addKeystoneOptions, type KeystoneOptions, keystoneSettingsOf } from './identity/keystone-options.ts';
import { addLimitOptions, type LimitOptions } from './limits/limit-options.ts';
import { isLocal, type ListenAddress, parseListen } from './listen.ts';
import type { DefaultsName } from './policy/rules.ts';
import type { EtcdTlsFiles } from './tls/etcd-tls.ts';
import { filesInDirectory, type ServerTlsFiles } from './tls/server-tls.ts';

/** What the operator asked for on the command line. */
export type CommandLine = {
  readonly store: string;
  /** Undefined: etcd is asked in clear. */
  readonly etcdTls?: EtcdTlsFiles;
  readonly listen: readonly ListenAddress[];
  /** Where protons are served as Gluon served them: every path is below `/proton`. Empty: nowhere. */
  readonly protonListen: readonly ListenAddress[];
  /** Undefined: nothing but loopback and Unix sockets is listened on, without TLS. */
  readonly tls?: ServerTlsFiles;
  /** Directory of the authorities, of which the one of hosts lets hosts join; undefined: they join elsewhere. */
  readonly pki?: string;
  /** How long certificates of hosts are good. */
  readonly hostCertificateMs: number;
  readonly auth: 'noauth' | 'keystone';
  /** Undefined: nobody is asked about tokens. */
  readonly keystone?: KeystoneSettings;
  /** True: Nova is told what is new of the ports of its machines. */
  readonly nova?: true;
  readonly policyDefaults: DefaultsName;
  /** File of the operator's rules; undefined: none. */
  readonly policyFile?: string;
  /** File that gets a line for each write; undefined: none does. */
  readonly auditLog?: string;
  /** Directory of extensions; undefined: none but the built-in ones. */
  readonly extensions?: string;
  readonly underlayMtu: number;
  readonly overlayIpVersion: OverlayIpVersion;
  /** Limits of projects by type. */
  readonly quota: Readonly<Record<string, number>>;
  /** Numbers of which those of new networks are chosen, in place of every VNI; undefined: that. */
  readonly vniRange?: DefaultRanges;
  /** VLANs; undefined: none. */
  readonly vlanRange?: DefaultRanges;
  /** Autonomous system of this cloud; undefined: no host speaks BGP. */
  readonly bgpAs?: number;
  /** When a port is ACTIVE for the Contrail plug-in. */
  readonly contrailPortStatus: 'proof' | 'attached';
  /** What one address and one project may ask. */
  readonly shares: LimitOptions;
  readonly maxWrites: number;
  readonly maxLists: number;
  readonly maxBodyMib: number;
  readonly maxConnections: number;
  readonly logLevel: LogLevel;
};

/** Parses the arguments. Prints and ends the process for --help and for errors, as commander does. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const command = new Command('cable server')
    .description('The control plane: Neutron API, compiler, and the stream to the hosts.')
    .exitOverride(exitUsage)
    .showHelpAfterError('  See what it takes with --help.')
    .option('--store <address>', 'lmdb:DIRECTORY, or etcd:HOST:PORT,HOST:PORT', 'lmdb:/var/lib/cable/store')
    .option(
      '--etcd-ca <file>',
      'authorities of etcd’s members, in PEM; etcd is asked by TLS. Read anew when it changes',
    )
    .option('--etcd-cert <file>', 'certificate of this server that is shown to etcd')
    .option('--etcd-key <file>', 'its key')
    .option('--listen <address>', 'ADDR:PORT or unix:PATH; may be repeated (default: 127.0.0.1:9696)', addListen)
    .option(
      '--proton-listen <address>',
      'as --listen, for clients of Gluon: protons alone, every path below /proton; its port was 2705',
      addListen,
    )
    .addOption(
      new Option(
        '--auth <kind>',
        'how clients on TCP addresses prove who they are; noauth is for addresses of this machine, and for Unix sockets always',
      )
        .choices(['noauth', 'keystone'])
        .default('noauth'),
    )
    .option(
      '--pki <directory>',
      'certificate and authorities of this server as cable pki makes them; TCP addresses speak HTTPS',
    )
    .option('--tls-cert <file>', 'the same with a certificate that was made elsewhere, in PEM with those above it')
    .option('--tls-key <file>', 'its key')
    .option('--tls-ca <file>', 'authorities of clients whose certificates are believed')
    .option('--tls-host-ca <file>', 'authorities of hosts (default: those of --tls-ca)')
    .addOption(
      new Option(
        '--host-certificate-life <time>',
        'how long certificates of hosts are good: 30d, 12h, 90s; they are renewed at two thirds',
      )
        .argParser(parseLife)
        .default(LIFE_MS.host, `${LIFE_MS.host / 86_400_000}d`),
    )
    .addOption(
      new Option(
        '--policy-defaults <set>',
        'rules that are in force where the operator has none: those of Neutron 2026.1, or of Neutron 21, in which scope and roles but admin make no difference',
      )
        .choices(['secure', 'zed'])
        .default('secure'),
    )
    .option(
      '--policy-file <file>',
      'rules in place of those, as policy.yaml has them; read anew when it changes, and on SIGHUP',
    )
    .option(
      '--audit-log <file>',
      'file that gets a line of JSON for each write: who, from where, what was changed; opened anew on SIGHUP',
    )
    .option('--extensions <directory>', 'extensions to load, NAME.json and NAME.mjs; read anew on SIGHUP')
    .option('--underlay-mtu <bytes>', 'largest packet that the hosts’ network carries', parseMtu, 1500)
    .addOption(
      new Option(
        '--overlay-ip-version <version>',
        'IP version of the addresses that hosts tunnel to; one for all hosts',
      )
        .choices(['4', '6'])
        .default('4'),
    )
    .addOption(
      new Option(
        '--quota <type=count>',
        'how many objects of a type, e.g. port, a project may have whose quota is not set; may be repeated',
      )
        .argParser(addQuota)
        .default({}, 'with --auth keystone as Neutron: 100 networks, 500 ports, ...; else any number'),
    )
    .option(
      '--vni-range <min:max>',
      'VNIs of which those of new networks are chosen, 1:16777215 by default; may be repeated',
      addVniRange,
    )
    .option(
      '--vlan-range <physical:min:max>',
      'VLANs of a physical network of which those of new networks are chosen that name none; may be repeated',
      addVlanRange,
    )
    .option(
      '--bgp-as <number>',
      'autonomous system of this cloud, as which hosts of VPNs speak BGP with routers of the provider',
      parseAs,
    )
    .addOption(
      new Option(
        '--contrail-port-status <when>',
        'when a port is ACTIVE for the Contrail plug-in: when its hosts have proved it, or as soon as it is attached to a device',
      )
        .choices(['proof', 'attached'])
        .default('proof'),
    )
    .option(
      '--max-writes <count>',
      'requests that write, worked on at once; more wait a moment, then get 503',
      parseCount(4, 100_000),
      ADMISSION_LIMITS.writes,
    )
    .option(
      '--max-lists <count>',
      'lists that are sent at once; more wait a moment, then get 503',
      parseCount(1, 100_000),
      ADMISSION_LIMITS.lists,
    )
    .option(
      '--max-body-mib <count>',
      'MiB of bodies of requests that are under way; more get 503',
      parseCount(8, 2047),
      ADMISSION_LIMITS.bodyBytes >> 20,
    )
    .option(
      '--max-connections <count>',
      'connections but agents’ streams; beyond, idle ones are closed',
      parseCount(16, 1_000_000),
      CONNECTION_LIMITS.open,
    )
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error', 'silent']).default('info'));
  addKeystoneOptions(addLimitOptions(command)).parse(argv);
  const {
    overlayIpVersion,
    keystone: _file,
    hostCertificateLife,
    ...options
  } = command.opts<
    Omit<
      CommandLine,
      'etcdTls' | 'listen' | 'protonListen' | 'overlayIpVersion' | 'tls' | 'keystone' | 'shares' | 'hostCertificateMs'
    > &
      TlsOptions &
      EtcdOptions & {
        hostCertificateLife: number;
        keystone?: string;
        listen?: readonly ListenAddress[];
        protonListen?: readonly ListenAddress[];
        overlayIpVersion: '4' | '6';
      }
  >();
  const listen = options.listen ?? [{ kind: 'tcp', host: '127.0.0.1', port: 9696 }];
  const protonListen = options.protonListen ?? [];
  const keystone = keystoneSettingsOf(options.auth, command.opts<KeystoneOptions>());
  if (typeof keystone === 'string') return command.error(`error: ${keystone}`);
  const tls = tlsOf(options, (text) => command.error(text));
  const etcdTls = etcdTlsOf(options, (text) => command.error(text));
  const open = tls === undefined ? [...listen, ...protonListen].find((address) => !isLocal(address)) : undefined;
  if (open !== undefined) {
    command.error(
      `error: ${options.auth === 'noauth' ? '--auth noauth believes everybody' : 'tokens can be read on their way'}, so it is refused on an address that others can reach` +
        `${open.kind === 'tcp' ? ` (${open.host})` : ''}: listen on 127.0.0.1, [::1] or unix:PATH, or give the server a certificate (--pki, made by cable pki init; or --tls-cert)`,
    );
  }
  return {
    ...options,
    shares: command.opts<LimitOptions>(),
    ...(tls === undefined ? {} : { tls }),
    ...(etcdTls === undefined ? {} : { etcdTls }),
    ...(keystone === undefined ? {} : { keystone }),
    ...{ listen, protonListen },
    hostCertificateMs: hostCertificateLife,
    overlayIpVersion: overlayIpVersion === '6' ? 6 : 4,
  };
}

type TlsOptions = {
  readonly pki?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsHostCa?: string;
};

function tlsOf(
  { pki, tlsCert, tlsKey, tlsCa, tlsHostCa }: TlsOptions,
  fail: (text: string) => never,
): ServerTlsFiles | undefined {
  const isGiven = [tlsCert, tlsKey, tlsCa, tlsHostCa].some((one) => one !== undefined);
  if (pki !== undefined) {
    if (isGiven) fail('error: give either --pki or --tls-cert, --tls-key and --tls-ca');
    return filesInDirectory(pki);
  }
  if (!isGiven) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    fail('error: --tls-cert and --tls-key go together, and TLS needs both');
  return { own: { cert: tlsCert, key: tlsKey }, ca: tlsCa ?? null, hostsCa: tlsHostCa ?? null };
}

type EtcdOptions = { readonly etcdCa?: string; readonly etcdCert?: string; readonly etcdKey?: string };

function etcdTlsOf(
  { store, etcdCa, etcdCert, etcdKey }: EtcdOptions & Pick<CommandLine, 'store'>,
  fail: (text: string) => never,
): EtcdTlsFiles | undefined {
  if ([etcdCa, etcdCert, etcdKey].every((one) => one === undefined)) return undefined;
  if (!store.startsWith('etcd:'))
    fail(`error: --etcd-ca, --etcd-cert and --etcd-key are for a store in etcd, not for ${store}`);
  if (etcdCa === undefined) fail('error: --etcd-cert goes with --etcd-ca: say whose etcd it may be shown to');
  if ((etcdCert === undefined) !== (etcdKey === undefined)) fail('error: --etcd-cert and --etcd-key go together');
  const own = etcdCert === undefined || etcdKey === undefined ? null : { cert: etcdCert, key: etcdKey };
  return { ca: etcdCa, own };
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** At least ten seconds: renewals take turns. */
function parseLife(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS[unit] ?? 0);
  if (ms >= 10_000 && ms <= 3650 * 86_400_000) return ms;
  throw new InvalidArgumentError('Give a number and a unit, from 10s to 3650d, such as 30d, 12h or 90s.');
}

function addListen(text: string, before: readonly ListenAddress[] | undefined): readonly ListenAddress[] {
  const address = parseListen(text);
  if (address === undefined) throw new InvalidArgumentError('Give ADDR:PORT, [ADDR]:PORT or unix:PATH.');
  return [...(before ?? []), address];
}

function addQuota(text: string, before: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const [, type, count] = /^([a-z][a-z0-9_]*)=(-1|\d{1,9})$/.exec(text) ?? [];
  if (type !== undefined) return { ...before, [type]: Number(count) };
  throw new InvalidArgumentError('Give TYPE=COUNT, e.g. port=500; -1 is any number.');
}

function addVniRange(text: string, before: DefaultRanges | undefined): DefaultRanges {
  const [, minimum, maximum] = /^(\d{1,8}):(\d{1,8})$/.exec(text) ?? [];
  const range = { type: 'vxlan', physical: null, minimum: Number(minimum), maximum: Number(maximum) } as const;
  if (isInOrder(range, 16_777_215)) return [...(before ?? []), range];
  throw new InvalidArgumentError('Give MIN:MAX, from 1 to 16777215, e.g. 1:2000.');
}

function addVlanRange(text: string, before: DefaultRanges | undefined): DefaultRanges {
  const [, physical = '', minimum, maximum] = /^([^:]{1,64}):(\d{1,4}):(\d{1,4})$/.exec(text) ?? [];
  const range = { type: 'vlan', physical, minimum: Number(minimum), maximum: Number(maximum) } as const;
  if (isInOrder(range, 4094)) return [...(before ?? []), range];
  throw new InvalidArgumentError('Give PHYSICAL:MIN:MAX, from 1 to 4094, e.g. physnet1:100:199.');
}

function isInOrder({ minimum, maximum }: DefaultRanges[number], most: number): boolean {
  return minimum >= 1 && minimum <= maximum && maximum <= most;
}

/** The ranges that the options give; undefined: those without options. */
export function segmentRangesOf({ vniRange, vlanRange }: CommandLine): DefaultRanges | undefined {
  if (vniRange === undefined && vlanRange === undefined) return undefined;
  return [...(vniRange ?? EVERY_VNI), ...(vlanRange ?? [])];
}

function parseMtu(text: string): number {
  const bytes = parseUnderlayMtu(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError(`Give a number from ${UNDERLAY_MTU_BYTES.least} to ${UNDERLAY_MTU_BYTES.most}.`);
}

function parseAs(text: string): number {
  const number = /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 0xffff_fffe) return number;
  throw new InvalidArgumentError('Give a number from 1 to 4294967294, e.g. 65000.');
}

/** Reads a whole number from `least` to `most`. */
function parseCount(least: number, most: number): (text: string) => number {
  return (text) => {
    const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (count >= least && count <= most) return count;
    throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
  };
}
