/** Why Tempest skips what a stock neutron-server passes: an alias that Cable does not list, with the reason. */

type Skip = {
  /** As Tempest says it. */
  readonly said: RegExp;
  readonly reason: string;
};

const SKIPS: readonly Skip[] = [
  { said: /metering extension not enabled/, reason: 'docs/design/openstack.md: nothing counts by router and prefix' },
  {
    said: /l3-conntrack-helper extension not enabled/,
    reason: 'docs/design/openstack.md: headers alone are looked at',
  },
  { said: /l3-ndp-proxy extension not enabled/, reason: 'docs/design/openstack.md: not built' },
  { said: /local_ip extension not enabled/, reason: 'docs/design/openstack.md: not built' },
  {
    said: /single_node\.SingleNodeDriver is not available/,
    reason: 'docs/design/agents.md: routers have one provider, which is not one of neutron-server’s drivers',
  },
];

/** Undefined: nobody has said why this is skipped. */
export function skipReason(said: string): string | undefined {
  return SKIPS.find((skip) => skip.said.test(said))?.reason;
}
