/** Installs protons and their versions. */
import type { Attributes } from '@cable/api';
import { type AnyObject, CableError } from '@cable/model';
import {
  declaredObjects,
  diffModels,
  type ModelChange,
  type ModelProblem,
  type ProtonModel,
  STORED_VERSION,
} from '@cable/proton';
import type { ActionHandler, Asked, EngineDeps } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { ExtensionError } from '../extensions/extension.ts';
import { changeProton, refuseChanging, whoServes, withinRequest, writeRow } from './change.ts';
import { readStored, versionsOf } from './compose.ts';
import { refuseUnfit } from './fitness.ts';
import {
  digestOfFiles,
  digestOfRow,
  type ProtonRow,
  protonRow,
  type StoredFile,
  type VersionRow,
} from './proton-row.ts';
import { renamedSince } from './renamed.ts';
import { versionsBetween } from './versions.ts';
import { backendNamed, backendProblem, derivationOf } from './vrouter/backends.ts';

/** Versions that one proton may have. */
const VERSIONS_MAX = 8;

/** Protons that may be installed. */
const PROTONS_MAX = 500;

/** Characters of all files of a proton: the store takes so much in one value. */
const FILES_MAX = 768 * 1024;

/** Time of a request, in ms, for what comes after the look at all objects. */
const KEPT_MS = 12_000;

type Wish = {
  readonly files: readonly StoredFile[];
  readonly served?: boolean;
  readonly storage?: boolean;
  /** Empty: none. Absent: as the model says. */
  readonly backend?: string;
  readonly breaking: boolean;
  readonly isDryRun: boolean;
};

/** `POST /cable/v1/protons/install`. Again, it changes nothing. */
export const installProton = async (deps: EngineDeps, body: Attributes, asked: Asked): Promise<unknown> => {
  const wish = wishOf(body);
  const { model, warnings } = readOrRefuse(wish.files);
  const before = rowOf(deps, model.name);
  if (before !== undefined) refuseChanging(deps, before);
  const next = nextRow(deps, before, model, wish);
  const answer = {
    proton: model.name,
    version: model.version,
    changes: [] as readonly unknown[],
    warnings,
  };
  if (before !== undefined && digestOfRow(before) === digestOfRow(next)) {
    return { ...answer, state: 'unchanged', servers: await whoServes(deps, model.name, asked) };
  }
  const changes = before === undefined ? [] : changesBy(before, model);
  refuseBreaking(changes, wish);
  await refuseUnloadable(deps, next);
  if (wish.isDryRun) {
    if (before !== undefined) await refuseUnfit(deps, before, next, withinRequest(deps, asked, KEPT_MS));
    return { ...answer, changes, state: 'would be installed', servers: [] };
  }
  await replaceRow(deps, asked, before, next);
  return { ...answer, changes, state: 'installed', servers: await whoServes(deps, model.name, asked) };
};

/** Writes the new row, once its objects have been seen to be what it takes. */
export async function replaceRow(
  deps: EngineDeps,
  asked: Asked,
  before: ProtonRow | undefined,
  next: ProtonRow,
): Promise<void> {
  if (before === undefined) return writeRow(deps, asked, undefined, next);
  // Most of it while others write: what they change meanwhile is looked at once more.
  await refuseUnfit(deps, before, next, withinRequest(deps, asked, KEPT_MS));
  await changeProton(deps, asked, before, async ({ holdOn }) => {
    await refuseUnfit(deps, before, next, holdOn);
    return next;
  });
}

function wishOf(body: Attributes): Wish {
  const { files, served, storage, backend, breaking, dry_run } = body as {
    readonly files: readonly StoredFile[];
    readonly served?: boolean;
    readonly storage?: boolean;
    readonly backend?: string;
    readonly breaking?: boolean;
    readonly dry_run?: boolean;
  };
  if (files === undefined || files.length === 0) {
    throw new CableError('HTTPBadRequest', 'Invalid input for files. Reason: there are none: give the model’s files.');
  }
  return {
    ...{ files, breaking: breaking === true, isDryRun: dry_run === true },
    ...(served === undefined ? {} : { served }),
    ...(storage === undefined ? {} : { storage }),
    ...(backend === undefined ? {} : { backend }),
  };
}

function readOrRefuse(files: readonly StoredFile[]): {
  readonly model: ProtonModel;
  readonly warnings: readonly string[];
} {
  const read = readStored(files);
  if ('model' in read) return { model: read.model, warnings: read.warnings.map(worded) };
  const { problems } = read;
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  throw new CableError('HTTPBadRequest', `The model has ${count}: ${problems.slice(0, 3).map(worded).join(' ')}`, {
    detail: 'cable proton lint shows them all.',
    fields: { problems },
  });
}

function worded({ file, line, column, text, remedy }: ModelProblem): string {
  return `${file}:${line}:${column}: ${text}. ${remedy}`;
}

