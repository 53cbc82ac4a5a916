/** What types of protons do besides their declarations. */
import { createHash } from 'node:crypto';
import { type AnyObject, CableError, type PortOwner } from '@cable/model';
import {
  compileObject,
  type DeclaredObject,
  formOf,
  type ObjectCheck,
  type ProtonObject,
  type ProtonVersions,
  STORED_VERSION,
} from '@cable/proton';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import type { Claim, Codec, Contribution, Given } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { planCreate, planDelete, planUpdate } from '../engine/write.ts';
import { refusal } from '../policy/authorize.ts';
import { type StoredFilter, storedFilterOf } from './filters.ts';
import { hasBegun, ofBindings, ofInterfaces, ofPorts, shownBinding } from './owners.ts';
import type { ProtonRow } from './proton-row.ts';
import { type Convert, conversionBetween } from './versions.ts';
import { type BackendPart, backendNamed } from './vrouter/backends.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What the engine keeps and checks itself. */
const ENGINES: ReadonlySet<string> = new Set([
  ...['id', 'tenant_id', 'project_id', 'created_at', 'updated_at', 'revision_number'],
]);

/** What of a proton's row its types depend on. `born`: names of claims by object and attribute, where they are others. */
type Made = Pick<ProtonRow, 'born' | 'backend'>;

/** By type. */
export function contributionsOf(
  versions: ProtonVersions,
  declared: readonly DeclaredObject[],
  made: Made,
): Readonly<Record<string, Contribution<AnyObject>>> {
  return Object.fromEntries(declared.map((one) => [one.type, contributionOf(versions, one, declared, made)]));
}

function contributionOf(
  versions: ProtonVersions,
  own: DeclaredObject,
  declared: readonly DeclaredObject[],
  { born, backend }: Made,
): Contribution<AnyObject> {
  const { object } = own;
  const compiled = compile(object);
  const version = { [STORED_VERSION]: versions.stored.version };
  const parts = partsOf(versions.stored.name, own, declared, backend);
  const claims = together([claimsOf(own, born), ...parts.map((one) => one.claims)]);
  const removes = [
    ...emptiedBy(own, declared),
    ...defaultInterfaceGone(own, declared),
    ...parts.flatMap((one) => one.remove ?? []),
  ];
  const made = defaultInterfaceMade(own, declared);
  const created = [...parts.map((one) => one.created), made].filter((one) => one !== undefined);
  return {
    derive: (planning, given) => {
      refuseStatus(planning, own, given);
      return { ...version, ...madeMac(planning, own, given) };
    },
    change: (planning, before, after, given) =>
      Object.assign({}, version, ...parts.map((one) => one.change?.(planning, before, after, given))),
    check: (view, after, before) => {
      check(object, compiled, after, before);
      for (const one of parts) one.check?.(view, after, before);
    },
    lockKeys: (given, look) => parts.flatMap((one) => one.lockKeys?.(given, look) ?? []),
    ...(claims === undefined ? {} : { claims }),
    ...(removes.length === 0
      ? {}
      : {
          remove: (planning: Planning, row: AnyObject) => {
            for (const remove of removes) remove(planning, row);
          },
        }),
    ...(created.length === 0
      ? {}
      : {
          created: (planning: Planning, row: AnyObject) => {
            for (const create of created) create(planning, row);
          },
        }),
    changed: (planning, before, after) => {
      for (const one of parts) one.changed?.(planning, before, after);
    },
    removed: (planning, row) => {
      for (const one of parts) one.removed?.(planning, row);
    },
    ...(object.kind === 'port'
      ? {
          shownBinding: (owner: PortOwner) => shownBinding(own, owner),
          settleUpdate: async (deps: EngineDeps, row: AnyObject, asked: Asked) => {
            if (hasBegun(asked)) await deps.arbiter?.current?.settled(deps, row.id, asked);
          },
        }
      : {}),
    codecs: codecsOf(versions, own),
  };
}

