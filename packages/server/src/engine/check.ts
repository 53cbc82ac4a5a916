/** What must hold in the store, looked for in its raw keys, as of one revision. */
import { startTurns, type Table, type Turns } from '@cable/kit';
import type { AnyObject, Attribute } from '@cable/model';
import type { KeyValue } from '@cable/store';
import { DERIVED, OBJECTS, objectKey, ROOT, TOMBSTONE_KEYS } from '../keys.ts';
import { parseObject } from '../object-text.ts';
import { covers, parseTombstone, type Tombstone } from '../rows.ts';
import type { EngineDeps } from './context.ts';
import type { ObjectKey } from './keys-of.ts';
import { storedProblem } from './stored-values.ts';
import type { Look, RowOf } from './view.ts';

/** One broken promise of the store's content, for people. */
export type Violation = { readonly rule: string; readonly object: string; readonly detail: string };

/** `violations` empty: all is well. */
export type CheckResult = { readonly revision: number; readonly violations: readonly Violation[] };

/** Most violations that are told; there may be more. */
const MOST = 1000;

type Deps = Pick<EngineDeps, 'store' | 'tables' | 'resources' | 'modules' | 'keys'>;

/** An object's key, with whose it is. */
type Wanted = ObjectKey & { readonly object: string };

/**
 * Makes the keys of all objects anew and compares them with those that are there, both ways: so no reference leads nowhere, nothing that is to be unique is there
 * twice, and no key is left over. Then asks each type what else of an object is broken. Throws `StoreError`.
 */
export async function checkStore(deps: Deps): Promise<CheckResult> {
  const turns = startTurns();
  const { revision, objects, keys, violations, tombstones } = await readAll(deps, turns);
  const look = lookAtAll(objects);
  const unswept = await takeBuried(deps, objects, tombstones, turns);
  const wanted = new Map<string, Wanted>();
  for (const [type, table] of objects) {
    for (const row of table.values()) {
      if (turns.due()) await turns.next();
      const object = `${type}/${row.id}`;
      for (const [key, one] of deps.keys.keysOf(type, row, look)) {
        violations.push(...checkKey(objects, wanted, key, { ...one, object }));
        wanted.set(key, { ...one, object });
      }
      violations.push(...checkParents(deps, objects, type, row), ...checkObject(deps, look, type, row));
    }
  }
  for (const [key, { object, value }] of wanted) {
    if (turns.due()) await turns.next();
    const found = keys.get(key);
    keys.delete(key);
    if (found === undefined)
      violations.push({ rule: 'an object has its keys', object, detail: `there is no key ${key}` });
    else if (found !== value) {
      violations.push({ rule: 'an object has its keys', object, detail: `${key} says ${JSON.stringify(found)}` });
    }
  }
  for (const [key, value] of keys) {
    if (unswept.has(key)) continue;
    const detail = `no object has the key, which says ${JSON.stringify(value)}`;
    violations.push({ rule: 'a key has its object', object: key, detail });
  }
  return { revision, violations: violations.slice(0, MOST) };
}

type Content = {
  readonly revision: number;
  readonly objects: ReadonlyMap<string, Table<AnyObject, string>>;
  /** Values by key, of what is made from objects. */
  readonly keys: Map<string, string>;
  readonly violations: Violation[];
  /** With the revision of each. */
  readonly tombstones: (readonly [Tombstone, number])[];
};

async function readAll(deps: Deps, turns: Turns): Promise<Content> {
  const objects = new Map<string, Table<AnyObject, string>>();
  for (const { type, stored } of deps.resources.all) if (stored) objects.set(type, deps.tables.emptyLike(type));
  const content: { revision: number } & Content = {
    revision: 0,
    objects,
    keys: new Map(),
    violations: [],
    tombstones: [],
  };
  for await (const page of deps.store.listPages(ROOT)) {
    content.revision = page.revision;
    for (const kv of page.kvs) {
      if (turns.due()) await turns.next();
      if (kv.key.startsWith(DERIVED)) content.keys.set(kv.key, kv.value);
      else if (kv.key.startsWith(OBJECTS)) takeObject(deps, content, kv);
      else if (kv.key.startsWith(TOMBSTONE_KEYS)) takeTombstone(content, kv);
    }
  }
  return content;
}

