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
import { composeProton, versionsOf } from './compose.ts';
import type { ProtonRow } from './proton-row.ts';
import { conversionBetween, isBackward } from './versions.ts';

/** Objects that an error names. */
const NAMED = 3;

/** Throws `HTTPConflict`, which says how many are not, and why the first ones. `holdOn`: throws when that takes too long. */
export async function refuseUnfit(
  deps: EngineDeps,
  before: ProtonRow,
  next: ProtonRow,
  holdOn: () => void,
): Promise<void> {
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
  const others = [...deps.tables.any(PROTON).values()].filter(({ id }) => id !== next.id);
  const loadout = await deps.composeProtons?.([...others, next as unknown as AnyObject]);
  if (loadout === undefined) return;
  const unfit: string[] = [];
  let count = 0;
  const turns = startTurns();
  const look = judgeOf(deps, before, next, loadout);
  for (const type of types) {
    for (const row of deps.tables.any(type).values()) {
      if (turns.due()) {
        await turns.next();
        holdOn();
      }
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
  const names = new Map(declaredObjects(versions).map(({ type, others }) => [type, others.get(was.version)]));
  return (type, row, after) => {
    const object = names.get(type);
    if (object === undefined) return undefined;
    const back = conversionBetween(versions, versions.stored.version, was.version, object.name)?.(after) ?? after;
    const lost = object.attributes.find(
      ({ name }) => JSON.stringify(back[name] ?? null) !== JSON.stringify(row[name] ?? null),
    );
    return lost === undefined ? undefined : `${lost.name}: version ${versions.stored.version} cannot hold it`;
  };
}

function keysOf(keys: ReadonlyMap<string, ObjectKey>): string {
  return [...keys.keys()].sort().join('\n');
}
