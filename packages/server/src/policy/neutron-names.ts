/** Neutron's names of rules, where ours are others: an operator's policy file has Neutron's, of whichever version. */

/** As they are written in full. */
const WHOLE: Readonly<Record<string, string>> = {
  activate: 'activate_port_binding',
  get_rule_type: 'get_qos_rule_type',
  get_subports: 'get_subports_trunk',
  add_subports: 'add_subports_trunk',
  remove_subports: 'remove_subports_trunk',
};

const PARTS: readonly (readonly [RegExp, string])[] = [
  // In Neutron a QoS policy is a policy, and its rules are named with it.
  [/^(create|get|update|delete)_policy(?=:|$)/, '$1_qos_policy'],
  [/^(create|get|update|delete)_policy_(\w+_rule)(?=:|$)/, '$1_qos_$2'],
  [/^(create|get|update|delete)_policies_tags$/, '$1_qos_policies_tags'],
  [/^(create|get|update|delete)_floatingip_port_forwarding(?=:|$)/, '$1_port_forwarding'],
];

/** Our name of a rule that Neutron calls so; the same where there is no other. */
export function nameOfNeutron(name: string): string {
  const whole = Object.hasOwn(WHOLE, name) ? WHOLE[name] : undefined;
  if (whole !== undefined) return whole;
  const part = PARTS.find(([pattern]) => pattern.test(name));
  return part === undefined ? name : name.replace(part[0], part[1]);
}

/** Back: the rule as Neutron calls it, for who reads why he was refused. */
const OURS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(WHOLE).map(([name, own]) => [own, name]),
);

const PARTS_OF_OURS: readonly (readonly [RegExp, string])[] = [
  [/^(create|get|update|delete)_qos_policy(?=:|$)/, '$1_policy'],
  [/^(create|get|update|delete)_qos_(\w+_rule)(?=:|$)/, '$1_policy_$2'],
  [/^(create|get|update|delete)_qos_policies_tags$/, '$1_policies_tags'],
  [/^(create|get|update|delete)_port_forwarding(?=:|$)/, '$1_floatingip_port_forwarding'],
];

/** Neutron's name of one of our rules; the same where there is no other. */
export function neutronNameOf(name: string): string {
  const whole = Object.hasOwn(OURS, name) ? OURS[name] : undefined;
  if (whole !== undefined) return whole;
  const part = PARTS_OF_OURS.find(([pattern]) => pattern.test(name));
  return part === undefined ? name : name.replace(part[0], part[1]);
}
