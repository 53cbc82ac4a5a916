/** `SecurityGroup`: who may talk to the ports in it. */
import { ApiError } from '@cable/api';
import type { AnyObject } from '@cable/model';
import { isRefusal } from '../cable-access.ts';
import { notAdoptable, onlyRow } from './adoption.ts';
import { type Declaration, reference, type Schema } from './definition.ts';
import { groupOf } from './views.ts';
import { type CustomKind, type Described, type Outcome, Unmet, type Work } from './work.ts';

type Rule = {
  readonly ipVersion?: 'ipv4' | 'ipv6';
  readonly protocol?: string;
  readonly portRangeMin?: number;
  readonly portRangeMax?: number;
  readonly remoteAddress?: string;
  readonly remoteSecurityGroup?: string;
  readonly description?: string;
};

type Spec = {
  readonly description?: string;
  readonly ingressRules?: readonly Rule[];
  readonly egressRules?: readonly Rule[];
  readonly allowSameGroupTraffic?: boolean;
};

const RULE: Schema = {
  type: 'object',
  description: 'One kind of traffic that is allowed; what is not said is any.',
  properties: {
    ipVersion: {
      ...{ type: 'string', enum: ['ipv4', 'ipv6'] },
      description: 'The version of IP; absent: ipv4.',
    },
    protocol: {
      ...{ type: 'string', minLength: 1, maxLength: 40 },
      description: 'Name or IANA number, such as tcp, udp, sctp, icmp, ipv6-icmp; absent: any.',
    },
    portRangeMin: {
      ...{ type: 'integer', minimum: 0, maximum: 65535 },
      description: 'First port, or type of ICMP; absent: any.',
    },
    portRangeMax: {
      ...{ type: 'integer', minimum: 0, maximum: 65535 },
      description: 'Last port, or code of ICMP; of a protocol with ports given with portRangeMin.',
    },
    remoteAddress: { type: 'string', maxLength: 49, description: 'Address or prefix of the other side.' },
    remoteSecurityGroup: reference(
      'The other side’s group: a SecurityGroup of the namespace, or name or ID of a group that its project sees.',
    ),
    description: { type: 'string', maxLength: 255, description: 'A text for people.' },
  },
  'x-kubernetes-validations': [
    {
      rule: '!(has(self.remoteAddress) && has(self.remoteSecurityGroup))',
      message: 'give remoteAddress or remoteSecurityGroup, not both',
    },
  ],
};

/** Of each direction. */
const RULES_MAX = 500;

const DECLARED: Declaration = {
  ...{ kind: 'SecurityGroup', plural: 'securitygroups', singular: 'securitygroup', shortNames: ['sg'] },
  description: 'A set of rules that ports share: what none of a port’s groups allows is dropped.',
  spec: {
    type: 'object',
    description: 'What ports in it may receive and send.',
    properties: {
      description: { type: 'string', maxLength: 255, description: 'A text for people.' },
      ingressRules: {
        ...{ type: 'array', maxItems: RULES_MAX, items: RULE },
        description: 'What ports in it may receive; absent: nothing.',
      },
      egressRules: {
        ...{ type: 'array', maxItems: RULES_MAX, items: RULE },
        description: 'What they may send; absent: everything, an empty list: nothing.',
      },
      allowSameGroupTraffic: {
        type: 'boolean',
        description: 'True: they may also receive what others of the group send.',
      },
    },
  },
  status: { rules: { type: 'integer', minimum: 0, description: 'How many rules Cable has of it.' } },
  columns: [{ name: 'Rules', type: 'integer', jsonPath: '.status.rules' }],
};

const EVERYTHING: readonly Rule[] = [{ ipVersion: 'ipv4' }, { ipVersion: 'ipv6' }];

export const securityGroupKind: CustomKind = {
  ...{ declared: DECLARED, types: ['security_group'], apply },
  adoptable: { types: ['security_group'], describe },
};

