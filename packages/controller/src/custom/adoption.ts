/**
 * Handing over: an object of the namespace's own project that Neutron's door has made becomes a custom resource's, by the annotation `cable.io/adopt` with its ID, and
 * back again, by `cable.io/deletion-policy`: `retain` (docs/design/custom-resources.md).
 */
import { isDeepStrictEqual } from 'node:util';
import { type AnyObject, isUuid } from '@cable/model';
import { SHOWN_ID } from './views.ts';
import {
  ADOPTED,
  type Adoptable,
  type CustomKind,
  type CustomObject,
  type Described,
  Unmet,
  type Work,
} from './work.ts';

/** On a custom resource: ID of what it takes over; of a Gateway several, with commas between. */
export const ADOPT = 'cable.io/adopt';

/** On a custom resource: what becomes of the object when it is deleted; `delete`, which is the default, or `retain`. */
const DELETION_POLICY = 'cable.io/deletion-policy';

/** Undefined: it takes over nothing. */
export function adoptOf({ metadata }: CustomObject): string | undefined {
  return metadata.annotations?.[ADOPT];
}

/** True: there is something to be taken over still. */
export function isAdopting(object: CustomObject): boolean {
  const text = adoptOf(object);
  return text !== undefined && object.metadata.annotations?.[ADOPTED] !== text;
}

/** What becomes of its objects with it. What was not wholly taken over is never deleted. Undefined: what the annotation says is neither. */
export function deletionOf(object: CustomObject): 'delete' | 'retain' | undefined {
  if (isAdopting(object)) return 'retain';
  const text = object.metadata.annotations?.[DELETION_POLICY] ?? 'delete';
  return text === 'delete' || text === 'retain' ? text : undefined;
}

/** Why nothing is deleted whose policy is neither. */
export const ODD_POLICY: string = `${DELETION_POLICY}: give delete or retain`;

/**
 * Lets Cable know that what the annotation names is this one's. Answers what is to be changed of the custom resource then, with which it is wholly taken over: what spec
 * does not say is filled in with what the object has, of a view all of it. Whoever dies in between goes on here: what is its own already is not taken twice. Throws `Unmet`.
 */
export async function takeOver(work: Work, kind: CustomKind): Promise<Readonly<Record<string, unknown>>> {
  const { object } = work;
  const { adoptable } = kind;
  const text = adoptOf(object) ?? '';
  const ids = idsIn(text, adoptable);
  await refuseOther(work, kind, ids);
  const rows = await rowsOf(work, adoptable, ids);
  if (!rows.every((row) => row['cable:cluster'] === work.deps.cluster && row['cable:origin'] === work.origin)) {
    const described = await adoptable.describe(work, rows);
    await adoptable.check?.(work, rows, specOf(object, described));
    for (const { id } of rows)
      await work.client.action('kubernetes_cluster', work.deps.cluster, 'adopt', {
        object_id: id,
        origin: work.origin,
      });
  }
  // As it is now that nobody else changes it.
  const described = await adoptable.describe(work, await rowsOf(work, adoptable, ids));
  const spec = specOf(object, described);
  const cleared = Object.keys(object.spec ?? {}).filter((name) => spec[name] === undefined);
  const { resourceVersion } = object.metadata;
  return {
    metadata: { resourceVersion, annotations: { [ADOPTED]: text, [SHOWN_ID]: null } },
    spec: { ...Object.fromEntries(cleared.map((name) => [name, null])), ...spec },
  };
}

/** Of a view what the object has counts: what it shows may be older. Of others what spec says. */
function specOf(object: CustomObject, described: Described): Described {
  return wasView(object) ? described : { ...described, ...object.spec };
}

function wasView({ metadata }: CustomObject): boolean {
  return metadata.annotations?.[SHOWN_ID] !== undefined;
}

function idsIn(text: string, { types }: Adoptable): readonly string[] {
  const ids = text.split(',').map((one) => one.trim());
  if (!ids.every(isUuid)) throw new Unmet('Invalid', `${ADOPT}: ${text} is no ID of an object in Cable’s API`);
  if (ids.length > 1 && types.length === 1) throw new Unmet('Invalid', `${ADOPT}: give one ID`);
  return ids;
}

/** It would have two. */
async function refuseOther(work: Work, { declared, adoptable }: CustomKind, ids: readonly string[]): Promise<void> {
  for (const type of adoptable.types) {
    const other = (await work.rows(type)).find(({ id }) => !ids.includes(id));
    if (other === undefined) continue;
    const remedy = `take the annotation away, or make another ${declared.kind} with it`;
    throw new Unmet('Invalid', `${ADOPT}: it has ${type} ${other.id} already: ${remedy}`);
  }
}

/** Each as the project of the namespace sees it. Throws `Unmet` for what is not there, or is another project's. */
async function rowsOf(work: Work, { types }: Adoptable, ids: readonly string[]): Promise<readonly AnyObject[]> {
  return await Promise.all(
    ids.map(async (id) => {
      for (const type of types) {
        const [row] = (await work.client.list(type, { id })) as readonly AnyObject[];
        if (row !== undefined && row['project_id'] === work.projectId) return row;
      }
      throw new Unmet('NotFound', `${ADOPT}: project ${work.projectId} has no ${types.join(' or ')} ${id}`);
    }),
  );
}

/** The first of what is taken over one by one. */
export function onlyRow(rows: readonly AnyObject[]): AnyObject {
  const [row] = rows;
  if (row === undefined) throw new Error('nothing is taken over');
  return row;
}

/** What spec has no words for would be lost. */
export function notAdoptable(what: string): Unmet {
  return new Unmet(
    'NotAdoptable',
    `${ADOPT}: ${what}, for which spec has no words: change that by Neutron’s API first`,
  );
}

/** Throws `Unmet` unless both are the same. */
export function refuseDiffering(field: string, is: unknown, wanted: unknown): void {
  if (isDeepStrictEqual(is, wanted)) return;
  throw new Unmet('Immutable', `${ADOPT}: ${field} is ${JSON.stringify(is)}, and cannot be changed: say so in spec`);
}

/** For spec: without what is null or empty. */
export function given(fields: Readonly<Record<string, unknown>>): Described {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isNothing(value)));
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}