function rowOf({ tables }: EngineDeps, name: string): ProtonRow | undefined {
  const row = tables.any(PROTON).get(name);
  return row === undefined ? undefined : protonRow(row);
}

/** The row with the model in it, in the place of the same version if there is one. */
function nextRow(deps: EngineDeps, before: ProtonRow | undefined, model: ProtonModel, wish: Wish): ProtonRow {
  const { name, version } = model;
  // What is said of a version that is there stays, unless the request says it.
  const same = before?.versions.find((one) => one.version === version);
  const served = wish.served ?? same?.served ?? model.served;
  const storage = before === undefined ? true : (wish.storage ?? same?.storage ?? model.storage);
  if (before === undefined && wish.storage === false) {
    throw refused('storage', 'it is the first version: objects are stored as it has them. Leave storage out');
  }
  if (storage && !served)
    throw refused('served', 'the version as which objects are stored is served. Leave one of the two out');
  if (before === undefined && deps.tables.any(PROTON).size >= PROTONS_MAX) {
    throw new CableError('HTTPConflict', `There are ${PROTONS_MAX} protons.`, { detail: 'Remove some first.' });
  }
  const own: VersionRow = {
    ...{ version, file_version: model.fileVersion, digest: digestOfFiles(wish.files), served, storage },
    ...{ deprecated: same?.deprecated ?? model.deprecated, installed_at: deps.now().toISOString() },
  };
  const known = before?.versions ?? [];
  if (known.some((one) => one.version === version && one.storage) && !storage) {
    throw refused('storage', `objects are stored as ${version} has them: make another version the stored one first`);
  }
  const others = known.map((one) => (storage ? { ...one, storage: one.version === version } : one));
  const isNew = !known.some((one) => one.version === version);
  const versions = isNew ? [...others, own] : others.map((one) => (one.version === version ? own : one));
  if (versions.length > VERSIONS_MAX) {
    throw new CableError('HTTPConflict', `${name} has ${VERSIONS_MAX} versions already.`, {
      detail: 'Remove one that nobody needs (cable proton remove-version).',
    });
  }
  const files = { ...before?.files, [version]: wish.files };
  if (JSON.stringify(files).length > FILES_MAX) {
    throw refused('files', `all versions together have more than ${FILES_MAX} characters`);
  }
  // What a newer version of the model says is for who installs that first: a proton keeps what it has.
  const backend = (wish.backend ?? (before === undefined ? model.backend : before.backend) ?? '') || null;
  const derivation = derivationOf(backend) ?? 0;
  return withStored({ ...emptyRow(name), ...before, versions, files, backend, derivation }, before);
}

function emptyRow(name: string): ProtonRow {
  return {
    ...{ id: name, name, description: '', storage_version: '', digest: '', served_versions: [] },
    ...{ versions: [], files: {}, born: {}, change: null, backend: null, derivation: 0 },
  } as unknown as ProtonRow;
}

/** Throws `HTTPConflict` for a version that was converted from and to the stored one, and would not be any more: it would be shown as what it is not. */
function refuseCutOff(before: ProtonRow, next: ProtonRow): void {
  const [was, is] = [versionsOf(before), versionsOf(next)];
  for (const { version } of is.others) {
    const between = versionsBetween(was, version, was.stored.version);
    if (between === undefined || versionsBetween(is, version, is.stored.version) !== undefined) continue;
    const missing = between.filter((one) => !next.versions.some((left) => left.version === one));
    throw new CableError(
      'HTTPConflict',
      missing.length > 0
        ? `${before.name} ${version} is converted by way of ${missing.join(' and ')}.`
        : `No conversions would lead from ${version} to ${is.stored.version} of ${before.name} any more.`,
      { detail: `Remove ${version} first (cable proton remove-version ${before.name} ${version})${CONVERT}.` },
    );
  }
}

const CONVERT = ', or give the newer model conversions from it';

/** What follows from the versions. Throws `HTTPBadRequest` for a back end that cannot read the stored one, and `HTTPConflict` as `refuseCutOff`. */
export function withStored(row: ProtonRow, before: ProtonRow | undefined): ProtonRow {
  const all = versionsOf(row);
  const { stored } = all;
  const problem = row.backend === null ? undefined : backendProblem(row.backend, declaredObjects(all));
  if (problem !== undefined) throw refused('backend', problem);
  const isOther = row.backend !== null && row.backend !== before?.backend;
  const limits = isOther ? backendNamed(row.backend ?? '')?.quotas?.(declaredObjects(all)) : undefined;
  const served = row.versions.filter((one) => one.served).map(({ version }) => version);
  const born = before === undefined ? {} : renamedSince(before, row);
  const quotas = limits === undefined ? {} : { quotas: { ...limits, ...(row.quotas ?? {}) } };
  const next = {
    ...row,
    ...quotas,
    born,
    description: stored.description.slice(0, 4096),
    storage_version: stored.version,
  };
  const made = { ...next, served_versions: served } as ProtonRow;
  if (before !== undefined) refuseCutOff(before, made);
  return { ...made, digest: digestOfRow(made) };
}

