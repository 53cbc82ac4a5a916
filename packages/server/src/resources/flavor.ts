/** Flavors, the profiles that name their providers, and routers that are made of one. */
import { type AnyObject, CableError, type Flavor, type Router, type ServiceProfile } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Asked, EngineDeps, Planning } from '../engine/context.ts';
import { PROVIDER } from '../engine/hidden.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { permitRead } from '../engine/permission.ts';
import type { Plan } from '../engine/plan.ts';
import { currentRow, notFound } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey, referencesOfType } from '../keys.ts';
import { ROUTER_PROVIDERS, type RouterProvider } from './service-provider.ts';

/** Profiles: what a flavor has does not change under it. */
export const serviceProfileModule: Contribution<AnyObject> = contribute<ServiceProfile>({
  derive: (_planning, given) => {
    checkDriver(given.driver);
    return {};
  },
  change: ({ plan }, before, after) => {
    if (before.driver !== after.driver) checkDriver(after.driver);
    requireNoFlavors(plan, before);
    return {};
  },
  check: (_view, { driver, metainfo }) => {
    if (driver !== '' || metainfo !== '') return;
    throw new CableError('ServiceProfileEmpty', 'Service Profile needs either a driver or metainfo.');
  },
  inUse: (profile) => profileInUse(profile.id),
});

/** Flavors: their profiles. */
export const flavorModule: Contribution<AnyObject> = {
  ...contribute<Flavor>({
    check: (_view, { id, service_profiles: profiles }) => {
      const twice = profiles.find((one, at) => profiles.indexOf(one) !== at);
      if (twice !== undefined) throw bindingExists(twice, id);
    },
    inUse: ({ id }) => new CableError('InUse', `Flavor ${id} is used by some service instance.`, { label: 'Flavor' }),
  }),
  actions: {
    create_flavor_service_profile: async (deps, id, body, asked) => {
      const profile = String(body['id']);
      await rebind(deps, id, asked, 'create_flavor_service_profile', ({ plan }, { service_profiles: profiles }) => {
        if (plan.need('service_profile', profile) === undefined) {
          throw notFound(deps.resources.named('service_profile'), profile);
        }
        return [...profiles, profile];
      });
      return { id: profile };
    },
    delete_flavor_service_profile: async (deps, id, _body, asked, { profile = '' }) => {
      await rebind(deps, id, asked, 'delete_flavor_service_profile', (_planning, { service_profiles: profiles }) => {
        if (!profiles.includes(profile)) throw bindingNotFound(profile, id);
        return profiles.filter((one) => one !== profile);
      });
    },
    get_flavor_next_provider: nextProvider,
  },
};

/**
 * Routers: a flavor that they are made of must name their provider, and both its halves be enabled. They are of the provider's kind. Goes before what says what they are
 * by default.
 */
export const routerFlavorModule: Contribution<AnyObject> = contribute<Router>({
  derive: ({ plan }, given) => {
    const provider = providerOfFlavor(plan, given.flavor_id ?? null);
    if (provider === undefined) return {};
    refuseOther(provider, given);
    const { name, ...kind } = provider;
    return { ...kind, [PROVIDER]: name };
  },
  change: (_planning, before, after) => {
    const provider = providerOfRouter(before);
    for (const key of ['ha', 'distributed'] as const)
      if (provider !== undefined && before[key] !== after[key]) refuseOther(provider, { [key]: after[key] });
    return {};
  },
});

/** The provider that the router has; undefined: none that says anything. */
function providerOfRouter(router: Router): RouterProvider | undefined {
  const name = (router as AnyObject)[PROVIDER];
  return name === undefined ? undefined : [...ROUTER_PROVIDERS.values()].find((one) => one.name === name);
}

