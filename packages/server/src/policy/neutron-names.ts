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
