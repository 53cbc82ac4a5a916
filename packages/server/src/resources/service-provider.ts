/** Who provides which service of Neutron's: routers are the data plane's own. */
import type { AnyObject } from '@cable/model';
import type { Contribution } from '../engine/module.ts';

/** What routers are provided by. Services of another API, such as load balancers, list their providers there. */
export const ROUTER_PROVIDER = 'cable';

const PROVIDERS: readonly AnyObject[] = [
  { id: ROUTER_PROVIDER, name: ROUTER_PROVIDER, service_type: 'L3_ROUTER_NAT', default: true },
];

export const serviceProviderModule: Contribution<AnyObject> = { rows: () => PROVIDERS };