/** Its provider; undefined: there is no such flavor, which what refers to it is refused for. Throws when routers cannot be made of it. */
function providerOfFlavor(view: Pick<Plan, 'rely'>, id: string | null): RouterProvider | undefined {
  const flavor = id === null ? undefined : view.rely('flavor', id);
  if (flavor === undefined) return undefined;
  if (flavor.service_type !== 'L3_ROUTER_NAT') {
    throw new CableError(
      'BadRequest',
      `Bad router request: flavor_id: flavor ${id} is of the service ${flavor.service_type}: give one of L3_ROUTER_NAT.`,
    );
  }
  if (!flavor.enabled) throw new CableError('FlavorDisabled', 'Flavor is not enabled.');
  const [first] = flavor.service_profiles;
  return providerOf(flavor.id, first === undefined ? undefined : view.rely('service_profile', first));
}

/** Throws when the profile that counts names no provider. Undefined: the flavor has none. */
function providerOf(flavorId: string, profile: ServiceProfile | undefined): RouterProvider {
  if (profile === undefined) throw bindingNotFound('', flavorId);
  if (!profile.enabled) throw new CableError('ServiceProfileDisabled', 'Service Profile is not enabled.');
  const provider = ROUTER_PROVIDERS.get(profile.driver);
  if (provider === undefined) throw driverNotFound(profile.driver);
  return provider;
}

/** What is asked for and is not the provider's. */
function refuseOther({ name, ...kind }: RouterProvider, asked: Partial<Router>): void {
  for (const key of ['ha', 'distributed'] as const) {
    const [is, wanted] = [kind[key], asked[key]];
    if (is === undefined || wanted === undefined || is === wanted) continue;
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: Provider ${name} does not support ${key}=${wanted ? 'True' : 'False'}.`,
      { detail: 'The provider is that of the router’s flavor.', fields: { attribute: key } },
    );
  }
}

async function nextProvider(...[deps, id, , asked]: Parameters<ActionHandler>): Promise<unknown> {
  const reader = readerOf(deps, asked.credentials);
  const before = (await currentRow(deps, deps.resources.named('flavor'), id, reader)) as unknown as Flavor;
  const { credentials } = asked;
  const deed = { type: 'flavor', action: 'get_flavor_next_provider', before: before as unknown as AnyObject };
  permitRead(deps, { credentials, row: reader.row }, deed);
  const profile = deps.tables.of('service_profile').get(before.service_profiles[0] ?? '');
  return { next_providers: [{ provider: providerOf(id, profile).name, driver: profile?.driver }] };
}

async function rebind(
  deps: EngineDeps,
  id: string,
  asked: Asked,
  action: string,
  change: (planning: Planning, flavor: Flavor) => readonly string[],
): Promise<void> {
  const resource = deps.resources.named('flavor');
  const build = (planning: Planning): void => {
    const row = permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action }));
    planUpdate(planning, resource, row, { service_profiles: change(planning, row as unknown as Flavor) });
  };
  await deps.lock.run([objectKey('flavor', id)], asked, () => transact(deps, asked, build));
}

/** Who has the flavor was promised what its profile says: so no flavor may have it, and none may come meanwhile. */
function requireNoFlavors(plan: Plan, { id }: ServiceProfile): void {
  if (plan.by('flavor', 'service_profiles', id).length > 0) throw profileInUse(id);
  plan.requireEmpty(referencesOfType('service_profile', id, 'flavor'), []);
}

function checkDriver(driver: string | undefined): void {
  if (driver !== undefined && driver !== '' && !ROUTER_PROVIDERS.has(driver)) throw driverNotFound(driver);
}

function driverNotFound(driver: string): CableError {
  return new CableError('ServiceProfileDriverNotFound', `Service Profile driver ${driver} could not be found.`);
}

function profileInUse(id: string): CableError {
  return new CableError('InUse', `Service Profile ${id} is used by some service instance.`, {
    label: 'ServiceProfile',
  });
}

function bindingExists(profile: string, flavor: string): CableError {
  return new CableError(
    'FlavorServiceProfileBindingExists',
    `Service Profile ${profile} is already associated with flavor ${flavor}.`,
  );
}

function bindingNotFound(profile: string, flavor: string): CableError {
  return new CableError(
    'FlavorServiceProfileBindingNotFound',
    `Service Profile ${profile.slice(0, 300)} is not associated with flavor ${flavor}.`,
  );
}
