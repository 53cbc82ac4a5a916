/** A proton’s row as what is loaded: declaration, rules, and what its types do. Pure. */
import {
  declarationOf,
  declaredObjects,
  type ProtonModel,
  type ProtonVersions,
  type ReadAnswer,
  readModel,
  STORED_VERSION,
} from '@cable/proton';
import type { LoadedProtonExtension } from '../extensions/loadout.ts';
import type { Upgrade } from '../object-text.ts';
import { contributionsOf } from './contributions.ts';
import type { ProtonRow, StoredFile } from './proton-row.ts';
import { rulesOf } from './rules.ts';
import { conversionBetween } from './versions.ts';
import { derivationOf } from './vrouter/backends.ts';

/** Throws an `Error` for what this server cannot read. */
export function composeProton(row: ProtonRow): LoadedProtonExtension {
  const versions = versionsOf(row);
  const declared = declaredObjects(versions);
  refuseHidden(versions);
  const { stored } = versions;
  const isWritten = derivationOf(row.backend) === row.derivation;
  const upgrades = declared.map(({ type, object }): [string, Upgrade] => {
    const ways = new Map(
      versions.others.map(({ version }) => [
        version,
        conversionBetween(versions, version, stored.version, object.name),
      ]),
    );
    return [type, (fields) => ways.get(String(fields[STORED_VERSION] ?? stored.version))?.(fields) ?? fields];
  });
  return {
    file: `proton ${row.name}`,
    // It shows what is there and writes nothing: its digest is never that of the row.
    proton: { name: row.name, digest: isWritten ? row.digest : `${row.digest} with another back end` },
    declaration: declarationOf(versions, row.digest),
    rules: rulesOf(versions, declared),
    contributions: contributionsOf(versions, declared, { born: row.born, backend: isWritten ? row.backend : null }),
    upgrades: Object.fromEntries(upgrades),
  };
}

/** Names that begin with an underscore are the engine's, in every object. */
function refuseHidden({ stored, others }: ProtonVersions): void {
  for (const { objects } of [stored, ...others]) {
    for (const { name, attributes } of objects) {
      const odd = attributes.find((one) => one.name.startsWith('_') || one.name === STORED_VERSION);
      if (odd !== undefined) throw new Error(`${name}.${odd.name}: no attribute can have that name: give it another`);
    }
  }
}

/** The models of the row's versions. */
export function versionsOf({ name, versions, files }: Pick<ProtonRow, 'name' | 'versions' | 'files'>): ProtonVersions {
  const models = versions.map(({ version, served, storage, deprecated }) => {
    return { ...modelOf(name, files[version] ?? []), served, storage, deprecated };
  });
  const stored = models.find(({ storage }) => storage);
  if (stored === undefined) throw new Error(`${name} has no version that is stored`);
  return { stored, others: models.filter((one) => one !== stored) };
}

/** Reads the files of one model. */
export function readStored(files: readonly StoredFile[]): ReadAnswer {
  const imports = files.filter((one) => one.import === true).map(({ name, text }) => [name, text] as const);
  return readModel(
    files.filter((one) => one.import !== true),
    { imports: Object.fromEntries(imports) },
  );
}

/** By their files: rows never change. */
const known = new WeakMap<readonly StoredFile[], ProtonModel>();

function modelOf(name: string, files: readonly StoredFile[]): ProtonModel {
  const model = known.get(files) ?? readOrThrow(name, files);
  known.set(files, model);
  return model;
}

function readOrThrow(name: string, files: readonly StoredFile[]): ProtonModel {
  const read = readStored(files);
  if ('model' in read) return read.model;
  const [first] = read.problems;
  throw new Error(`${name}: ${first?.file}:${first?.line}: ${first?.text}`);
}
