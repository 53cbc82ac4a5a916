/** What a plug-in says of itself, looked at field by field: the probe takes nothing that is left out in silence later. Pure. */
import {
  ALIAS,
  FLAVOR_NAME,
  FLAVOR_RESOURCES,
  FLAVORS_MAX,
  flavorEntries,
  isFields,
  NETWORK_TYPES,
  parseLimits,
  RESOURCES,
  shortText,
  VIF_TYPES,
} from './contract.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Verbs that each resource has: what is stored is told, whatever becomes of it. */
const VERBS: readonly string[] = ['create', 'update', 'delete'];

/** The first field of the answer of `capabilities` that is not as the contract says, and what it is to be; undefined: there is none. */
export function capabilityFault(said: Fields): string | undefined {
  for (const look of [
    instanceFault,
    verbsFault,
    textsFault,
    vifTypesFault,
    flavorsFault,
    extensionsFault,
    featuresFault,
  ]) {
    const fault = look(said);
    if (fault !== undefined) return fault;
  }
  return limitsFault(said['limits']);
}

/** Of the answer of `limits`, too. */
export function limitsFault(limits: unknown): string | undefined {
  if (limits === undefined) return undefined;
  if (!isFields(limits)) return 'limits is no object';
  const good = parseLimits(limits);
  const bad = Object.keys(limits).find((name) => !Object.hasOwn(good, name));
  return bad === undefined ? undefined : `limits: ${shortText(bad)} is no name with a whole number from 0 on`;
}

/** Who forgets everything and does not say so would never be told again. */
function instanceFault({ instance }: Fields): string | undefined {
  if (typeof instance === 'string' && instance !== '' && instance.length <= 255) return undefined;
  return 'instance is no text of 1 to 255 characters: say another one after each start';
}

function verbsFault({ resources }: Fields): string | undefined {
  for (const name of RESOURCES) {
    const verbs = isFields(resources) ? resources[name] : undefined;
    const lacking = Array.isArray(verbs) ? VERBS.filter((verb) => !verbs.includes(verb)) : [];
    if (lacking.length > 0)
      return `resources: ${name} lacks ${lacking.join(' and ')}: each resource has ${VERBS.join(', ')}, since what is stored is told`;
  }
  return undefined;
}

function textsFault(said: Fields): string | undefined {
  for (const name of ['network_types', 'vif_types', 'zones']) {
    const list = said[name] ?? [];
    if (!Array.isArray(list)) return `${name} is no list of texts`;
    const bad = list.find((one: unknown) => typeof one !== 'string' || one === '' || one.length > 255);
    if (bad !== undefined) return `${name}: ${shortText(bad)} is no text of 1 to 255 characters`;
  }
  return undefined;
}

function vifTypesFault({ resources, vif_types: types = [] }: Fields): string | undefined {
  const list = types as readonly string[];
  if (isFields(resources) && resources['port'] !== undefined && list.length === 0)
    return `vif_types is empty: say at least one of ${VIF_TYPES.join(', ')}`;
  const unknown = list.find((one) => !VIF_TYPES.includes(one));
  return unknown === undefined ? undefined : `vif_types: ${shortText(unknown)} is none of ${VIF_TYPES.join(', ')}`;
}

function flavorsFault({ flavors = {}, network_types: types = [] }: Fields): string | undefined {
  if (!isFields(flavors) && !Array.isArray(flavors)) return `flavors is neither an object nor a list: ${FLAVOR_FORM}`;
  const entries = flavorEntries(flavors);
  if (entries.length > FLAVORS_MAX) return `flavors: there are more than ${FLAVORS_MAX}`;
  for (const [name, { resources = [], network_types: ofTypes = [] }] of entries) {
    if (!FLAVOR_NAME.test(name)) return `flavors: ${shortText(name)} is no name: ${FLAVOR_FORM}`;
    const fault =
      membersFault(resources, FLAVOR_RESOURCES, 'resources') ??
      membersFault(
        ofTypes,
        (types as readonly string[]).filter((one) => NETWORK_TYPES.includes(one)),
        'network_types',
      );
    if (fault !== undefined) return `flavors: ${name}: ${fault}`;
  }
  return undefined;
}

const FLAVOR_FORM =
  'give {NAME: {description, resources, network_types}}, NAME of small letters, digits, ".", "_", "-"';

function membersFault(given: unknown, known: readonly string[], name: string): string | undefined {
  if (!Array.isArray(given)) return `${name} is no list`;
  const bad = given.find((one: unknown) => !known.includes(one as string));
  return bad === undefined ? undefined : `${name}: ${shortText(bad)} is none of ${known.join(', ')}`;
}

function extensionsFault({ extensions = [] }: Fields): string | undefined {
  if (!Array.isArray(extensions)) return 'extensions is no list';
  const aliasOf = (one: unknown): unknown => (isFields(one) ? one['alias'] : one);
  const bad = extensions.map(aliasOf).find((one) => typeof one !== 'string' || !ALIAS.test(one));
  return bad === undefined
    ? undefined
    : `extensions: ${shortText(bad)} is no alias of small letters, digits, "_" and "-"`;
}

function featuresFault({ features = {} }: Fields): string | undefined {
  if (!isFields(features)) return 'features is no object';
  const bytes = features['overhead_bytes'] ?? {};
  const isGood = (one: unknown): boolean => Number.isInteger(one) && Number(one) >= 0 && Number(one) <= 500;
  if (isFields(bytes) && ['4', '6'].every((version) => bytes[version] === undefined || isGood(bytes[version])))
    return undefined;
  return 'features: overhead_bytes is no {"4": BYTES, "6": BYTES} with whole numbers from 0 to 500';
}
