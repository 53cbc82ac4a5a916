/** What a proton's versions come to as declarations: those from which Neutron's own routes, checks, tables and commands are made. */
import {
  type Attribute,
  type ExtensionDeclaration,
  FIXED_OPTIONS,
  type FormDeclaration,
  optionKey,
  QUERY_PARAMETERS,
  type Resource,
} from '@cable/model';
import { decamelised } from './links.ts';
import type { JsonSchema, ProtonAttribute, ProtonModel, ProtonObject } from './model.ts';

/** Where all protons are. */
export const PROTON_PREFIX = '/proton';

/** Hidden attribute of every object: the version as which it is stored. */
export const STORED_VERSION = 'stored_version';

/** All versions of one proton; one of them is that of the store. */
export type ProtonVersions = { readonly stored: ProtonModel; readonly others: readonly ProtonModel[] };

/** An object of the stored version, with what it is called. */
export type DeclaredObject = {
  /** In the store, in references and in rules. */
  readonly type: string;
  readonly object: ProtonObject;
  /** Of the same object in other versions, by version. */
  readonly others: ReadonlyMap<string, ProtonObject>;
};

/** Most characters of a text for which a model of format 2.0 names no longest. */
const TEXT_MAX_LENGTH = 16_384;

/** The same of format 1.0. */
const TEXT_MAX_LENGTH_1 = 255;

/** Standard attributes of which the value is the engine's; a model that names one shows it. */
const ENGINES: ReadonlySet<string> = new Set([
  ...['id', 'tenant_id', 'project_id', 'created_at', 'updated_at', 'revision_number'],
]);

/** The objects of the stored version. */
export function declaredObjects({ stored, others }: ProtonVersions): readonly DeclaredObject[] {
  return stored.objects.map((object) => ({
    type: typeOf(stored, object.name),
    object,
    others: new Map(
      others.flatMap((version) => {
        const same = counterpart(stored, object, version);
        return same === undefined ? [] : [[version.version, same] as const];
      }),
    ),
  }));
}

/** The same object in another version; undefined: that has none. */
function counterpart(stored: ProtonModel, object: ProtonObject, other: ProtonModel): ProtonObject | undefined {
  const forth = stored.conversions.find(({ from }) => from === other.version);
  const back = other.conversions.find(({ from }) => from === stored.version);
  const was = forth?.objects.find((one) => one.object === object.name)?.was;
  const is = back?.objects.find((one) => one.was === object.name)?.object;
  return other.objects.find(({ name }) => name === (was ?? is ?? object.name));
}

/** The type of an object: no other type has a dot in its name. */
function typeOf({ name }: ProtonModel, object: string): string {
  return `proton.${name}.${wordOf(object)}`;
}

/** `VpnAfConfig` → `vpn_af_config`; a model may begin a name with an underscore. */
function wordOf(name: string): string {
  return decamelised(name).replaceAll(/_+/g, '_').replace(/^_/, '');
}

/** What the versions declare. `digest`: of all of them: what is read of the store is read anew when it is another. */
export function declarationOf(versions: ProtonVersions, digest: string): ExtensionDeclaration {
  const { stored } = versions;
  const objects = declaredObjects(versions);
  return {
    alias: `proton-${stored.name}`,
    name: stored.name,
    description: oneLine(stored.description) || `The proton ${stored.name}.`,
    updated: '2026-11-30T00:00:00Z',
    resources: objects.map((one) => resourceOf(versions, one, objects, digest)),
  };
}

function resourceOf(
  { stored, others }: ProtonVersions,
  declared: DeclaredObject,
  all: readonly DeclaredObject[],
  digest: string,
): Resource {
  const { type, object } = declared;
  const shown = object.attributes.flatMap(namesOf).filter((name) => ENGINES.has(name));
  const forms: FormDeclaration[] = [];
  if (object.parent !== undefined) {
    const parent = all.find((one) => one.object.name === object.parent?.object);
    if (parent !== undefined)
      forms.push({
        form: 'nested',
        prefix: prefixOf(stored),
        under: { type: parent.type, attribute: object.parent.key },
      });
  }
  for (const other of others.filter(({ served }) => served)) {
    const same = declared.others.get(other.version);
    if (same !== undefined) forms.push(...formsOf(other, same, all));
  }
  return {
    ...{ type, ...wordsOf(stored, object), description: oneLine(object.description) || `${object.name} objects.` },
    prefix: prefixOf(stored),
    verbs: ['list', 'show', 'create', 'update', 'delete'],
    ...(object.primary === 'id' ? { givenId: true } : { key: object.primary }),
    ...{ standard: true, stored: true, bare: true, command: commandOf(stored, object) },
    standardShown: [...new Set([...shown, ...stampsOf(stored)])],
    ...(stored.fileVersion === '1.0' ? { timesWithoutZone: true } : {}),
    ...(object.printColumns.length > 0 ? { columns: object.printColumns } : {}),
    attributes: ownAttributes(stored, object),
    hidden: { [STORED_VERSION]: { type: 'string', default: stored.version, description: digest } },
    ...(forms.length > 0 ? { forms } : {}),
  };
}

