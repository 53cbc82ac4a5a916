/** Whether the objects that are there are what another state of their proton takes. */
import { startTurns } from '@cable/kit';
import { type AnyObject, CableError } from '@cable/model';
import { declaredObjects } from '@cable/proton';
import type { EngineDeps } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { createKeyMaker, type ObjectKey } from '../engine/keys-of.ts';
import { Modules } from '../engine/module.ts';
import { lookAt } from '../engine/plan.ts';
import { storedProblem } from '../engine/stored-values.ts';
import type { Loadout } from '../extensions/loadout.ts';
import type { HoldOn } from './change.ts';
import { composeProton, versionsOf } from './compose.ts';
import type { ProtonRow } from './proton-row.ts';
import { conversionBetween, isBackward } from './versions.ts';

/** Objects that an error names. */
const NAMED = 3;

/**
 * Throws `HTTPConflict`, which says how many are not, and why the first ones. `holdOn`: throws when that takes too long. An object that has not changed since it was looked
 * at for the same is not looked at again: whoever asks again goes on.
 */
export async function refuseUnfit(deps: EngineDeps, before: ProtonRow, next: ProtonRow, holdOn: HoldOn): Promise<void> {
  const types = deps.resources.current.typesOf(before.id);
  if (types.every((type) => deps.tables.any(type).size === 0)) return;
  if (before.backend !== next.backend) {
    const [was, is] = [before.backend, next.backend].map((one) => one ?? 'none');
    throw new CableError(
      'HTTPConflict',
      `${before.name} has objects: its back end stays ${was}, and is not to be ${is}.`,
      {
        detail: 'Delete them first, or install the model with the back end that it has.',
      },
    );
  }
  const look = await lookFor(deps, before, next);
  if (look === undefined) return;
  const unfit: string[] = [];
  let [count, looked] = [0, 0];
  const all = types.reduce((sum, type) => sum + deps.tables.any(type).size, 0);
  const turns = startTurns();
  for (const type of types) {
    for (const row of deps.tables.any(type).values()) {
      if (turns.due()) {
        await turns.next();
        holdOn(`${looked} of ${all} objects of ${next.name} have been looked at; nothing is changed yet.`);
      }
      looked += 1;
      const wrong = look(type, row);
      if (wrong === undefined) continue;
      count += 1;
      if (unfit.length < NAMED) unfit.push(`${type.split('.').at(-1)} ${row.id}: ${wrong}`);
    }
  }
  if (count === 0) return;
  throw new CableError('HTTPConflict', `${count} objects would not be what the model takes: ${unfit.join('; ')}.`, {
    detail: 'Change or delete them first, or give the model conversions and defaults.',
  });
}

type Judge = (type: string, row: AnyObject) => string | undefined;

/** What a look is for, and what it has found of each row; rows never change. */
type Look = { readonly purpose: string; readonly judge: Judge };

/** The last one for each proton. */
const looks = new WeakMap<EngineDeps['tables'], Map<string, Look>>();

/** Undefined: this server reads no models. */
async function lookFor(deps: EngineDeps, before: ProtonRow, next: ProtonRow): Promise<Judge | undefined> {
  const others = [...deps.tables.any(PROTON).values()].filter(({ id }) => id !== next.id);
  const purpose = JSON.stringify([before.digest, next.digest, others.map(({ id, digest }) => [id, digest])]);
  const own = looks.get(deps.tables) ?? new Map<string, Look>();
  looks.set(deps.tables, own);
  const known = own.get(next.id);
  if (known?.purpose === purpose) return known.judge;
  const loadout = await deps.composeProtons?.([...others, next as unknown as AnyObject]);
  if (loadout === undefined) return undefined;
  const judge = remembering(judgeOf(deps, before, next, loadout));
  own.set(next.id, { purpose, judge });
  return judge;
}

function remembering(judge: Judge): Judge {
  const found = new WeakMap<AnyObject, string | null>();
  return (type, row) => {
    const wrong = found.get(row) ?? (found.has(row) ? undefined : judge(type, row));
    found.set(row, wrong ?? null);
    return wrong;
  };
}

function judgeOf(deps: EngineDeps, before: ProtonRow, next: ProtonRow, loadout: Loadout): Judge {
  const made = composeProton(next);
  const was = composeProton(before);
  const look = lookAt(deps);
  const newKeys = createKeyMaker({ current: loadout.resources }, new Modules(loadout.modules));
  const isMoved = before.storage_version !== next.storage_version;
  const loses = isMoved ? lossOf(before, next) : () => undefined;
  return (type, row) => {
    if (!loadout.resources.has(type)) return 'there is no such type any more';
    const resource = loadout.resources.named(type);
    const converted = isMoved ? made.upgrades[type]?.(row) : undefined;
    const after = (converted ?? row) as AnyObject;
    for (const [name, attribute] of Object.entries(resource.storedAttributes)) {
      const value = after[name] ?? attribute.default;
      const wrong = storedProblem(attribute, value);
      if (wrong !== undefined) return `${name}: ${wrong}`;
      if (attribute.required === true && (value === undefined || value === null)) return `${name}: it is missing`;
    }
    try {
      made.contributions?.[type]?.check?.(look as never, after, undefined);
    } catch (err) {
      return err instanceof Error ? err.message : String(err);
    }
    const lost = loses(type, row, after);
    if (lost !== undefined) return lost;
    const had = keysOf(deps.keys.keysOf(type, row, look));
    const has = keysOf(newKeys.keysOf(type, after, look));
    return had === has || was.contributions === undefined
      ? undefined
      : 'other values of it would be unique, or refer to others';
  };
}

/** What an older version cannot hold of an object. What a newer one leaves out it says itself. */
function lossOf(
  before: ProtonRow,
  next: ProtonRow,
): (type: string, row: AnyObject, after: AnyObject) => string | undefined {
  const versions = versionsOf(next);
  const was = [versions.stored, ...versions.others].find(({ version }) => version === before.storage_version);
  if (was === undefined || !isBackward(versions, was.version, versions.stored.version)) return () => undefined;
  const ways = new Map(
    declaredObjects(versions).map(({ type, others }) => {
      const object = others.get(was.version);
      const convert =
        object === undefined
          ? undefined
          : conversionBetween(versions, versions.stored.version, was.version, object.name);
      return [type, { object, convert }] as const;
    }),
  );
  return (type, row, after) => {
    const { object, convert } = ways.get(type) ?? {};
    if (object === undefined) return undefined;
    const back = convert?.(after) ?? after;
    const lost = object.attributes.find(
      ({ name }) => JSON.stringify(back[name] ?? null) !== JSON.stringify(row[name] ?? null),
    );
    return lost === undefined ? undefined : `${lost.name}: version ${versions.stored.version} cannot hold it`;
  };
}

function keysOf(keys: ReadonlyMap<string, ObjectKey>): string {
  return [...keys.keys()].sort().join('\n');
}
