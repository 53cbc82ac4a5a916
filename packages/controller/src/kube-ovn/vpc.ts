/** Kube-OVN's Vpc. */
import { cidrContains, formatCidr, parseCidr, parseIp, parseIpOrCidr } from '@cable/model';
import type { Source } from './source.ts';
import { type Converted, made, some, type World } from './world.ts';

/** Of routes by source, which are policies here: the first one's, and less for each that follows. */
const BY_SOURCE_PRIORITY = 1000;

export function convertVpc(source: Source, world: World): Converted {
  const peers = source.objects('vpcPeerings');
  const links = peers.flatMap(({ localConnectIP }) => parseCidr(String(localConnectIP), true) ?? []);
  const routes = source.objects('staticRoutes').filter(({ nextHopIP }) => {
    const address = parseIp(String(nextHopIP));
    return address === undefined || !links.some((link) => cidrContains(link, address));
  });
  if (routes.length < source.list('staticRoutes').length)
    source.note('staticRoutes', 'those to peers come with the peering, and are left out');
  const bySource = routes.filter(({ policy }) => policy === 'policySrc');
  const spec = {
    ...some('staticRoutes', routes.filter((one) => !bySource.includes(one)).map(routeOf)),
    ...some('policyRoutes', [...policiesOf(source), ...bySource.map(policyOfRoute)]),
    ...some(
      'peerings',
      peers.map((one) => peeringOf(source, world, String(one['remoteVpc']))),
    ),
    ...outsideOf(source, world),
  };
  if (routes.some(({ bfdId, routeTable }) => Boolean(bfdId) || Boolean(routeTable)))
    source.note('staticRoutes', 'bfdId and routeTable are not there');
  if (source.list('namespaces').length > 0)
    source.note(
      'namespaces',
      'a Subnet says which namespaces are bound to it; who may make Subnets in a Vpc says RBAC',
    );
  if (source.text('defaultSubnet') !== '')
    source.note('defaultSubnet', 'a Subnet says which namespaces are bound to it: namespaces');
  return [made(source, world, 'Vpc', spec)];
}

type Row = Readonly<Record<string, unknown>>;

function routeOf({ cidr, nextHopIP }: Row): object {
  return { cidr: prefixOf(cidr), nextHop: String(nextHopIP) };
}

/** A single address is a prefix, too; what is none the API server refuses. */
function prefixOf(given: unknown): string {
  const prefix = parseIpOrCidr(String(given));
  return prefix === undefined ? String(given) : formatCidr(prefix);
}

function policyOfRoute({ cidr, nextHopIP }: Row, at: number): object {
  const priority = BY_SOURCE_PRIORITY - at;
  return { priority, action: 'reroute', source: prefixOf(cidr), nextHop: String(nextHopIP) };
}

/** Their matches are expressions of OVN, of which those are read that a policy route can say. */
function policiesOf(source: Source): readonly object[] {
  return source.objects('policyRoutes').flatMap(({ priority, match, action, nextHopIP }) => {
    const matched = matchOf(String(match));
    if (matched === undefined) {
      source.refuse(
        'policyRoutes',
        `match ${JSON.stringify(match)} says what a policy route here cannot: write it anew`,
      );
      return [];
    }
    const hop = action === 'reroute' ? { nextHop: String(nextHopIP) } : {};
    return [{ priority: Number(priority), action: String(action), ...matched, ...hop }];
  });
}

const FIELDS: Readonly<Record<string, string>> = {
  ...{ 'ip4.src': 'source', 'ip6.src': 'source', 'ip4.dst': 'destination', 'ip6.dst': 'destination' },
};
const PROTOCOLS: Readonly<Record<string, string>> = {
  ...{ tcp: 'tcp', udp: 'udp', sctp: 'sctp', icmp4: 'icmp', icmp6: 'ipv6-icmp', icmp: 'icmp' },
};

/** `ip4.src == 10.0.0.0/24 && tcp && tcp.dst == 80`; undefined: it says something else. */
function matchOf(match: string): object | undefined {
  const found: Record<string, string | number> = {};
  const put = (name: string, value: string | number): boolean => {
    if (found[name] !== undefined && found[name] !== value) return false;
    found[name] = value;
    return true;
  };
  const isRead = match.split('&&').every((part) => {
    const text = part
      .trim()
      .replace(/^\((.*)\)$/, '$1')
      .trim();
    if (text === 'ip4' || text === 'ip6' || text === 'ip') return true;
    const protocol = PROTOCOLS[text];
    if (protocol !== undefined) return put('protocol', protocol);
    const [, field = '', value = ''] = /^([a-z0-9.]+)\s*==\s*([0-9A-Fa-f.:/]+)$/.exec(text) ?? [];
    const side = FIELDS[field];
    if (side !== undefined) return put(side, prefixOf(value));
    const ofPort = /^(tcp|udp|sctp)\.dst$/.exec(field)?.[1];
    if (ofPort === undefined || !/^\d+$/.test(value)) return false;
    return put('protocol', ofPort) && put('portRangeMin', Number(value)) && put('portRangeMax', Number(value));
  });
  return isRead ? found : undefined;
}

/** Each side lets the other one reach its Subnets. */
function peeringOf(source: Source, { of }: World, remote: string): object {
  const subnets = of('Subnet').filter((one) => one.text('vpc') === source.name);
  if (subnets.length === 0)
    source.note('vpcPeerings', `write subnets of the peering with ${remote}: which ones it may reach`);
  return {
    name: remote,
    vpc: { name: remote },
    ...some(
      'subnets',
      subnets.map(({ name }) => name),
    ),
  };
}

function outsideOf(source: Source, { externalNetwork }: World): object {
  if (!source.flag('enableExternal')) return {};
  if (externalNetwork !== undefined) return { externalGateway: { network: externalNetwork } };
  source.note('enableExternal', 'say which network is outside: --external-network NAME, for externalGateway');
  return {};
}
