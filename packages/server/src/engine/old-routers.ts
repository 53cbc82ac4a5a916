/** Routers of before form 6: what they have been all the time, and did not say. */
import type { AnyObject, Port } from '@cable/model';
import type { Op } from '@cable/store';
import { putObject } from '../object-text.ts';
import { ROUTER_INTERFACE } from '../resources/device-owners.ts';
import { ROUTER_PROVIDERS } from '../resources/service-provider.ts';
import type { EngineDeps } from './context.ts';
import { GATEWAY, PROVIDER } from './hidden.ts';

type Deps = Pick<EngineDeps, 'tables' | 'resources'>;

const KINDS = ['ha', 'distributed'] as const;

/** Routers that do not say their kind, which was what is the default now, or the provider of their flavor, with both. */
export function* silentRouters({ tables, resources }: Deps): Iterable<readonly Op[]> {
  const model = resources.find('router');
  if (model === undefined) return;
  const kinds = KINDS.filter((name) => model.storedAttributes[name] !== undefined);
  const standard = Object.fromEntries(kinds.map((name) => [name, true]));
  for (const router of [...tables.any('router').values()]) {
    const provider = router[PROVIDER] === undefined ? providerOf({ tables, resources }, router) : undefined;
    if (provider === undefined && kinds.every((name) => router[name] !== undefined)) continue;
    yield [
      putObject('router', { ...standard, ...router, ...(provider === undefined ? {} : { [PROVIDER]: provider }) }),
    ];
  }
}

/** Legs that have left the gateway's address and were marked as having it, without the mark. */
export function* strayLegs({ tables, resources }: Deps): Iterable<readonly Op[]> {
  if (resources.find('router') === undefined) return;
  for (const { [GATEWAY]: mark, ...port } of [...tables.any('port').by('device_owner', ROUTER_INTERFACE)]) {
    const fixedIps = port['fixed_ips'] as Port['fixed_ips'];
    const isThere = ({ subnet_id: id, ip_address: address }: Port['fixed_ips'][number]): boolean =>
      tables.any('subnet').get(id)?.['gateway_ip'] === address;
    if (mark === true && !fixedIps.every(isThere)) yield [putObject('port', port as AnyObject)];
  }
}

/** Name of the provider of the router's flavor; undefined: it has none that says anything. */
function providerOf({ tables, resources }: Deps, router: AnyObject): string | undefined {
  const id = router['flavor_id'];
  if (typeof id !== 'string' || resources.find('flavor') === undefined) return undefined;
  const [first = ''] = (tables.any('flavor').get(id)?.['service_profiles'] ?? []) as readonly string[];
  const driver = tables.any('service_profile').get(first)?.['driver'];
  return ROUTER_PROVIDERS.get(String(driver))?.name;
}