function refused(name: string, reason: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: ${reason}.`, {
    fields: { attribute: name },
  });
}

/**
 * Against the same version if it is replaced, else against the one that is stored, whose clients keep what they have. Whether stored objects pass is not for the models to say: they
 * are looked at.
 */
function changesBy(before: ProtonRow, model: ProtonModel): readonly ModelChange[] {
  const known = versionsOf(before);
  const same = [known.stored, ...known.others].find(({ version }) => version === model.version);
  return diffModels(same ?? known.stored, model).map((one) => ({
    ...one,
    breaking: one.breaking && same !== undefined && one.who !== 'stored',
  }));
}

function refuseBreaking(changes: readonly ModelChange[], { breaking }: Wish): void {
  const found = changes.filter((one) => one.breaking);
  if (breaking || found.length === 0) return;
  const words = found.slice(0, 5).map(({ text }) => text);
  throw new CableError('HTTPConflict', `The model breaks what is there: ${words.join('; ')}.`, {
    detail: 'Install it as another version, with conversions, or with breaking: true (--breaking).',
    fields: { changes: found },
  });
}

/** What could not be served is found before anything is written. */
async function refuseUnloadable(deps: EngineDeps, next: ProtonRow): Promise<void> {
  const rows = [...deps.tables.any(PROTON).values()].filter(({ id }) => id !== next.id);
  try {
    const loadout = await deps.composeProtons?.([...rows, next as unknown as AnyObject]);
    if (loadout?.resources.protons.get(next.id) === next.digest) return;
  } catch (err) {
    const why = err instanceof ExtensionError ? err.problem : err instanceof Error ? err.message : String(err);
    throw new CableError('HTTPBadRequest', `The model cannot be served: ${why}`, { cause: err });
  }
  throw new CableError('HTTPBadRequest', 'The model cannot be served: see the server’s log.');
}

/** `PUT /cable/v1/protons/{name}/versions/{version}`. */
export const setVersionOf = async (deps: EngineDeps, id: string, body: Attributes, asked: Asked): Promise<unknown> => {
  const before = needed(deps, id);
  const { version, served, deprecated } = body as { version?: string; served?: boolean; deprecated?: boolean };
  const own = versionNamed(before, version);
  if (own.storage && served === false)
    throw refused('served', `objects are stored as ${own.version} has them, so it is served`);
  const versions = before.versions.map((one) =>
    one === own ? { ...one, served: served ?? one.served, deprecated: deprecated ?? one.deprecated } : one,
  );
  await replaceRow(deps, asked, before, withStored({ ...before, versions }, before));
  await whoServes(deps, id, asked);
  return shown(deps, id, asked);
};

/** `DELETE /cable/v1/protons/{name}/versions/{version}`. */
export const removeVersionOf = async (
  deps: EngineDeps,
  id: string,
  version: string,
  asked: Asked,
): Promise<unknown> => {
  const before = needed(deps, id);
  const own = versionNamed(before, version);
  if (own.storage)
    throw refused('version', `objects are stored as ${own.version} has them: migrate to another one first`);
  const { [own.version]: _gone, ...files } = before.files;
  const versions = before.versions.filter((one) => one !== own);
  const next = withStored({ ...before, versions, files, change: null }, before);
  await changeProton(deps, asked, before, () => {
    const types = deps.resources.current.typesOf(id);
    const left = types
      .flatMap((type) => [...deps.tables.any(type).values()])
      .filter((row) => row[STORED_VERSION] === own.version);
    if (left.length > 0) {
      throw new CableError('HTTPConflict', `${left.length} objects are stored as ${own.version} has them.`, {
        detail: `Migrate them first: cable proton migrate ${id}.`,
      });
    }
    return Promise.resolve(next);
  });
  await whoServes(deps, id, asked);
  return shown(deps, id, asked);
};

function needed(deps: EngineDeps, id: string): ProtonRow {
  const row = rowOf(deps, id);
  if (row === undefined) throw new CableError('NotFound', `Proton ${id} could not be found.`, { label: 'Proton' });
  refuseChanging(deps, row);
  return row;
}

function versionNamed({ versions, name }: ProtonRow, version: string | undefined): VersionRow {
  const found = versions.find((one) => one.version === version);
  if (found !== undefined) return found;
  const words = versions.map((one) => one.version).join(', ');
  throw refused('version', `${name} has no version ${version ?? ''}: there are ${words}`);
}

function shown(deps: EngineDeps, id: string, { credentials }: Parameters<ActionHandler>[3]): unknown {
  return showOne(deps, deps.resources.named(PROTON), id, readerOf(deps, credentials));
}
