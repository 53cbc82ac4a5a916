/** Why Cable does not pass what a stock neutron-server passes of Tempest. */

type Skip = {
  /** As Tempest says it. */
  readonly said: RegExp;
  readonly reason: string;
};

/** Aliases that Cable does not list. */
const SKIPS: readonly Skip[] = [
  { said: /metering extension not enabled/, reason: 'docs/design/openstack.md: nothing counts by router and prefix' },
  {
    said: /l3-conntrack-helper extension not enabled/,
    reason: 'docs/design/openstack.md: headers alone are looked at',
  },
  { said: /l3-ndp-proxy extension not enabled/, reason: 'docs/design/openstack.md: not built' },
  { said: /local_ip extension not enabled/, reason: 'docs/design/openstack.md: not built' },
  { said: /dhcp_agent_scheduler extension not enabled/, reason: 'docs/design/agents.md: nothing is scheduled' },
];

/** Tests of what Cable does in another way on purpose. */
const DIFFERENT: Readonly<Record<string, string>> = {
  'neutron_tempest_plugin.api.admin.test_ports.PortTestCasesResourceRequest.test_port_resource_request_no_provider_net_conflict':
    'docs/design/qos.md: bandwidth is promised on tunnelled networks, too, as by Neutron since 2023.1',
};

/** Why this test does not pass; undefined: nobody has said why. `said`: what Tempest says of a test that was skipped. */
export function reasonOf(test: string, said: string | undefined): string | undefined {
  return DIFFERENT[test] ?? SKIPS.find((skip) => said !== undefined && skip.said.test(said))?.reason;
}
