import { type Filter, isNeutrons, type ListQuery, matchesFilters, type Shown } from '@cable/api';
import type { Turns } from '@cable/kit';
import { type AnyObject, CableError, grantedAttributes, isGrantedTo, type ResourceModel } from '@cable/model';
import { refusal } from '../policy/authorize.ts';
import type { Visibility } from '../policy/policy.ts';
import { ARBITERED, isMadeUp } from './arbiter.ts';
import { candidatesOf } from './candidates.ts';
import { guard } from './commit.ts';
import type { EngineDeps } from './context.ts';
import { filtersOfGrants } from './grants.ts';
import { isGiven, rowOrImplied } from './implied.ts';
import { cutPage } from './page.ts';
import { hiddenFrom, type Reader, sees } from './reader.ts';
import { walkOf, walkRows } from './walk.ts';

const NONE: Shown = {};

type Deps = Pick<EngineDeps, 'tables' | 'resources' | 'modules' | 'settings' | 'addresses' | 'arbiter'>;

/** Objects of a list request, in its order. */
export type List = {
  readonly objects: readonly AnyObject[];
  /** True: they are the tables' rows, which never change; false: they were made for this list. */
  readonly areRows: boolean;
  /** The computed attributes of one of the objects, as of now; none where the objects have them. */
  computed(object: AnyObject): Shown;
  /** What those are made of besides the object, each a value that never changes; undefined: that is not known. */
  madeOf(object: AnyObject): readonly unknown[] | undefined;
};

export const NO_OBJECTS: List = { objects: [], areRows: false, computed: () => NONE, madeOf: () => undefined };

/**
 * The objects of a list request. Which objects there are, and what is stored of them, is of one moment. Throws `NotFound` for a marker that the caller does not see
 * where the type says so (`missingMarker`). `served`: the form; of implied objects those are listed that were given something of it.
 */
export async function listObjects(
  deps: Deps & Pick<EngineDeps, 'catchUp'>,
  resource: ResourceModel,
  query: ListQuery,
  reader: Reader,
  turns: Turns,
  served: ResourceModel = resource,
): Promise<List> {
  const codec = deps.modules.codecOf(served);
  // What another form shows is looked at as that shows it.
  const isComputed = (name: string): boolean => codec !== undefined || resource.attributes[name]?.computed === true;
  const asked = codec === undefined ? query.filters : [];
  const grants = filtersOfGrants(deps, resource, asked, reader.view.credentials.projectId);
  const viewOf = (row: AnyObject): AnyObject =>
    codec === undefined ? present(deps, resource, row, reader) : codec.toServed(withoutHidden(resource, row, reader));
  const early =
    codec === undefined
      ? grants.wanted.filter((filter) => !isComputed(filter.attribute))
      : query.filters.flatMap((filter) => codec.storedFilter?.(filter) ?? []);
  const late = query.filters.filter((filter) => isComputed(filter.attribute));
  // What an object is looked at for must be what is shown of it.
  const presentFirst =
    codec !== undefined ||
    resource.implied === true ||
    late.length > 0 ||
    query.sort.some((key) => isComputed(key.attribute));
  const visible = reader.view.visibility(resource.type, reader.row);
  if (visible.kind === 'none') return NO_OBJECTS;
  const isSeen = visible.kind === 'all' ? () => true : visible.sees;
  const accept = (row: AnyObject): AnyObject | undefined => {
    if (!matchesFilters(early, row) || !isChangedSince(row, query) || !isSeen(row)) return;
    if (grants.unwanted.some((filter) => matchesFilters([filter], row))) return;
    if (!isGiven(served, row)) return;
    const object = presentFirst ? viewOf(row) : row;
    return matchesFilters(late, object) ? object : undefined;
  };
  const at = query.marker === null ? null : await markerOf(deps, resource, query.marker, { reader, isSeen });
  if (resource.missingMarker === 'nothing' && query.marker !== null && (at === null || accept(at) === undefined))
    return NO_OBJECTS;
  const marker = at !== null && presentFirst ? viewOf(at) : at;
  const wanted = { filters: early, visible, reader, isConverted: codec !== undefined };
  const { portions, isInOrder, mayRepeat } = sourceOf(deps, resource, query, wanted, marker);
  const others = arbitered(deps, resource, query.filters).flatMap((row) => accept(row) ?? []);
  const isWhole = isInOrder && others.length === 0;
  const found = await take(portions, mayRepeat ? onceOnly(accept) : accept, isWhole ? query.limit : 0, turns);
  const objects = isWhole ? oriented(found, query) : await cutPage([...found, ...others], query, marker, turns);
  return {
    objects,
    areRows: resource.stored && !presentFirst,
    computed: (object) => (presentFirst ? NONE : computedOf(deps, resource, object, reader)),
    madeOf: (object) => (presentFirst ? undefined : madeOf(deps, resource, object)),
  };
}

