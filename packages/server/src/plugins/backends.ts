/** What each back end can do, and what flavors there are: made from the rows of plug-ins. */

import type { Plugin } from '@cable/model';
import { type Capabilities, type FlavorSaid, isFields, parseCapabilities } from '@cable/plugin/contract';

/** Who realises what no plug-in owns. */
export const VROUTER = 'vrouter';

/** A back end that objects can be placed on. */
export type Backend = {
  readonly name: string;
  readonly state: Plugin['state'];
  readonly reason: string | null;
  readonly capabilities: Capabilities;
};

type FlavorNames = 'overlay' | 'vlan' | 'flat' | 'l3vpn';

/** Those that are shipped. */
export const SHIPPED_FLAVORS: Readonly<Record<FlavorNames, FlavorSaid>> = {
  overlay: {
    description: 'In tunnels between hosts, of whatever kind the back end has.',
    ...{ resources: ['network', 'router'], networkTypes: ['vxlan', 'geneve', 'gre'] },
  },
  vlan: {
    description: 'A VLAN of a physical network.',
    ...{ resources: ['network'], networkTypes: ['vlan'] },
  },
  flat: {
    description: 'A physical network without a tag.',
    ...{ resources: ['network'], networkTypes: ['flat'] },
  },
  l3vpn: {
    description: 'Routes between sites in a VPN of layer 3; only where a back end has it.',
    ...{ resources: ['network', 'router'], networkTypes: ['l3vpn'] },
  },
};

/** The built-in one: it is not asked, since slices are compiled of the same rows. */
export const BUILT_IN: Backend = {
  ...{ name: VROUTER, state: 'Ready', reason: null },
  capabilities: {
    ...{ version: '1', instance: '', zones: [], extensions: [], limits: {} },
    resources: Object.fromEntries(
      ['network', 'subnet', 'address_group', 'security_group', 'router', 'port', 'floatingip'].map((name) => {
        return [name, ['create', 'update', 'delete']];
      }),
    ),
    networkTypes: ['vxlan', 'vlan', 'flat'],
    vifTypes: ['tap', 'bridge', 'other'],
    flavors: {},
    features: { composite: false },
  },
};

const parsed = new WeakMap<Plugin, Backend | null>();

/** Null: it was not registered yet, so nothing is known of it. */
export function backendOf(plugin: Plugin): Backend | null {
  const known = parsed.get(plugin);
  if (known !== undefined) return known;
  const { name, state, problem: reason } = plugin;
  const said = parseCapabilities(plugin.capabilities);
  const limits = plugin.limits as Capabilities['limits'];
  const made = said.ok ? { name, state, reason, capabilities: { ...said.value, limits } } : null;
  parsed.set(plugin, made);
  return made;
}

/** True: it has passed its probe, whether it is heard of now or not. */
export function isRegistered({ state }: Pick<Plugin, 'state'>): boolean {
  return state === 'Ready' || state === 'Degraded';
}

/** All that can have objects, the built-in one first. */
export function registeredBackends(plugins: Iterable<Plugin>): readonly Backend[] {
  const found = [...plugins].filter(isRegistered).flatMap((one) => backendOf(one) ?? []);
  return [BUILT_IN, ...found.sort((a, b) => (a.name < b.name ? -1 : 1))];
}

/** By name: shipped ones, and those that registered plug-ins bring. */
export function flavorsOf(backends: readonly Backend[]): ReadonlyMap<string, FlavorSaid> {
  const found = new Map<string, FlavorSaid>(Object.entries(SHIPPED_FLAVORS));
  for (const { capabilities } of backends)
    for (const [name, flavor] of Object.entries(capabilities.flavors)) if (!found.has(name)) found.set(name, flavor);
  return found;
}

/** What is asked of a back end. `types`: of which one is wanted; undefined: any. */
export type Wish = {
  readonly resource: 'network' | 'router';
  readonly flavor: string | null;
  readonly types: readonly string[] | undefined;
  readonly zones: readonly string[];
  /** Zones that hosts are in: who names none of its own reaches these. */
  readonly hostZones: ReadonlySet<string>;
};

/** Why the back end does not take it, for people; undefined: it does. */
export function whyNot({ name, state, reason, capabilities }: Backend, wish: Wish): string | undefined {
  if (capabilities.resources[wish.resource] === undefined) return `it has no ${wish.resource}s`;
  const isOwnFlavor = wish.flavor !== null && !Object.hasOwn(SHIPPED_FLAVORS, wish.flavor);
  if (isOwnFlavor && capabilities.flavors[wish.flavor ?? ''] === undefined) return `it has no flavor ${wish.flavor}`;
  if (wish.resource === 'network' && wish.types !== undefined && typeFor(capabilities, wish.types) === undefined)
    return `its networks are of type ${capabilities.networkTypes.join(', ')}, not ${wish.types.join(', ')}`;
  if (wish.resource === 'router' && wish.flavor === 'l3vpn' && !capabilities.networkTypes.includes('l3vpn'))
    return 'it has no l3vpn';
  const { zones } = capabilities;
  const other = wish.zones.find((zone) => !(zones.length > 0 ? zones.includes(zone) : wish.hostZones.has(zone)));
  if (other !== undefined) return `it does not reach the zone ${other}`;
  if (name !== VROUTER && state !== 'Ready') return `it is ${state}${reason === null ? '' : `: ${reason}`}`;
  return undefined;
}

/** The first of its types that is wanted. */
export function typeFor(
  { networkTypes }: Pick<Capabilities, 'networkTypes'>,
  wanted: readonly string[] | undefined,
): string | undefined {
  return networkTypes.find((type) => wanted === undefined || wanted.includes(type));
}

/** How many bytes its tunnels take of a packet (`features.overhead_bytes`, by version of IP); undefined: it does not say. */
export function overheadOf(plugin: Plugin, version: 4 | 6): number | undefined {
  const said = backendOf(plugin)?.capabilities.features['overhead_bytes'];
  const bytes = (isFields(said) ? said : {})[String(version)];
  return Number.isInteger(bytes) && Number(bytes) >= 0 && Number(bytes) <= 500 ? Number(bytes) : undefined;
}