/** A port that is made works nowhere: that it does says who binds it. */
function refuseStatus({ deps, plan, asked }: Planning, { type, object }: DeclaredObject, given: Fields): void {
  const { status } = given;
  if (object.kind !== 'port' || status === undefined || status === null || status === 'DOWN') return;
  const row = (of: string, id: string) => plan.get(of, id) as AnyObject | undefined;
  const view = deps.permission.policy.for(asked.credentials);
  if (view.allows(`update_${type}:status`, { type, object: given as AnyObject, row })) return;
  throw refusal([`create_${type}:status`]);
}

/** A port whose address on its link nobody has chosen has one that is made, as Neutron's. */
function madeMac({ deps }: Planning, { object }: DeclaredObject, given: Fields): Fields {
  const isMade = object.kind === 'port' && object.attributes.some(({ name }) => name === 'mac_address');
  return isMade && (given['mac_address'] ?? '') === '' ? { mac_address: deps.macs.next() } : {};
}

/** First what is done for every proton, then what its back end does. */
function partsOf(
  proton: string,
  own: DeclaredObject,
  declared: readonly DeclaredObject[],
  name: string | null,
): readonly BackendPart[] {
  const backend = name === null ? undefined : backendNamed(name);
  const others = backend === undefined ? [] : [backend.part({ proton, declared }, own)];
  const { kind } = own.object;
  if (kind === 'port') return [ofPorts(proton, own, backend !== undefined), ...others];
  if (kind === 'interface') return [ofInterfaces(proton, own, declared), ...others];
  return kind === 'binding' ? [ofBindings(proton, own, declared), ...others] : others;
}

type Claims = NonNullable<BackendPart['claims']>;

function together(all: readonly (Claims | undefined)[]): Claims | undefined {
  const some = all.filter((one) => one !== undefined);
  return some.length === 0 ? undefined : (row) => some.flatMap((one) => one(row));
}

/** Values that the declaration takes, checked as the schema and the rules say. */
function compile(object: ProtonObject): ObjectCheck {
  const attributes = object.attributes.map((one) =>
    ENGINES.has(one.name) ? { ...one, schema: true, nullable: true, required: false, immutable: false } : one,
  );
  return compileObject({ ...object, attributes });
}

/** What was wrong before an update is not held against it. */
function check(object: ProtonObject, compiled: ObjectCheck, after: Fields, before: Fields | undefined): void {
  const [now, then] = [after, before].map((one) => (one === undefined ? undefined : seenBy(object, one)));
  if (now === undefined) return;
  const found = compiled.check(now, then);
  if (found.length === 0) return;
  const known = new Set(then === undefined ? [] : compiled.check(then, undefined).map(({ text }) => text));
  const wrong = found.find(({ text }) => !known.has(text));
  if (wrong === undefined) return;
  const { attribute, text } = wrong;
  const sentence = text.replace(/\.$/, '');
  throw attribute === null
    ? new CableError('HTTPBadRequest', `Invalid input for operation: ${sentence}.`)
    : new CableError('HTTPBadRequest', `Invalid input for ${attribute}. Reason: ${sentence}.`, {
        fields: { attribute },
      });
}

/** The attributes of the model; those of the engine have the names of the model. */
function seenBy({ attributes }: ProtonObject, row: Fields): Fields {
  return Object.fromEntries(
    attributes.map(({ name }) => [name, (name === 'tenant_id' ? row['project_id'] : row[name]) ?? null]),
  );
}

/** What two objects may not have both: as the model says, of one attribute or of several together. */
function claimsOf(
  { type, object }: DeclaredObject,
  born: Readonly<Record<string, string>>,
): ((row: AnyObject) => readonly Claim[]) | undefined {
  const alone = object.attributes.flatMap(({ name, unique }) =>
    unique === undefined ? [] : [{ names: [name], isGlobal: unique === 'global' }],
  );
  const together = object.unique.map((names) => ({ names, isGlobal: false }));
  const all = [...alone, ...together];
  if (all.length === 0) return undefined;
  for (const { names } of all) refuseUnlisted(object, names[0] ?? '');
  return (row) =>
    all.flatMap(({ names, isGlobal }): readonly Claim[] => {
      const values = names.map((name) => row[name] ?? null);
      if (values.includes(null) || values.includes('')) return [];
      const project = isGlobal ? '' : String(row['project_id']);
      const words = names.map((name) => born[`${object.name}.${name}`] ?? name).join('+');
      const isSame = (one: AnyObject): boolean =>
        names.every((name, at) => JSON.stringify(one[name]) === JSON.stringify(values[at])) &&
        (isGlobal || one['project_id'] === project);
      return [
        {
          kind: 'proton',
          value: `${type}:${words}:${hashOf([project, values])}`,
          holder: (look: Look) =>
            look.by(type, names[0] ?? '', keyText(values[0])).find((one) => isSame(one as AnyObject))?.id,
          taken: () => taken(object, names, values, isGlobal),
        },
      ];
    });
}