/** Objects to choose from, as of now. */
type Source = {
  readonly portions: Iterable<readonly AnyObject[]>;
  /** They begin behind the query's marker and come in its order. */
  readonly isInOrder: boolean;
  /** Some may come more than once. */
  readonly mayRepeat: boolean;
};

/** The object that a list has of a row; undefined: none. */
type Accept = (row: AnyObject) => AnyObject | undefined;

/** Which objects may be in a list: what filters let pass of what the caller sees. */
type Wanted = {
  readonly filters: readonly Filter[];
  readonly visible: Visibility;
  readonly reader: Reader;
  /** True: what is listed has other attributes than the rows. */
  readonly isConverted: boolean;
};

const UNORDERED = { isInOrder: false, mayRepeat: false };
const ORDERED = { isInOrder: true, mayRepeat: false };

/** What is shown of others’ ports, where a filter names it. */
function arbitered({ arbiter }: Deps, { type }: ResourceModel, filters: readonly Filter[]): readonly AnyObject[] {
  return ARBITERED.has(type) ? (arbiter?.current?.rows(type, filters) ?? []) : [];
}

/** By an index when it leads to few rows; else along an order of the table, no further than the limit. */
function sourceOf(
  deps: Deps,
  resource: ResourceModel,
  query: ListQuery,
  { filters, visible, reader, isConverted }: Wanted,
  marker: AnyObject | null,
): Source {
  if (!resource.stored) {
    return { ...UNORDERED, portions: [unstored(deps, resource, reader, filters)] };
  }
  const table = deps.tables.any(resource.type);
  const candidates = candidatesOf(deps, resource, filters, visible);
  const walk = isConverted && query.sort.length > 0 ? undefined : walkOf(query);
  const rows = walk === undefined ? undefined : table.sorted(walk.order);
  const isPaged = rows !== undefined && query.limit > 0;
  // As many rows have to be passed for one that is wanted as there are for a candidate.
  const passed = isPaged && candidates !== undefined ? (query.limit * table.size) / candidates.count : table.size;
  // A row that is looked up costs more than one that is passed.
  if (candidates !== undefined && candidates.count <= Math.min(passed, table.size) / 2) {
    return { ...UNORDERED, portions: candidates.portions(), mayRepeat: candidates.mayRepeat };
  }
  if (walk === undefined || rows === undefined) {
    return { ...UNORDERED, portions: table.sorted('id') ?? [] };
  }
  return { ...ORDERED, portions: walkRows(rows, walk, marker) };
}

/** A reversed page was looked for from its end. */
function oriented(found: AnyObject[], { pageReverse }: ListQuery): readonly AnyObject[] {
  return pageReverse ? found.reverse() : found;
}

/** The row that the page is behind, whether it passes the filters or not; null: the page is the first one. That it is not there is said after the tables have caught up with the store. */
async function markerOf(
  deps: Deps & Pick<EngineDeps, 'catchUp'>,
  resource: ResourceModel,
  id: string,
  { reader, isSeen }: { readonly reader: Reader; readonly isSeen: (row: AnyObject) => boolean },
): Promise<AnyObject | null> {
  const find = (): AnyObject | undefined =>
    resource.stored
      ? deps.tables.any(resource.type).get(id)
      : unstored(deps, resource, reader, [idFilter(id)]).find((one) => one.id === id);
  const isLearnt = async (): Promise<boolean> => resource.stored && (await guard(() => deps.catchUp.run()));
  const row = find() ?? ((await isLearnt()) ? find() : undefined);
  if (row !== undefined && isSeen(row)) return row;
  if (resource.missingMarker === 'refused' || !isNeutrons(resource)) throw notFound(resource, id);
  return null;
}

function idFilter(id: string): Filter {
  return { attribute: 'id', property: null, values: [id], substring: false };
}

function onceOnly(accept: Accept): Accept {
  const seen = new Set<AnyObject>();
  return (row) => {
    if (seen.has(row)) return undefined;
    seen.add(row);
    return accept(row);
  };
}

/** Those that are accepted; `most`: no more than so many, 0: all. */
async function take(
  portions: Iterable<readonly AnyObject[]>,
  accept: Accept,
  most: number,
  turns: Turns,
): Promise<AnyObject[]> {
  const found: AnyObject[] = [];
  for (const portion of portions) {
    for (const row of portion) {
      if (turns.due()) await turns.next();
      const object = accept(row);
      if (object === undefined) continue;
      found.push(object);
      if (found.length === most) return found;
    }
  }
  return found;
}

