/** The row of a proton, as this code reads it. */
import { createHash } from 'node:crypto';
import type { AnyObject, Proton } from '@cable/model';

/** A file of a model. `import`: the others import it, by its name. */
export type StoredFile = { readonly name: string; readonly text: string; readonly import?: boolean };

/** One version of a proton, without its files. */
export type VersionRow = {
  readonly version: string;
  readonly file_version: string;
  readonly digest: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly deprecated: boolean;
  readonly installed_at: string;
};

/** The row with its parts. */
export type ProtonRow = Omit<Proton, 'versions' | 'files' | 'born'> & {
  readonly versions: readonly VersionRow[];
  /** By version. */
  readonly files: Readonly<Record<string, readonly StoredFile[]>>;
  /** By object and attribute, `VpnService.name`: the name that its claims have, where that is another. */
  readonly born: Readonly<Record<string, string>>;
};

/** A row of the table. */
export function protonRow(row: AnyObject): ProtonRow {
  return row as unknown as ProtonRow;
}

/** Of a model's files: the same whatever order they are in. */
export function digestOfFiles(files: readonly StoredFile[]): string {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  return shortHash(JSON.stringify(sorted.map((one) => [one.name, one.text, one.import === true])));
}

/** Of everything that servers load of a proton. */
export function digestOfRow({
  versions,
  born,
  backend,
  derivation,
}: Pick<ProtonRow, 'versions' | 'born' | 'backend' | 'derivation'>): string {
  const loaded = versions.map(({ version, digest, served, storage, deprecated }) => {
    return [version, digest, served, storage, deprecated];
  });
  const ofBackend = backend === null ? [] : [backend, derivation];
  return shortHash(JSON.stringify([loaded, Object.entries(born).sort(), ...ofBackend]));
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