function takeObject(deps: Deps, { objects, violations }: Content, { key, value, modRevision }: KeyValue): void {
  const [type = '', ...rest] = key.slice(OBJECTS.length).split('/');
  const id = rest.join('/');
  const table = objects.get(type);
  if (table === undefined) {
    violations.push({ rule: 'an object is of a type that is loaded', object: `${type}/${id}`, detail: key });
    return;
  }
  // What this server has in memory already is not held twice.
  const known = deps.tables.modRevision(type, id) === modRevision ? deps.tables.any(type).get(id) : undefined;
  const row = known ?? parseObject(deps.resources.named(type), value);
  if (row?.id === id) table.put(id, row, modRevision);
  else violations.push({ rule: 'an object is readable', object: `${type}/${id}`, detail: value.slice(0, 200) });
}

function takeTombstone({ tombstones, violations }: Content, { key, value, modRevision }: KeyValue): void {
  const row = parseTombstone(key.slice(TOMBSTONE_KEYS.length), value);
  if (row !== undefined) tombstones.push([row, modRevision]);
  else violations.push({ rule: 'a tombstone is readable', object: key, detail: value.slice(0, 200) });
}

/** Takes out what tombstones cover; answers the keys that it still has. */
async function takeBuried(
  deps: Deps,
  objects: Content['objects'],
  tombstones: Content['tombstones'],
  turns: Turns,
): Promise<ReadonlySet<string>> {
  const look = lookAtAll(objects);
  const keys = new Set<string>();
  for (const [tombstone, revision] of tombstones) {
    for (const { type, attribute } of tombstone.parts) {
      const table = objects.get(type);
      for (const row of table?.by(attribute, tombstone.of.id) ?? []) {
        if (turns.due()) await turns.next();
        if (!covers(tombstone, revision, type, row, table?.revisionOf(row.id) ?? 0)) continue;
        for (const key of deps.keys.keysOf(type, row, look).keys()) keys.add(key);
        table?.delete(row.id);
      }
    }
  }
  return keys;
}

function lookAtAll(objects: ReadonlyMap<string, Table<AnyObject, string>>): Look {
  return {
    get: (type, id) => objects.get(type)?.get(id) as RowOf<typeof type> | undefined,
    by: (type, index, key) => (objects.get(type)?.by(index, key) ?? []) as unknown as readonly RowOf<typeof type>[],
    beside: (type, order, row) =>
      (objects.get(type)?.beside(order, row as AnyObject) ?? []).filter(
        (one) => one !== undefined,
      ) as unknown as readonly RowOf<typeof type>[],
    addressHolder: (subnetId, address) =>
      objects
        .get('port')
        ?.by('fixed_ips.ip_address', address)
        .find((port) =>
          (port['fixed_ips'] as readonly { subnet_id: string }[]).some((one) => one.subnet_id === subnetId),
        )?.id,
  };
}

type Entries = readonly (readonly [string, Attribute])[];
const entries = new WeakMap<object, Entries>();

/** Found once a type. */
function attributesOf({ resources }: Deps, type: string): Entries {
  const { storedAttributes } = resources.named(type);
  const known = entries.get(storedAttributes) ?? Object.entries(storedAttributes);
  entries.set(storedAttributes, known);
  return known;
}

/** A key that two objects have, and a reference that leads nowhere. */
function* checkKey(
  objects: Content['objects'],
  wanted: ReadonlyMap<string, Wanted>,
  key: string,
  { kind, object, how, target }: Wanted,
): Iterable<Violation> {
  const other = wanted.get(key);
  if (other !== undefined) {
    yield { rule: 'what is unique is taken once', object, detail: `${key} belongs to ${other.object} already` };
  }
  if (kind === 'mark' || how === 'any' || target === undefined) return;
  if (objects.get(target.type)?.get(target.id) !== undefined) return;
  yield { rule: 'a reference leads somewhere', object, detail: `there is no ${target.type} ${target.id}` };
}

function* checkParents(deps: Deps, objects: Content['objects'], type: string, row: AnyObject): Iterable<Violation> {
  for (const { attribute, type: of, id, onDelete } of deps.resources.heldBy(deps.resources.named(type), row)) {
    if (onDelete !== 'cascade' || objects.get(of)?.get(id) !== undefined) continue;
    yield { rule: 'a reference leads somewhere', object: `${type}/${row.id}`, detail: `${attribute}: no ${of} ${id}` };
  }
}

function* checkObject(deps: Deps, look: Look, type: string, row: AnyObject): Iterable<Violation> {
  for (const [name, attribute] of attributesOf(deps, type)) {
    const wrong = storedProblem(attribute, row[name]);
    if (wrong === undefined) continue;
    yield { rule: 'a value is one of its attribute', object: `${type}/${row.id}`, detail: `${name}: ${wrong}` };
  }
  for (const one of deps.modules.of(type)) {
    for (const broken of one.broken?.(look, row) ?? [])
      yield { ...broken, object: objectKey(type, row.id).slice(OBJECTS.length) };
  }
}
