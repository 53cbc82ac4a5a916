/** Contract 1 of back ends, as a plug-in says it: what is taken of its answers. What it says is anybody's, so all of it is looked at. Pure. */

/** The resources that the contract has, in the order in which they are told; deletes are told in the other one. */
export const RESOURCES = [
  'network',
  'subnet',
  'address_group',
  'security_group',
  'router',
  'port',
  'floatingip',
] as const;
export type ResourceName = (typeof RESOURCES)[number];

/** One that a plug-in brings besides those that are shipped. */
export type FlavorSaid = {
  readonly description: string;
  readonly resources: readonly string[];
  readonly networkTypes: readonly string[];
};

/** An entry of `/v2.0/extensions`. */
export type ExtensionSaid = { readonly alias: string; readonly name: string; readonly description: string };

export type Capabilities = {
  readonly version: string;
  /** Another one each time the process starts; empty: it does not say. */
  readonly instance: string;
  readonly resources: Readonly<Partial<Record<ResourceName, readonly string[]>>>;
  readonly networkTypes: readonly string[];
  readonly vifTypes: readonly string[];
  readonly flavors: Readonly<Record<string, FlavorSaid>>;
  readonly extensions: readonly ExtensionSaid[];
  /** None: all. */
  readonly zones: readonly string[];
  readonly features: Readonly<Record<string, unknown>>;
  readonly limits: Readonly<Record<string, number>>;
};

/** Kinds of objects of which a plug-in may take so many only. */
export const LIMITS = ['networks', 'subnets', 'ports', 'routers', 'ports_per_network'] as const;
export type LimitName = (typeof LIMITS)[number];

type Fields = Readonly<Record<string, unknown>>;

/** Longest text of `features`. */
const FEATURES_MAX = 65_536;

/** What the plug-in can do, or why it is not taken. */
export function parseCapabilities(
  given: unknown,
): { readonly ok: true; readonly value: Capabilities } | { readonly ok: false; readonly reason: string } {
  if (!isFields(given)) return { ok: false, reason: 'it answers no JSON object' };
  if (given['contract'] !== 1)
    return { ok: false, reason: `contract is ${shortText(given['contract'])}: this server has 1` };
  const resources = resourcesOf(given['resources']);
  if (resources === undefined) return { ok: false, reason: 'resources is no object of lists of verbs' };
  if (resources.network === undefined && resources.router === undefined)
    return { ok: false, reason: 'resources has neither network nor router' };
  const features = isFields(given['features']) ? given['features'] : {};
  if (JSON.stringify(features).length > FEATURES_MAX) return { ok: false, reason: 'features is too long' };
  const networkTypes = textsOf(given['network_types'], 16);
  if (resources.network !== undefined && networkTypes.length === 0)
    return { ok: false, reason: 'network_types is empty: say at least one of vxlan, geneve, gre, vlan, flat, l3vpn' };
  const unknown = networkTypes.find((one) => !NETWORK_TYPES.includes(one));
  if (unknown !== undefined)
    return { ok: false, reason: `network_types: ${unknown} is none of ${NETWORK_TYPES.join(', ')}` };
  return {
    ok: true,
    value: {
      ...{ version: textOr(given['version'], ''), instance: textOr(given['instance'], '') },
      ...{ resources, networkTypes, vifTypes: textsOf(given['vif_types'], 16) },
      flavors: flavorsOf(given['flavors'], networkTypes),
      extensions: extensionsOf(given['extensions']),
      zones: textsOf(given['zones'], 1000),
      features,
      limits: parseLimits(given['limits']),
    },
  };
}

/** Values of `provider:network_type`. */
export const NETWORK_TYPES: readonly string[] = ['vxlan', 'geneve', 'gre', 'vlan', 'flat', 'l3vpn'];

/** Values of `binding:vif_type` of a port that is plugged. */
export const VIF_TYPES: readonly string[] = [
  ...['ovs', 'vhostuser', 'bridge', 'tap', 'other', 'hw_veb', 'hostdev_physical', 'macvtap', 'ib_hostdev'],
  ...['agilio_ovs', 'vrouter'],
];

/** Longest `binding:vif_details`, as JSON. */
export const DETAILS_MAX = 16_384;

/** How a port is plugged, or why it is not. */
export type PlugSaid =
  | { readonly vif_type: string; readonly vif_details: Fields }
  | { readonly refused: string; readonly vif_type?: undefined };

/** What is taken of the answer of `bind`. `vifTypes`: those that the plug-in said it has. */
export function parsePlug(given: unknown, vifTypes: readonly string[]): PlugSaid {
  const { vif_type: type, vif_details: details = {}, refused } = isFields(given) ? given : {};
  if (refused !== undefined) return { refused: textOr(refused, 'it gives no reason') };
  if (typeof type !== 'string' || type === '') return { refused: 'bind says neither vif_type nor refused' };
  if (!VIF_TYPES.includes(type)) return { refused: `vif_type ${shortText(type)} is none of ${VIF_TYPES.join(', ')}` };
  if (!vifTypes.includes(type))
    return { refused: `vif_type ${type} is none that it declared: ${vifTypes.join(', ') || 'it declared none'}` };
  if (!isFields(details)) return { refused: 'vif_details is no object' };
  if (Buffer.byteLength(JSON.stringify(details)) > DETAILS_MAX)
    return { refused: `vif_details has more than ${DETAILS_MAX} bytes` };
  return { vif_type: type, vif_details: details };
}