async function apply(work: Work): Promise<Outcome> {
  const spec = work.spec<Spec>();
  const group = await work.ensure('security_group', {
    wanted: { name: work.name, description: spec.description ?? '' },
  });
  const same = spec.allowSameGroupTraffic === true ? EVERYTHING : [];
  const { ingressRules = [], egressRules = EVERYTHING } = spec;
  const { remotes, missing } = await remotesOf(work, group.id, [...ingressRules, ...egressRules]);
  const wanted = [
    ...bodiesOf(remotes, group.id, 'ingress', ingressRules),
    ...same.map((one) => ({ ...bodyOf(group.id, 'ingress', one), remote_group_id: group.id })),
    ...bodiesOf(remotes, group.id, 'egress', egressRules),
  ];
  const there = group['security_group_rules'] as readonly AnyObject[];
  const known = new Map(there.map((one) => [meaningOf(one), one]));
  const meant = new Map(wanted.map((one) => [meaningOf(one), one]));
  const kept = new Set([...known].flatMap(([meaning, { id }]) => (meant.has(meaning) ? [id] : [])));
  // What is added comes first: nothing that stays allowed is cut in between. One that is refused keeps none that is wanted no more.
  const again: [string, Readonly<Record<string, unknown>>][] = [];
  let refused: unknown = missing;
  for (const [meaning, one] of meant) {
    if (known.has(meaning)) continue;
    try {
      const id = await addRule(work, meaning, one);
      if (id === undefined) again.push([meaning, one]);
      else kept.add(id);
    } catch (err) {
      if (!isRefusal(err)) throw err;
      refused ??= err;
    }
  }
  // A group that is not known yet may be that of a rule which is there.
  const isAwaited = (one: AnyObject): boolean => missing !== undefined && (one['remote_group_id'] ?? null) !== null;
  for (const one of there)
    if (!kept.has(one.id) && !isAwaited(one)) await work.client.delete('security_group_rule', one.id);
  // One that said the same in other words may have been among those.
  for (const [meaning, one] of again) await addRule(work, meaning, one);
  if (refused !== undefined) throw refused;
  return { id: group.id, projectId: work.projectId, status: { rules: meant.size } };
}

async function describe(_work: Work, rows: readonly AnyObject[]): Promise<Described> {
  const row = onlyRow(rows);
  const rules = row['security_group_rules'] as readonly AnyObject[];
  if (rules.some((one) => (one['remote_address_group_id'] ?? null) !== null))
    throw notAdoptable('it has a rule about an address group');
  for (const direction of ['ingress', 'egress'])
    if (rules.filter((one) => one['direction'] === direction).length > RULES_MAX)
      throw notAdoptable(`it has more than ${RULES_MAX} rules of ${direction}`);
  return groupOf(row).spec;
}

/** ID of the rule: the same for the same words, however the server writes them. Undefined: there is another one that says the same. */
async function addRule(
  work: Work,
  meaning: string,
  rule: Readonly<Record<string, unknown>>,
): Promise<string | undefined> {
  try {
    return (await work.client.create('security_group_rule', rule, work.keyOf(meaning))).id;
  } catch (err) {
    if (err instanceof ApiError && err.type === 'SecurityGroupRuleExists') return undefined;
    throw err;
  }
}

/** IDs of groups that rules name, by name: each is asked for once, however many rules name it. `missing`: why one of them is not there. */
async function remotesOf(
  work: Work,
  groupId: string,
  rules: readonly Rule[],
): Promise<{ readonly remotes: ReadonlyMap<string, string>; readonly missing?: Unmet }> {
  const names = new Set(rules.flatMap(({ remoteSecurityGroup: remote }) => remote ?? []));
  const others = [...names].filter((name) => name !== work.name);
  const refer = (some: readonly string[]) => work.referAll('SecurityGroup', 'security_group', some);
  const own: readonly [string, string] = [work.name, groupId];
  try {
    return { remotes: new Map([...(await refer(others)), own]) };
  } catch (err) {
    if (!(err instanceof Unmet)) throw err;
    const found = new Map([own]);
    for (const name of others) {
      const [one] = await refer([name]).catch((why: unknown) => {
        if (why instanceof Unmet) return [];
        throw why;
      });
      if (one !== undefined) found.set(...one);
    }
    return { remotes: found, missing: err };
  }
}

function bodiesOf(
  remotes: ReadonlyMap<string, string>,
  groupId: string,
  direction: string,
  rules: readonly Rule[],
): readonly Readonly<Record<string, unknown>>[] {
  return rules.flatMap((rule) => {
    const body = bodyOf(groupId, direction, rule);
    const { remoteSecurityGroup: remote } = rule;
    if (remote === undefined) return [body];
    const id = remotes.get(remote);
    // Without it the rule would be about everybody.
    return id === undefined ? [] : [{ ...body, remote_group_id: id }];
  });
}

function bodyOf(groupId: string, direction: string, rule: Rule): Readonly<Record<string, unknown>> {
  return {
    ...{ security_group_id: groupId, direction, ethertype: rule.ipVersion === 'ipv6' ? 'IPv6' : 'IPv4' },
    protocol: rule.protocol ?? null,
    port_range_min: rule.portRangeMin ?? null,
    port_range_max: rule.portRangeMax ?? null,
    remote_ip_prefix: rule.remoteAddress ?? null,
    remote_group_id: null,
    description: rule.description ?? '',
  };
}

/** The same for rules that say the same. */
function meaningOf(rule: Readonly<Record<string, unknown>>): string {
  const names = [
    ...['direction', 'ethertype', 'protocol', 'port_range_min', 'port_range_max'],
    ...['remote_ip_prefix', 'remote_group_id', 'description'],
  ];
  return JSON.stringify(names.map((name) => rule[name] ?? null));
}
