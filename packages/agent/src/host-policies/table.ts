/**
 * The table of nf_tables that enforces policies for this host, `inet cable-hosts`: what reaches processes of the host, and what they send. What passes through the host
 * (pods, guests, node ports that lead to pods) never comes to it.
 */

import { nameBytes } from '../devices/guard.ts';
import {
  accepted,
  between,
  countedDrop,
  equal,
  goesOn,
  isIn,
  LOCAL,
  META,
  meta,
  NFPROTO,
  type NftElement,
  type NftLooked,
  type NftMap,
  type NftRule,
  type NftTable,
  transport,
} from '../net/nft.ts';
import { addressBytes, outermost, portBytes, words } from '../net/nft-elements.ts';
import { merged, type OpenPorts, type PortRange } from './open-ports.ts';
import type { Direction, ServerPlace, WantedPolicies, WantedRule } from './wanted.ts';

export const HOSTS_TABLE = { family: 'inet', name: 'cable-hosts' } as const;

export const DIRECTIONS = ['ingress', 'egress'] as const;

/** Comments of the rules that count what is dropped. */
export const DROPPED: Readonly<Record<Direction, string>> = {
  ingress: 'ingress: what no policy for hosts lets in',
  egress: 'egress: what no policy for hosts lets out',
};

/** Elements of all sets: some megabytes of the kernel's memory. */
export const MOST_ELEMENTS = 65_536;

/** What the table is about besides the policies. */
export type HostPlace = {
  readonly openPorts: OpenPorts;
  /** Names of this host's links as a node: by these it reaches pods, and they it. */
  readonly nodeLinks: readonly string[];
};

const VERSIONS = [4, 6] as const;
type Version = (typeof VERSIONS)[number];

const CHAINS = { ingress: { name: 'received', at: LOCAL.received }, egress: { name: 'sent', at: LOCAL.sent } } as const;
/** Whose address is the peer's. */
const PEER = { ingress: 'source', egress: 'destination' } as const satisfies Readonly<Record<Direction, NftLooked>>;
const DEVICE = { ingress: META.iifname, egress: META.oifname } as const;

const TCP = 6;
const ICMPV6 = 58;
/** Membership of groups, solicitation and advertisement of routers and neighbours (RFC 2710, RFC 4861), and MLDv2's report (RFC 3810). */
const NEIGHBOURS = { first: 130, last: 136, report: 143 } as const;
/** By IPv4 membership of groups, and what IPsec carries the overlay in. */
const WHOLE_PROTOCOLS = [
  { protocol: 2, what: 'IGMP' },
  { protocol: 50, what: 'ESP' },
  { protocol: 51, what: 'AH' },
] as const;

/** Throws where there are too many addresses. */
export function hostsTable(wanted: WantedPolicies, place: HostPlace): NftTable {
  const directions = DIRECTIONS.filter((one) => wanted.isolated[one]);
  const rules = wanted.rules.filter(({ direction }) => wanted.isolated[direction]);
  const sets = rules.flatMap(setsOf);
  const maps = [
    ...directions.map((one) => portsSet(openSet(one), openPorts(one, wanted, place))),
    ...(wanted.isolated.egress ? VERSIONS.flatMap((version) => fixedSets(wanted, version)) : []),
    ...sets,
  ];
  const size = maps.reduce((sum, { elements = [] }) => sum + elements.length, 0);
  if (size > MOST_ELEMENTS)
    throw new Error(
      `policies for this host name ${size} addresses and ports, and at most ${MOST_ELEMENTS} can be in force`,
    );
  return {
    ...HOSTS_TABLE,
    comment: 'Cable: what policies let reach and leave this host itself',
    maps,
    chains: directions.map((direction) => ({
      ...CHAINS[direction],
      rules: [
        ...alwaysRules(direction, place),
        ...rules.flatMap((rule, at) => (rule.direction === direction ? policyRules(rule, at, place) : [])),
        { comment: DROPPED[direction], expressions: countedDrop() },
      ],
    })),
  };
}

function openPorts(
  direction: Direction,
  { healthPorts }: Pick<WantedPolicies, 'healthPorts'>,
  { openPorts: fixed }: Pick<HostPlace, 'openPorts'>,
): readonly PortRange[] {
  if (direction === 'egress') return fixed.egress;
  return merged([...fixed.ingress, ...healthPorts.map((port) => ({ protocol: TCP, first: port, last: port }))]);
}

/** The same without a refusal: connections are tracked as soon as it is there, so that those which run are known before anything is refused. */
export function trackingTable(): NftTable {
  return {
    ...HOSTS_TABLE,
    comment: 'Cable: connections of this host are seen before policies are in force',
    chains: DIRECTIONS.map((direction) => ({ ...CHAINS[direction], rules: [goingOnRule()] })),
  };
}

function goingOnRule(): NftRule {
  return { comment: 'connections that run, and what is about them', expressions: [...goesOn(), accepted()] };
}

function alwaysRules(direction: Direction, { nodeLinks }: HostPlace): readonly NftRule[] {
  const device = DEVICE[direction];
  return [
    { comment: 'loopback', expressions: [meta(device), equal(nameBytes('lo')), accepted()] },
    goingOnRule(),
    { comment: 'ports that are never closed', expressions: [...isIn(openSet(direction), 4, PORTS), accepted()] },
    {
      comment: 'neighbours, routers and groups by ICMPv6',
      expressions: [
        ...ofIcmpv6(),
        between(Uint8Array.of(NEIGHBOURS.first), Uint8Array.of(NEIGHBOURS.last)),
        accepted(),
      ],
    },
    {
      comment: 'reports of groups by ICMPv6',
      expressions: [...ofIcmpv6(), equal(Uint8Array.of(NEIGHBOURS.report)), accepted()],
    },
    ...WHOLE_PROTOCOLS.map(({ protocol, what }) => ({
      comment: what,
      expressions: [meta(META.l4proto), equal(Uint8Array.of(protocol)), accepted()],
    })),
    ...(direction === 'egress' ? VERSIONS.flatMap((version) => sentRules(version, nodeLinks)) : []),
  ];
}