/** Whole numbers from 0 on; what is none is left out. */
export function parseLimits(given: unknown): Readonly<Record<string, number>> {
  return numbersOf(given);
}

/** The same, of what is used. */
export function parseUsage(given: unknown): Readonly<Record<string, number>> {
  return numbersOf(given);
}

/** As stored in a plug-in's row. */
export function capabilitiesText(said: Capabilities): Fields {
  return {
    ...{ contract: 1, version: said.version, resources: said.resources, network_types: said.networkTypes },
    ...{ vif_types: said.vifTypes, extensions: said.extensions, zones: said.zones, features: said.features },
    flavors: Object.fromEntries(
      Object.entries(said.flavors).map(([name, { description, resources, networkTypes }]) => {
        return [name, { description, resources, network_types: networkTypes }];
      }),
    ),
  };
}

function resourcesOf(given: unknown): Capabilities['resources'] | undefined {
  if (!isFields(given)) return undefined;
  const found: Partial<Record<ResourceName, readonly string[]>> = {};
  for (const name of RESOURCES) {
    if (!Object.hasOwn(given, name)) continue;
    const verbs = textsOf(given[name], 16);
    if (verbs.length === 0) return undefined;
    found[name] = verbs;
  }
  return found;
}

/** By name, or a list of objects with a `name`, or of names. Without types of its own a flavor is of all that the plug-in has. */
function flavorsOf(given: unknown, ownTypes: readonly string[]): Readonly<Record<string, FlavorSaid>> {
  return Object.fromEntries(
    flavorEntries(given)
      .slice(0, FLAVORS_MAX)
      .filter(([name]) => FLAVOR_NAME.test(name))
      .map(([name, { description, resources, network_types: types = ownTypes }]) => {
        const of = textsOf(resources, 2).filter((resource) => FLAVOR_RESOURCES.includes(resource));
        const ofTypes = textsOf(types, 16).filter((type) => NETWORK_TYPES.includes(type));
        const said = { description: textOr(description, ''), resources: of.length > 0 ? of : ['network'] };
        return [name, { ...said, networkTypes: ofTypes.length > 0 ? ofTypes : ownTypes }];
      }),
  );
}

/** Most flavors that a plug-in brings. */
export const FLAVORS_MAX = 100;

export const FLAVOR_NAME: RegExp = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** What can have a flavor. */
export const FLAVOR_RESOURCES: readonly string[] = ['network', 'router'];

/** Name and the rest of each flavor; what is none has the name ''. */
export function flavorEntries(given: unknown): readonly (readonly [string, Fields])[] {
  if (isFields(given)) return Object.entries(given).map(([name, one]) => [isFields(one) ? name : '', Object(one)]);
  if (!Array.isArray(given)) return [];
  return given.map((one: unknown) => {
    if (typeof one === 'string') return [one, {}];
    return isFields(one) ? [textOr(one['name'], ''), one] : ['', {}];
  });
}

export const ALIAS: RegExp = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** A text is an alias. */
function extensionsOf(given: unknown): readonly ExtensionSaid[] {
  if (!Array.isArray(given)) return [];
  return given.slice(0, 200).flatMap((one: unknown): readonly ExtensionSaid[] => {
    const fields = isFields(one) ? one : { alias: one };
    const alias = textOr(fields['alias'], '');
    if (!ALIAS.test(alias)) return [];
    return [{ alias, name: textOr(fields['name'], alias), description: textOr(fields['description'], '') }];
  });
}

function numbersOf(given: unknown): Readonly<Record<string, number>> {
  if (!isFields(given)) return {};
  const isGood = ([name, value]: readonly [string, unknown]): boolean =>
    /^[a-z][a-z0-9_]{0,62}$/.test(name) && Number.isSafeInteger(value) && Number(value) >= 0;
  return Object.fromEntries(Object.entries(given).slice(0, 200).filter(isGood)) as Record<string, number>;
}

export function isFields(given: unknown): given is Fields {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}

function textsOf(given: unknown, most: number): readonly string[] {
  if (!Array.isArray(given)) return [];
  const texts = given.filter((one): one is string => typeof one === 'string' && one !== '' && one.length <= 255);
  return [...new Set(texts)].slice(0, most);
}

/** At most 255 characters of what is a text. */
export function textOr(given: unknown, absent: string): string {
  return typeof given === 'string' ? given.slice(0, 255) : absent;
}

/** The text with what could drive a terminal, or hide what it says, written out: control characters, and those that turn the direction of text. */
export function visibleText(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** For messages. */
export function shortText(given: unknown): string {
  return (JSON.stringify(given) ?? 'absent').slice(0, 100);
}
