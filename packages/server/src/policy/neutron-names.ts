/** Neutron's names of rules, where ours are others: an operator's policy file has Neutron's, of whichever version. */

/** As they are written in full: Neutron's, ours. */
const WHOLE: readonly (readonly [string, string])[] = [
  ['activate', 'activate_port_binding'],
  ['get_rule_type', 'get_qos_rule_type'],
  ['get_subports', 'get_subports_trunk'],
  ['add_subports', 'add_subports_trunk'],
  ['remove_subports', 'remove_subports_trunk'],
];

/** What follows the verb, Neutron's and ours, and what may stand behind it; `*` is any word, the same in both. In Neutron a QoS policy is a policy, and its rules are named with it. */
const PARTS: readonly (readonly [string, string, RegExp])[] = [
  ['policy', 'qos_policy', /(?=:|$)/],
  ['policy_*_rule', 'qos_*_rule', /(?=:|$)/],
  ['policies_tags', 'qos_policies_tags', /$/],
  ['floatingip_port_forwarding', 'port_forwarding', /(?=:|$)/],
];

type Names = {
  readonly whole: ReadonlyMap<string, string>;
  readonly parts: readonly (readonly [RegExp, string])[];
};

function namesFrom(from: 0 | 1, to: 0 | 1): Names {
  return {
    whole: new Map(WHOLE.map((names) => [names[from], names[to]])),
    parts: PARTS.map((names) => [
      new RegExp(`^(create|get|update|delete)_${names[from].replace('*', '(\\w+)')}${names[2].source}`),
      `$1_${names[to].replace('*', '$$2')}`,
    ]),
  };
}

const [OURS, NEUTRONS] = [namesFrom(0, 1), namesFrom(1, 0)];

/** Our name of a rule that Neutron calls so; the same where there is no other. */
export function nameOfNeutron(name: string): string {
  return translated(OURS, name);
}

/** Back: Neutron's name of one of our rules, for who reads why he was refused; the same where there is no other. */
export function neutronNameOf(name: string): string {
  return translated(NEUTRONS, name);
}

function translated({ whole, parts }: Names, name: string): string {
  const known = whole.get(name);
  if (known !== undefined) return known;
  const part = parts.find(([pattern]) => pattern.test(name));
  return part === undefined ? name : name.replace(part[0], part[1]);
}
