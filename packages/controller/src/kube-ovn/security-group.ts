/** Kube-OVN's SecurityGroup, whose rules have an order and may deny. Here rules allow, and what none allows is dropped. */
import type { Source } from './source.ts';
import { type Converted, made, some, type World } from './world.ts';

type Row = Readonly<Record<string, unknown>>;

export function convertSecurityGroup(source: Source, world: World): Converted {
  const rules = { ingressRules: rulesOf(source, 'ingressRules'), egressRules: rulesOf(source, 'egressRules') };
  if (rules.ingressRules === undefined || rules.egressRules === undefined) return [];
  const spec = {
    ...some('ingressRules', rules.ingressRules),
    // Absent it means nothing there, and everything here.
    egressRules: rules.egressRules,
    ...(source.flag('allowSameGroupTraffic') ? { allowSameGroupTraffic: true } : {}),
  };
  source.skip('tier');
  if (world.namespaces.length > 1 && [...rules.ingressRules, ...rules.egressRules].some(isOfGroup))
    source.note('', 'each namespace has a group of its own: remoteSecurityGroup means the pods of that namespace');
  return world.namespaces.map((one) => made(source, world, 'SecurityGroup', spec, one));
}

function isOfGroup(rule: object): boolean {
  return 'remoteSecurityGroup' in rule;
}

/** Undefined: they cannot be said, which is refused. A rule that would allow more than it did is left out. */
function rulesOf(source: Source, field: 'ingressRules' | 'egressRules'): readonly object[] | undefined {
  const rows = source.objects(field).toSorted((a, b) => Number(a['priority']) - Number(b['priority']));
  const firstDeny = rows.findIndex(({ policy }) => policy !== 'allow');
  if (firstDeny >= 0 && rows.slice(firstDeny).some(({ policy }) => policy === 'allow')) {
    const first = rows[firstDeny];
    source.refuse(
      field,
      `the rule of priority ${first?.['priority']} is ${first?.['policy']}, and others behind it allow: rules here allow, all of them; write what is left, or a ClusterNetworkPolicy that denies`,
    );
    return undefined;
  }
  return rows
    .filter(({ policy }) => policy === 'allow')
    .flatMap((row) => {
      const lost = ['localAddress', 'sourcePortRangeMin', 'sourcePortRangeMax'].filter((name) => Boolean(row[name]));
      if (lost.length === 0) return [ruleOf(row)];
      source.refuse(
        field,
        `the rule of priority ${row['priority']} is left out: ${lost.join(', ')} cannot be said here`,
      );
      return [];
    });
}

function ruleOf(row: Row): object {
  const { ipVersion, protocol, remoteType, remoteAddress, remoteSecurityGroup, portRangeMin, portRangeMax } = row;
  const hasPorts = protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp';
  const remote =
    remoteType === 'securityGroup'
      ? { remoteSecurityGroup: String(remoteSecurityGroup) }
      : { ...(remoteAddress === undefined || remoteAddress === '' ? {} : { remoteAddress: String(remoteAddress) }) };
  return {
    ...(ipVersion === undefined ? {} : { ipVersion }),
    ...(protocol === undefined || protocol === 'all' ? {} : { protocol: protocolOf(String(protocol), ipVersion) }),
    ...(hasPorts && Number(portRangeMin) > 0
      ? { portRangeMin: Number(portRangeMin), portRangeMax: Number(portRangeMax) }
      : {}),
    ...remote,
  };
}

function protocolOf(protocol: string, ipVersion: unknown): string {
  return protocol === 'icmp' && ipVersion === 'ipv6' ? 'ipv6-icmp' : protocol;
}
