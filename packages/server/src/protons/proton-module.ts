/** Protons as resources: what installs, changes and removes them is loaded when it is first asked for. */
import { type AnyObject, CableError } from '@cable/model';
import type { ActionHandler, EngineDeps } from '../engine/context.ts';
import { PROTON, ProtonBusy } from '../engine/fences.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { permitRead } from '../engine/permission.ts';
import { rowFor } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { objectPrefix } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { type ProtonRow, protonRow } from './proton-row.ts';

/** Hidden attribute of every object: the version as which it is stored. */
const STORED_VERSION = 'stored_version';

const install: ActionHandler = async (deps, _id, body, asked) => {
  permit(deps, asked, 'install', { id: '' });
  const { installProton } = await import('./install.ts');
  return installProton(deps, body, asked);
};

const migrate: ActionHandler = async (deps, id, body, asked) => {
  permit(deps, asked, 'migrate', rowOf(deps, id, asked));
  const { migrateProton } = await import('./migrate.ts');
  return migrateProton(deps, id, body, asked);
};

const setVersion: ActionHandler = async (deps, id, body, asked, { version = '' }) => {
  permit(deps, asked, 'set_version', rowOf(deps, id, asked));
  const { setVersionOf } = await import('./install.ts');
  return setVersionOf(deps, id, { ...body, version }, asked);
};

const removeVersion: ActionHandler = async (deps, id, _body, asked, { version = '' }) => {
  permit(deps, asked, 'remove_version', rowOf(deps, id, asked));
  const { removeVersionOf } = await import('./install.ts');
  return removeVersionOf(deps, id, version, asked);
};

const setQuota: ActionHandler = async (deps, id, body, asked) => {
  permit(deps, asked, 'set_quota', rowOf(deps, id, asked));
  const { setQuotaOf } = await import('./quota.ts');
  return setQuotaOf(deps, id, body, asked);
};

const model: ActionHandler = (deps, id, _body, asked) => {
  const row = rowOf(deps, id, asked);
  permit(deps, asked, 'model', row);
  const { versions, files } = protonRow(row);
  return Promise.resolve({ versions: versions.map((one) => ({ ...one, files: files[one.version] ?? [] })) });
};

type Asked = Parameters<ActionHandler>[3];

function permit(deps: EngineDeps, { credentials }: Asked, action: string, before: AnyObject): void {
  permitRead(deps, { credentials, row: () => undefined }, { type: PROTON, action, before });
}

function rowOf(deps: EngineDeps, id: string, { credentials }: Asked): AnyObject {
  return rowFor(deps, deps.resources.named(PROTON), id, readerOf(deps, credentials));
}

/** Protons. */
export const protonModule: Contribution<AnyObject> = contribute<AnyObject>({
  clear: async (deps, id, asked, ifRevision) => {
    if (!asked.isSet('objects')) return false;
    permit(deps, asked, 'remove_version', rowOf(deps, id, asked));
    const { removeObjects } = await import('./remove.ts');
    await removeObjects(deps, id, asked, ifRevision);
    return true;
  },
  remove: ({ deps, plan }, row) => {
    // Which types it has only who has loaded it knows.
    if (deps.resources.current.protons.get(row.id) !== row['digest']) throw new ProtonBusy(row.id);
    const counts = countsOf(deps.tables, deps.resources.current.typesOf(row.id));
    const used = counts.filter(({ count }) => count > 0);
    if (used.length > 0) throw inUse(protonRow(row), used);
    for (const { type } of counts) plan.requireEmpty(objectPrefix(type), []);
  },
  present: (tables, row, { resources }) => {
    const { name, storage_version, digest } = protonRow(row);
    const types = resources.current.typesOf(name);
    const rows = types.flatMap((type) => (tables.has(type) ? [...tables.any(type).values()] : []));
    const servers = [...tables.of('server').values()];
    return {
      objects: rows.length,
      unmigrated: rows.filter((one) => one[STORED_VERSION] !== storage_version).length,
      loaded: servers.filter(({ protons }) => protons[name] === digest).map(({ place, id }) => place || id),
    };
  },
  actions: { install, migrate, set_version: setVersion, remove_version: removeVersion, set_quota: setQuota, model },
});

/** How many objects there are, by type. */
export function countsOf(
  tables: Tables,
  types: readonly string[],
): readonly { readonly type: string; readonly count: number }[] {
  return types.map((type) => ({ type, count: tables.has(type) ? tables.any(type).size : 0 }));
}

function inUse({ name }: ProtonRow, used: readonly { readonly type: string; readonly count: number }[]): CableError {
  const words = used.map(({ type, count }) => `${type.split('.').at(-1)}: ${count}`).join(', ');
  return new CableError('InUse', `The proton ${name} has objects (${words}).`, {
    label: 'Proton',
    detail: 'Delete them first, or remove it with its objects (?objects=true, cable proton remove --objects).',
  });
}