function formsOf(
  version: ProtonModel,
  object: ProtonObject,
  all: readonly DeclaredObject[],
): readonly FormDeclaration[] {
  const form = formOf(version);
  const common = {
    ...wordsOf(version, object),
    ...{ prefix: prefixOf(version), attributes: formAttributes(version, object) },
    ...(version.deprecated ? { deprecated: true as const } : {}),
  };
  const { label: _label, ...words } = common;
  const flat: FormDeclaration = { ...words, form };
  const parent = all.find((one) => one.others.get(version.version)?.name === object.parent?.object);
  if (object.parent === undefined || parent === undefined) return [flat];
  const under = { type: parent.type, attribute: object.parent.key, form };
  return [flat, { ...words, form: `${form}-nested`, under }];
}

/** The name of the form in which a version that is not the stored one is served. */
export function formOf({ version }: Pick<ProtonModel, 'version'>): string {
  return `v${version.toLowerCase()}`;
}

/** Path of a version. */
export function prefixOf({ name, version }: Pick<ProtonModel, 'name' | 'version'>): string {
  return `${PROTON_PREFIX}/${name}/v${version.toLowerCase()}`;
}

function wordsOf(_model: ProtonModel, { name, noun, plural }: ProtonObject) {
  const word = wordOf(noun).replaceAll(/[^a-z0-9_]/g, '_');
  return {
    // The key of one object stands in no body.
    name: /^[a-z]/.test(word) && word !== plural ? word : `one_${word}`,
    plural,
    label: labelOf(name),
    path: plural.toLowerCase(),
  };
}