/** Tables find by the first of them. */
function refuseUnlisted({ name: object, attributes }: ProtonObject, name: string): void {
  const schema = attributes.find((one) => one.name === name)?.schema;
  const type = typeof schema === 'object' ? schema['type'] : undefined;
  if (type !== 'array' && type !== 'object') return;
  throw new Error(`${object}.${name} is unique, and no text, number or truth value: name one of these first`);
}

function taken(
  { name }: ProtonObject,
  names: readonly string[],
  values: readonly unknown[],
  isGlobal: boolean,
): CableError {
  const words = names.map((one, at) => `${one} ${JSON.stringify(values[at]).slice(0, 200)}`).join(', ');
  const where = isGlobal ? '' : ' in the project';
  return new CableError('HTTPConflict', `There is a ${name} with ${words} already${where}.`, {
    detail: 'Give it another value, or delete the other one.',
  });
}

function keyText(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 40);
}

type Remove = (planning: Planning, row: AnyObject) => void;

/** What refers to a deleted object, and is to refer to none then. */
function emptiedBy({ object }: DeclaredObject, declared: readonly DeclaredObject[]): readonly Remove[] {
  return declared.flatMap(({ type, object: holder }) =>
    holder.attributes.flatMap(({ name, ref }): readonly Remove[] => {
      if (ref?.object !== object.name || ref.onDelete !== 'setNull') return [];
      return [
        (planning, row) => {
          const resource = planning.deps.resources.named(type);
          for (const one of planning.plan.by(type, name, row.id))
            planUpdate(planning, resource, one as AnyObject, { [name]: null });
        },
      ];
    }),
  );
}

/** The interfaces of a port, with the type that they are of; undefined: it is no port, or has none. */
function interfacesOf({ object }: DeclaredObject, declared: readonly DeclaredObject[]): DeclaredObject | undefined {
  if (object.kind !== 'port') return undefined;
  return declared.find((one) => one.object.kind === 'interface' && one.object.parent?.object === object.name);
}

/** Each port has an interface of its own id from the start. */
function defaultInterfaceMade(
  own: DeclaredObject,
  declared: readonly DeclaredObject[],
): ((planning: Planning, port: AnyObject) => void) | undefined {
  const one = interfacesOf(own, declared);
  const key = one?.object.parent?.key;
  if (one === undefined || key === undefined || one.object.primary !== 'id') return undefined;
  const has = new Set(one.object.attributes.map(({ name }) => name));
  return (planning, port) => {
    const resource = planning.deps.resources.named(one.type);
    const name =
      typeof port['name'] === 'string' && port['name'] !== '' ? `${port['name'].slice(0, 56)}_default` : 'default';
    const given = { name, segmentation_type: 'none', segmentation_id: 0 };
    const known = Object.fromEntries(Object.entries(given).filter(([attribute]) => has.has(attribute)));
    const defaults = Object.fromEntries(
      one.object.attributes.flatMap(({ name: attribute, default: standard }) =>
        standard === undefined ? [] : [[attribute, standard] as const],
      ),
    );
    const start: Given<AnyObject> = {
      ...{ ...defaults, ...known, id: port.id, project_id: String(port['project_id']) },
      [key]: port.id,
    };
    planCreate(planning, resource, start);
  };
}