/** The row without what the caller does not see of it. */
export function withoutHidden(resource: ResourceModel, row: AnyObject, reader: Reader): AnyObject {
  const hidden = hiddenFrom(reader, resource, row);
  if (hidden.size === 0) return row;
  return Object.fromEntries(Object.entries(row).filter(([name]) => !hidden.has(name))) as AnyObject;
}

/** One object that the caller may see, computed attributes filled in. Throws `NotFound`. */
export function showOne(deps: Deps, resource: ResourceModel, id: string, reader: Reader): AnyObject {
  return present(deps, resource, rowFor(deps, resource, id, reader), reader);
}

/** The row of an object that the caller may see; that it is not there is said only after the tables have caught up with the store. */
export async function currentRow(
  deps: Deps & Pick<EngineDeps, 'catchUp'>,
  resource: ResourceModel,
  id: string,
  reader: Reader,
): Promise<AnyObject> {
  if (resource.implied === true && deps.tables.any(resource.type).get(id) === undefined) {
    await guard(() => deps.catchUp.run());
  }
  try {
    return rowFor(deps, resource, id, reader);
  } catch (err) {
    if (!resource.stored || !(await guard(() => deps.catchUp.run()))) throw err;
    return rowFor(deps, resource, id, reader);
  }
}

/** The row of an object that the caller may see. Throws `NotFound`, and `PolicyNotAuthorized` for one of those of which there is one for each key. */
export function rowFor(deps: Deps, resource: ResourceModel, id: string, reader: Reader): AnyObject {
  const row = resource.stored
    ? (rowOrImplied(resource, id, deps.tables.any(resource.type).get(id)) ?? madeUp(deps, resource, id))
    : unstored(deps, resource, reader).find((one) => one.id === id);
  if (row !== undefined && sees(reader, resource, row)) return row;
  if (row !== undefined && resource.implied === true) throw refusal([`get_${resource.type}`]);
  throw notFound(resource, id);
}

function madeUp({ arbiter }: Deps, { type }: ResourceModel, id: string): AnyObject | undefined {
  return ARBITERED.has(type) ? arbiter?.current?.row(type, id) : undefined;
}

/** Fills in the computed attributes. */
export function present(deps: Deps, resource: ResourceModel, row: AnyObject, reader: Pick<Reader, 'view'>): AnyObject {
  const computed = computedOf(deps, resource, row, reader);
  return computed === NONE ? row : { ...row, ...computed };
}

/** The computed attributes of a row, as of now, and those that are true to some callers only. */
export function computedOf(
  deps: Deps,
  resource: ResourceModel,
  row: AnyObject,
  { view: { credentials } }: Pick<Reader, 'view'>,
): Shown {
  if (isMadeUp(row)) return NONE;
  let computed: Record<string, unknown> | undefined;
  for (const [name, list] of grantedAttributes(resource)) {
    computed ??= {};
    computed[name] = isGrantedTo(row[list], credentials.projectId);
  }
  for (const { present: make } of deps.modules.of(resource.type)) {
    if (make !== undefined) computed = Object.assign(computed ?? {}, make(deps.tables, row, deps));
  }
  return computed ?? NONE;
}

/** What the computed attributes of a row are made of besides it; undefined: a contribution does not say it of its own, or they are the caller's. */
function madeOf(deps: Deps, resource: ResourceModel, row: AnyObject): readonly unknown[] | undefined {
  if (grantedAttributes(resource).length > 0 || isMadeUp(row)) return undefined;
  const contributions = deps.modules.of(resource.type);
  // Others may be loaded, which make others of the same.
  const found: unknown[] = [contributions];
  for (const { present: make, madeOf: of } of contributions) {
    if (make === undefined) continue;
    const one = of?.(deps.tables, row);
    if (one === undefined) return undefined;
    found.push(...one);
  }
  return found;
}

/** Neutron's words: those of the type, or `Network <id> could not be found.` */
export function notFound({ label, notFound: own }: Pick<ResourceModel, 'label' | 'notFound'>, id: string): CableError {
  const words = label.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
  const general = `${words.charAt(0).toUpperCase()}${words.slice(1)} {id} could not be found.`;
  const message = (own ?? general).replace('{id}', () => id.slice(0, 300));
  return new CableError('NotFound', message, { label, fields: { id } });
}

function isChangedSince(row: AnyObject, query: ListQuery): boolean {
  return query.changedSince === null || String(row['updated_at'] ?? '') >= query.changedSince;
}

/** Objects of a type that is not stored. */
function unstored(
  { tables, modules }: Deps,
  resource: ResourceModel,
  reader: Reader,
  filters: readonly Filter[] = [],
): readonly AnyObject[] {
  return modules.of(resource.type).flatMap((one) => one.rows?.(tables, filters, reader) ?? []);
}