function ofIcmpv6(): NftRule['expressions'] {
  return [meta(META.l4proto), equal(Uint8Array.of(ICMPV6)), transport(0, 1)];
}

/** What the node must reach. */
function sentRules(version: Version, nodeLinks: readonly string[]): readonly NftRule[] {
  return [
    {
      comment: `IPv${version}: API servers`,
      expressions: [...ofVersion(version), ...isIn(`api-${version}`, version, ['destination', ...PORTS]), accepted()],
    },
    ...nodeLinks.map((link) => ({
      comment: `${link}, IPv${version}: pods of this host`,
      expressions: [
        ...[...ofVersion(version), meta(META.oifname), equal(nameBytes(link))],
        ...[...isIn(`own-${version}`, version, ['destination']), accepted()],
      ],
    })),
  ];
}

function fixedSets({ ownPods, apiServers }: WantedPolicies, version: Version): readonly NftMap[] {
  return [
    {
      name: `api-${version}`,
      key: [...addressOf(version), ...PORTS],
      elements: unique(apiServers.filter(({ address }) => versionOf(address) === version).map(placeElement)),
    },
    hostsSet(`own-${version}`, version, ownPods),
  ];
}

function placeElement({ address, protocol, port }: ServerPlace): NftElement {
  return { key: words(addressBytes(address), Uint8Array.of(protocol), portBytes(port)) };
}

/** Names of the sets of a rule: its number tells them from those of others. */
function setName(at: number, what: 'prefixes' | 'pods' | 'ports', version?: Version): string {
  return `${what}-${at}${version === undefined ? '' : `-${version}`}`;
}

function setsOf({ peers, ports }: WantedRule, at: number): readonly NftMap[] {
  return [
    ...(ports === undefined ? [] : [portsSet(setName(at, 'ports'), ports)]),
    ...(peers === undefined
      ? []
      : VERSIONS.flatMap((version) => [
          prefixesSet(setName(at, 'prefixes', version), version, peers.prefixes),
          hostsSet(setName(at, 'pods', version), version, peers.pods),
        ])),
  ];
}

function policyRules(rule: WantedRule, at: number, { nodeLinks }: HostPlace): readonly NftRule[] {
  const { policyId, direction, peers, ports } = rule;
  const about = `${direction} ${at} of policy ${policyId}`;
  const then = [...(ports === undefined ? [] : isIn(setName(at, 'ports'), 4, PORTS)), accepted()];
  if (peers === undefined) return [{ comment: about, expressions: then }];
  return VERSIONS.flatMap((version) => [
    {
      comment: `${about}, IPv${version}`,
      expressions: [
        ...ofVersion(version),
        ...isIn(setName(at, 'prefixes', version), version, ['protocol', PEER[direction]]),
        ...then,
      ],
    },
    ...nodeLinks.map((link) => ({
      comment: `${about}, IPv${version} pods by ${link}`,
      expressions: [
        ...[...ofVersion(version), meta(DEVICE[direction]), equal(nameBytes(link))],
        ...[...isIn(setName(at, 'pods', version), version, [PEER[direction]]), ...then],
      ],
    })),
  ]);
}

const PORTS = ['protocol', 'port'] as const;

function openSet(direction: Direction): string {
  return `open-${direction}`;
}

function portsSet(name: string, ranges: readonly PortRange[]): NftMap {
  const elements = ranges.map(({ protocol, first, last }) => ({
    key: words(Uint8Array.of(protocol), portBytes(first)),
    end: words(Uint8Array.of(protocol), portBytes(last)),
  }));
  return { name, key: PORTS, hasRanges: true, elements };
}

/** With any protocol: the kernel knows ranges of two things together, and keys of one are put together otherwise. */
function prefixesSet(name: string, version: Version, prefixes: readonly string[]): NftMap {
  const own = prefixes.filter((one) => versionOf(one) === version);
  const elements = outermost(own).map(({ first, last }) => ({
    key: words(Uint8Array.of(0), first),
    end: words(Uint8Array.of(0xff), last),
  }));
  return { name, key: ['protocol', ...addressOf(version)], hasRanges: true, elements };
}

function hostsSet(name: string, version: Version, addresses: readonly string[]): NftMap {
  const own = addresses.filter((one) => versionOf(one) === version);
  return { name, key: addressOf(version), elements: unique(own.map((one) => ({ key: addressBytes(one) }))) };
}

function unique(elements: readonly NftElement[]): readonly NftElement[] {
  return [...new Map(elements.map((one) => [Buffer.from(one.key).toString('hex'), one])).values()];
}

function addressOf(version: Version): readonly ['ipv4' | 'ipv6'] {
  return [version === 4 ? 'ipv4' : 'ipv6'];
}

function ofVersion(version: Version): NftRule['expressions'] {
  return [meta(META.nfproto), equal(Uint8Array.of(version === 4 ? NFPROTO.ipv4 : NFPROTO.ipv6))];
}

function versionOf(text: string): Version {
  return text.includes(':') ? 6 : 4;
}
