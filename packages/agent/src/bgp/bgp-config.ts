/** What FRR's bgpd is told for the VPNs of this host. Pure: of equal VPNs it is the same text. */
import { createHash } from 'node:crypto';
import { overlayIpVersion, type VpnBgp, type VpnHeader, type VpnNeighbor } from '@cable/model';

/** A VPN as this host tells of it: `prefixes`: addresses of its ports here, as CIDRs. */
export type SpokenVpn = Pick<VpnHeader, 'id' | 'label' | 'routeDistinguisher' | 'importTargets' | 'exportTargets'> & {
  readonly prefixes: readonly string[];
};

/** What this host says by BGP, and to whom. `underlay`: its own address. */
export type BgpSpeaker = VpnBgp & { readonly underlay: string; readonly vpns: readonly SpokenVpn[] };

/** Routes that a neighbour may tell, of each family; more end its session for `RESTART_MINUTES`. */
export const NEIGHBOR_ROUTES_MAX = 4096;
const RESTART_MINUTES = 5;
/** Marks what is this host's own: a tag is no part of what neighbours say. */
const OWN_TAG = 6635;

/**
 * A configuration. `base`: what takes a new bgpd to change. The rest is commands, each with the ones that lead to it: any of them may come and go while it runs, those of `targets` after which what
 * neighbours said must be looked at anew.
 */
export type BgpConfig = {
  readonly base: string;
  readonly targets: readonly string[];
  readonly maps: readonly string[];
  readonly networks: readonly BgpNetwork[];
};

/** `family`: the address family; `line`: the command; `undo`: what takes it back, after `no`. */
export type BgpNetwork = { readonly family: 'ipv4 vpn' | 'ipv6 vpn'; readonly line: string; readonly undo: string };

const FAMILIES = ['ipv4 vpn', 'ipv6 vpn'] as const;

export function bgpConfig(speaker: BgpSpeaker): BgpConfig {
  const { vpns } = speaker;
  return {
    base: baseOf(speaker),
    targets: sorted(vpns.flatMap(({ importTargets }) => importTargets)),
    maps: sorted(vpns.filter(({ exportTargets }) => exportTargets.length > 0).map((vpn) => targetsText(vpn))),
    networks: vpns.flatMap(networksOf).sort((a, b) => (`${a.family} ${a.line}` < `${b.family} ${b.line}` ? -1 : 1)),
  };
}