/** It goes with the port; what is bound to it keeps both. */
function defaultInterfaceGone(own: DeclaredObject, declared: readonly DeclaredObject[]): readonly Remove[] {
  const one = interfacesOf(own, declared);
  const key = one?.object.parent?.key;
  if (one === undefined || key === undefined) return [];
  return [
    (planning, port) => {
      const row = planning.plan.get(one.type, port.id) as AnyObject | undefined;
      if (row?.[key] === port.id) planDelete(planning, planning.deps.resources.named(one.type), row);
    },
  ];
}

/** Of all versions that are not the stored one. */
function codecsOf(versions: ProtonVersions, { object, others }: DeclaredObject): Readonly<Record<string, Codec>> {
  const { stored } = versions;
  return Object.fromEntries(
    [...others].flatMap(([version, served]): readonly (readonly [string, Codec])[] => {
      const model = versions.others.find((one) => one.version === version);
      const show = conversionBetween(versions, stored.version, version, served.name) ?? same;
      const store = conversionBetween(versions, version, stored.version, object.name) ?? same;
      if (model === undefined) return [];
      const storedFilter = storedFilterOf(versions, version, served, object);
      const codec = codecOf({ object, served, show, store, storedFilter });
      const form = formOf(model);
      return [
        [form, codec],
        [`${form}-nested`, codec],
      ];
    }),
  );
}

function same(fields: Fields): Fields {
  return fields;
}

type Pair = {
  readonly object: ProtonObject;
  readonly served: ProtonObject;
  readonly show: Convert;
  readonly store: Convert;
  readonly storedFilter: StoredFilter;
};

function codecOf({ object, served, show, store, storedFilter }: Pair): Codec {
  const compiled = compile(served);
  const standards = Object.fromEntries(
    served.attributes.map(({ name, default: standard, nullable }) => [name, standard ?? (nullable ? null : undefined)]),
  );
  const shown = new WeakMap<AnyObject, AnyObject>();
  const toServed = (row: AnyObject): AnyObject => {
    const known = shown.get(row);
    if (known !== undefined) return known;
    const view = { ...standards, ...dropNull(show(row), standards), id: row.id } as AnyObject;
    const made = { ...view, tenant_id: row['project_id'] };
    shown.set(row, made);
    return made;
  };
  const storedNames = new Set(object.attributes.map(({ name }) => name));
  const stores = (fields: Fields): Fields =>
    Object.fromEntries(
      Object.entries(store(fields)).filter(([name]) => storedNames.has(name) || name === 'project_id' || name === 'id'),
    );
  const fromTenant = ({ tenant_id, ...rest }: Fields): Fields =>
    tenant_id === undefined ? rest : { ...rest, project_id: rest['project_id'] ?? tenant_id };
  return {
    ...{ toServed, storedFilter },
    created: ({ attributes, given }) => {
      check(served, compiled, { ...standards, ...attributes }, undefined);
      const own = fromTenant(attributes);
      const names = given.map((name) => (name === 'tenant_id' ? 'project_id' : name));
      return { attributes: stores(own), given: dependent(own, stores, names) };
    },
    changed: (row, { attributes }) => {
      const before = toServed(row);
      const after = { ...before, ...fromTenant(attributes) };
      check(served, compiled, after, before);
      const [was, is] = [stores(before), stores(after)];
      // What is given and is as it was is a change all the same: who may not see that it is must not learn it by this.
      const asked = new Set(dependent(after, stores, Object.keys(fromTenant(attributes))));
      const changes = Object.fromEntries(
        Object.entries(is).filter(([name, value]) => asked.has(name) || !isSame(value, was[name])),
      );
      return { attributes: changes, given: Object.keys(changes) };
    },
  };
}

/** Names of what is stored that would be other without what was given. */
function dependent(fields: Fields, stores: Convert, given: readonly string[]): readonly string[] {
  const whole = stores(fields);
  const without = stores(Object.fromEntries(Object.entries(fields).filter(([name]) => !given.includes(name))));
  return Object.keys(whole).filter(
    (name) => !isSame(whole[name], without[name]) && (name !== 'id' || given.includes(name)),
  );
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** What the other version does not have is what it would be without it. */
function dropNull(fields: Fields, standards: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => value !== null || standards[name] === null),
  );
}
