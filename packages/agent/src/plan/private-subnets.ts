/** Private subnets in the structure of network policies: to who is in none of their prefixes everything is denied (docs/design/private-subnets.md). */
import { formatCidr, type IpPrefix, type PrivateSubnet, parseCidr } from '@cable/model';
import { parsePrefix } from './address.ts';
import { idOf } from './inputs.ts';
import { networkPolicyMatches, type RuleMatch } from './policy-rules.ts';
import { cutPrefix } from './prefix-cut.ts';

/** A private subnet, as classes are judged by it: of all addresses of its version of IP it lets through its peers. Both are names of selectors. */
export type Keeper = {
  readonly everybody: string;
  readonly peers: string;
  /** What it says to the others. */
  readonly denies: readonly RuleMatch[];
};

/** A selector without rules: addresses in it get a class. */
type Listed = { readonly name: string; readonly groupIds: readonly string[]; readonly prefixes: readonly string[] };

/** Behind what the node's addresses have, and before any policy of a cluster. */
const FIRST = '!';

export function keeperOf({ subnetId, ipVersion, peers, legs }: PrivateSubnet): {
  readonly keeper: Keeper;
  readonly selectors: readonly Listed[];
} {
  const step = { tier: 'admin', order: `${FIRST}${subnetId}`, action: 'deny' } as const;
  const denies = (['ingress', 'egress'] as const).flatMap((direction) =>
    networkPolicyMatches({ policyId: subnetId, direction, ...step }, ipVersion),
  );
  const keeper = { everybody: `private:ipv${ipVersion}`, peers: `private:${subnetId}`, denies };
  return {
    keeper,
    selectors: [
      { name: keeper.everybody, groupIds: [], prefixes: EVERYBODY[ipVersion].flatMap(orderOf) },
      { name: keeper.peers, groupIds: legs === undefined ? [] : [idOf(legs)], prefixes: peers.flatMap(orderOf) },
    ],
  };
}

/** What private subnets say to addresses that are in these selectors; to those that are in none, which have no class, too. */
export function deniedBy(keepers: readonly Keeper[], selectors: readonly string[]): readonly RuleMatch[] {
  return keepers.flatMap(({ peers, denies }) => (selectors.includes(peers) ? [] : denies));
}

/** Does a private subnet keep them out, of the version of IP that they are of? */
export function isKeptOut(keepers: readonly Keeper[], selectors: readonly string[]): boolean {
  return keepers.some(({ everybody, peers }) => selectors.includes(everybody) && !selectors.includes(peers));
}

/** All addresses of a version of IP; those of IPv6 without what stands for IPv4 in the 128-bit form. */
const EVERYBODY: Readonly<Record<4 | 6, readonly string[]>> = { 4: ['0.0.0.0/0'], 6: withoutIpv4() };

function withoutIpv4(): readonly string[] {
  const [all, ipv4] = [parseCidr('::/0'), parseCidr('::ffff:0:0/96')] as const;
  return cutPrefix(all as IpPrefix, [ipv4 as IpPrefix]).map(formatCidr);
}

function orderOf(cidr: string): readonly string[] {
  const prefix = parsePrefix(cidr);
  return prefix === undefined ? [] : [prefix.order];
}