/** The whole configuration as a file. */
export function configText(speaker: Pick<BgpSpeaker, 'localAs'>, config: BgpConfig): string {
  const lines = [
    ...config.targets.map(targetLine),
    ...config.maps.flatMap((targets) => mapLines(targets)),
    config.base,
    ...FAMILIES.flatMap((family) => [
      `router bgp ${speaker.localAs}`,
      ` address-family ${family}`,
      ...config.networks.flatMap((one) => (one.family === family ? `  ${one.line}` : [])),
      ' exit-address-family',
      'exit',
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Commands that make one configuration of another with the same `base`; none: they are equal. What is no longer said goes first. */
export function configChanges(
  speaker: Pick<BgpSpeaker, 'localAs'>,
  before: BgpConfig,
  after: BgpConfig,
): readonly string[] {
  const had = new Set(before.networks.map(({ family, line }) => `${family} ${line}`));
  const has = new Set(after.networks.map(({ family, line }) => `${family} ${line}`));
  const networks = FAMILIES.flatMap((family) => {
    const of = (list: readonly BgpNetwork[], others: ReadonlySet<string>): BgpNetwork[] =>
      list.filter((one) => one.family === family && !others.has(`${family} ${one.line}`));
    const lines = [
      ...of(before.networks, has).map(({ undo }) => `no ${undo}`),
      ...of(after.networks, had).map(({ line }) => line),
    ];
    return lines.length === 0
      ? []
      : [`router bgp ${speaker.localAs}`, `address-family ${family}`, ...lines, 'exit', 'exit'];
  });
  const newMaps = after.maps
    .filter((one) => !before.maps.includes(one))
    .flatMap((targets) => [...mapLines(targets), 'exit']);
  const oldMaps = before.maps
    .filter((one) => !after.maps.includes(one))
    .map((targets) => `no route-map ${mapName(targets)}`);
  const targets = [
    ...after.targets.filter((one) => !before.targets.includes(one)).map(targetLine),
    ...before.targets.filter((one) => !after.targets.includes(one)).map((one) => `no ${targetLine(one)}`),
  ];
  return [...newMaps, ...networks, ...oldMaps, ...targets];
}

function baseOf({ localAs, neighbors, underlay }: BgpSpeaker): string {
  const inOrder = [...neighbors].sort((a, b) => (a.address < b.address ? -1 : 1));
  return [
    'frr defaults traditional',
    'hostname cable',
    'route-map CABLE-IN permit 10',
    ' match extcommunity CABLE-TARGETS',
    'exit',
    'route-map CABLE-OUT permit 10',
    ` match tag ${OWN_TAG}`,
    'exit',
    `router bgp ${localAs}`,
    ` bgp router-id ${routerId(underlay)}`,
    ' no bgp default ipv4-unicast',
    ' no bgp ebgp-requires-policy',
    ...inOrder.flatMap((one) => neighborLines(one, underlay)),
    ...FAMILIES.flatMap((family) => [
      ` address-family ${family}`,
      ...inOrder.flatMap(({ address }) => familyLines(address)),
      ' exit-address-family',
    ]),
    'exit',
  ].join('\n');
}

function neighborLines({ address, as }: VpnNeighbor, underlay: string): readonly string[] {
  const neighbor = ` neighbor ${address}`;
  return [
    `${neighbor} remote-as ${as}`,
    `${neighbor} update-source ${underlay}`,
    `${neighbor} disable-connected-check`,
    `${neighbor} timers 10 30`,
    `${neighbor} timers connect 5`,
  ];
}

function familyLines(address: string): readonly string[] {
  const neighbor = `  neighbor ${address}`;
  return [
    `${neighbor} activate`,
    `${neighbor} send-community extended`,
    `${neighbor} route-map CABLE-IN in`,
    `${neighbor} route-map CABLE-OUT out`,
    `${neighbor} maximum-prefix ${NEIGHBOR_ROUTES_MAX} restart ${RESTART_MINUTES}`,
  ];
}

function networksOf(vpn: SpokenVpn): readonly BgpNetwork[] {
  if (vpn.exportTargets.length === 0) return [];
  return vpn.prefixes.map((prefix) => {
    const undo = `network ${prefix} rd ${vpn.routeDistinguisher} label ${vpn.label}`;
    const family = prefix.includes(':') ? 'ipv6 vpn' : 'ipv4 vpn';
    return { family, undo, line: `${undo} route-map ${mapName(targetsText(vpn))}` };
  });
}

function targetsText({ exportTargets }: SpokenVpn): string {
  return sorted(exportTargets).join(' ');
}

function targetLine(target: string): string {
  return `bgp extcommunity-list standard CABLE-TARGETS permit rt ${target}`;
}

function mapLines(targets: string): readonly string[] {
  return [`route-map ${mapName(targets)} permit 10`, ` set extcommunity rt ${targets}`, ` set tag ${OWN_TAG}`];
}

/** Named by what it sets: bgpd does not look at a network's map again when that changes. */
function mapName(targets: string): string {
  return `CABLE-${createHash('sha256').update(targets).digest('hex').slice(0, 16)}`;
}

/** An IPv4 address is one; of IPv6 the hash. */
function routerId(underlay: string): string {
  if (overlayIpVersion(underlay) === 4) return underlay;
  const [a = 0, b = 0, c = 0, d = 0] = createHash('sha256').update(underlay).digest();
  return `${(a & 0x7f) | 1}.${b}.${c}.${d}`;
}

function sorted(list: readonly string[]): readonly string[] {
  return [...new Set(list)].sort();
}
