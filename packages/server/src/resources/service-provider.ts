/** Who provides which service of Neutron's: routers are the data plane's own, of the kinds that Neutron has drivers for. */
import type { AnyObject } from '@cable/model';
import type { Contribution } from '../engine/module.ts';

/** What a provider's routers are; undefined: as is asked for, or as it is by default. */
export type RouterProvider = {
  readonly name: string;
  readonly ha?: boolean;
  readonly distributed?: boolean;
};

/**
 * By the driver that a service profile names: ours, whose routers are as they are asked for, and under the names that Neutron's have those of one kind. Services of
 * another API, such as load balancers, list their providers there.
 */
export const ROUTER_PROVIDERS: ReadonlyMap<string, RouterProvider> = new Map([
  ['cable', { name: 'cable' }],
  [driverOf('dvrha.DvrHaDriver'), { name: 'dvrha', ha: true, distributed: true }],
  [driverOf('dvr.DvrDriver'), { name: 'dvr', ha: false, distributed: true }],
  [driverOf('ha.HaDriver'), { name: 'ha', ha: true, distributed: false }],
  [driverOf('single_node.SingleNodeDriver'), { name: 'single_node', ha: false, distributed: false }],
]);

const ROWS: readonly AnyObject[] = Array.from(ROUTER_PROVIDERS.values(), ({ name }) => {
  return { id: name, name, service_type: 'L3_ROUTER_NAT', default: name === 'cable' };
});

export const serviceProviderModule: Contribution<AnyObject> = { rows: () => ROWS };

/** As Neutron's. */
function driverOf(name: string): string {
  return `neutron.services.l3_router.service_providers.${name}`;
}