function labelOf(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9]/g, '');
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}`;
}

/** What every object shows, whatever the model says. */
function stampsOf({ fileVersion }: ProtonModel): readonly string[] {
  return ['created_at', 'updated_at', ...(fileVersion === '1.0' ? [] : ['revision_number'])];
}

/** `p net-l3vpn vpn`. */
function commandOf({ name }: ProtonModel, { noun }: ProtonObject): string {
  const word = noun.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-');
  return `p ${name} ${/^[a-z]/.test(word) ? word : `x${word}`}`;
}

/** Those that the engine does not have by itself. */
function ownAttributes(model: ProtonModel, object: ProtonObject): Readonly<Record<string, Attribute>> {
  const own = object.attributes.filter(({ name }) => !ENGINES.has(name) || (name === 'id' && object.primary !== 'id'));
  const seconds = own.flatMap((one) =>
    one.alias === undefined ? [] : [[one.alias, { ...attributeOf(model, object, one), aliasOf: one.name }] as const],
  );
  return Object.fromEntries([...own.map((one) => [one.name, attributeOf(model, object, one)] as const), ...seconds]);
}

function namesOf({ name, alias }: ProtonAttribute): readonly string[] {
  return alias === undefined ? [name] : [name, alias];
}

/** Those of a form: each is its own. */
function formAttributes(model: ProtonModel, object: ProtonObject): Readonly<Record<string, Attribute>> {
  const withoutZone = model.fileVersion === '1.0' ? ({ withoutZone: true } as const) : {};
  const own = object.attributes.flatMap((one) =>
    namesOf(one).map((name): [string, Attribute] => [name, attributeOf(model, object, one)]),
  );
  const stamps = stampsOf(model).map((name): [string, Attribute] => {
    return name === 'revision_number'
      ? [name, { type: 'integer', description: 'Rises with each change.' }]
      : [name, { type: 'timestamp', ...withoutZone, description: 'A time (UTC).' }];
  });
  const byName = new Map([...own, ...stamps]);
  for (const name of byName.keys()) {
    if (name === 'tenant_id' || name === 'project_id')
      byName.set(name, { type: 'string', write: 'create', maxLength: 255, maxBytes: 255, description: 'The project.' });
    else if (name === 'id' && object.primary === 'id')
      byName.set(name, { type: 'uuid', write: 'create', description: 'The ID.' });
  }
  return Object.fromEntries(byName);
}

function attributeOf(model: ProtonModel, object: ProtonObject, one: ProtonAttribute): Attribute {
  const { name, schema, required, nullable, ref, example } = one;
  const isKey = name === object.primary;
  const isStrict = model.fileVersion === '2.0';
  const target = ref === undefined ? undefined : model.objects.find((other) => other.name === ref.object);
  const isMade = isKey && ref === undefined && isUuid(schema);
  const written = one.readOnly ? undefined : isKey || one.immutable ? 'create' : 'both';
  const standard = one.default ?? (nullable ? null : undefined);
  const mustBe = written !== undefined && (required || isKey) && one.default === undefined && !isMade;
  return {
    ...typeOfValue(schema, model),
    ...(isStrict ? { strict: true as const } : {}),
    ...(written === undefined ? {} : { write: written }),
    ...(mustBe ? { required: true as const } : {}),
    ...(nullable && !isKey ? { nullable: true as const } : {}),
    ...(standard === undefined || mustBe || isKey ? {} : { default: standard }),
    ...(target === undefined || ref === undefined
      ? {}
      : {
          reference: {
            type: typeOf(model, target.name),
            onDelete: ref.onDelete === 'cascade' ? ('cascade' as const) : ('restrict' as const),
          },
        }),
    ...(isIndexed(object, one) ? { indexed: true as const } : {}),
    ...(QUERY_PARAMETERS.includes(name) || PARAMETERS.has(name) ? { filter: false } : {}),
    ...optionOf(name),
    ...(isStrict && typeof schema === 'object' ? { schema } : {}),
    ...(example === undefined ? {} : { example }),
    description: oneLine(one.description) || `${name}.`,
  };
}

/** Parameters of lists of protons that no filter may have the names of. */
const PARAMETERS: ReadonlySet<string> = new Set(['dryRun', 'since', 'watch']);

const OPTION_KEYS: ReadonlySet<string> = new Set(FIXED_OPTIONS.map(optionKey));

/** An attribute whose name is an option of every command has another one. */
function optionOf(name: string): { readonly option?: string } {
  const dashes = name.replaceAll(/[_:]+/g, '-').replaceAll(/^-+|-+$/g, '');
  const isPlain = dashes === name.replaceAll(/[_:]/g, '-') && /^[A-Za-z]/.test(dashes) && !dashes.startsWith('no-');
  return isPlain && !OPTION_KEYS.has(optionKey(dashes)) ? {} : { option: `the-${dashes || 'value'}` };
}

/** What looks rows up by it: uniqueness, and what the model names. */
function isIndexed({ indexes, unique }: ProtonObject, { name, unique: alone }: ProtonAttribute): boolean {
  return alone !== undefined || indexes.some((one) => one[0] === name) || unique.some((one) => one[0] === name);
}

function isUuid(schema: JsonSchema): boolean {
  return typeof schema === 'object' && schema['format'] === 'uuid';
}

type Value = Pick<
  Attribute,
  'type' | 'items' | 'maxLength' | 'minLength' | 'minimum' | 'maximum' | 'values' | 'repeats'
>;

/** The nearest that a declaration can say of the value; the rest is the schema's. */
function typeOfValue(schema: JsonSchema, { fileVersion }: Pick<ProtonModel, 'fileVersion'>): Value {
  if (typeof schema === 'boolean') return { type: 'any' };
  const { type, format, enum: values, minimum, maximum, maxLength, minLength, items, maxItems, uniqueItems } = schema;
  const single = Array.isArray(type) ? type.filter((one) => one !== 'null') : [type];
  const word = single.length === 1 ? single[0] : undefined;
  if (Array.isArray(values) && values.every((one) => typeof one === 'string')) {
    return { type: 'string', values: values as readonly string[], maxLength: TEXT_MAX_LENGTH };
  }
  const bounds = {
    ...(Number.isSafeInteger(minimum) ? { minimum: minimum as number } : {}),
    ...(Number.isSafeInteger(maximum) ? { maximum: maximum as number } : {}),
  };
  switch (word) {
    case 'string': {
      const most = fileVersion === '1.0' ? TEXT_MAX_LENGTH_1 : TEXT_MAX_LENGTH;
      const length = { maxLength: typeof maxLength === 'number' ? Math.min(maxLength, TEXT_MAX_LENGTH) : most };
      if (format === 'uuid') return { type: 'uuid' };
      if (format === 'mac') return { type: 'mac' };
      if (format === 'ipv4' || format === 'ipv6') return { type: 'ip' };
      return { type: 'string', ...length, ...(typeof minLength === 'number' ? { minLength } : {}) };
    }
    case 'boolean':
      return { type: 'boolean' };
    case 'integer':
      return { type: 'integer', ...bounds };
    case 'number':
      return { type: 'number', ...bounds };
    case 'array':
      return {
        type: 'list',
        items: itemOf(items, fileVersion),
        maxLength: typeof maxItems === 'number' ? maxItems : 1000,
        ...(uniqueItems === true ? {} : { repeats: true as const }),
      };
    case 'object':
      return { type: 'dict' };
    default:
      return { type: 'any' };
  }
}

function itemOf(items: unknown, fileVersion: ProtonModel['fileVersion']): Attribute {
  const one =
    typeof items === 'object' && items !== null ? typeOfValue(items as JsonSchema, { fileVersion }) : undefined;
  const isPlain = one !== undefined && one.type !== 'list' && one.type !== 'dict' && one.type !== 'any';
  return isPlain ? { ...one, strict: true } : { type: 'any', nullable: true };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
