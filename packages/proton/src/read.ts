/** Reads model files of both formats. */
import { inventedKey, readAttribute1 } from './attributes-1.ts';
import { readAttribute2 } from './attributes-2.ts';
import { BUILT_IN_IMPORTS } from './base.ts';
import { checkModel } from './checks.ts';
import { readConversions } from './conversions.ts';
import { asMap, asText, asWord, checkKeys, flagAt, isInherited, listed, mapAt, textAt, wordAt } from './fields.ts';
import { finishObjects } from './finish.ts';
import { choosePrimary, type DraftAttribute, type DraftObject, linkObjects } from './links.ts';
import type { ModelFile, ModelProblem, ProtonModel } from './model.ts';
import { type MergedObject, mergeObjects, type ObjectDialect, readApi, readObjects } from './objects.ts';
import { type Place, Problems } from './problems.ts';
import { SCHEMAS_MAX } from './schema.ts';
import { type Entry, type MapTree, readTree, TEXT_MAX } from './tree.ts';

/** Warnings are of what is read, but in a way that may not be meant. */
export type ReadAnswer =
  | { readonly model: ProtonModel; readonly warnings: readonly ModelProblem[] }
  | { readonly problems: readonly ModelProblem[]; readonly warnings: readonly ModelProblem[] };

export type ReadOptions = {
  /** What may be imported besides what is built in, by path relative to the directory of models. */
  readonly imports?: Readonly<Record<string, string>>;
};

type Version = ProtonModel['fileVersion'];

/** Reads all files of one model, which are laid together. Answers everything that is wrong, not the first only. Whatever the files are: it ends soon. */
export function readModel(files: readonly ModelFile[], options: ReadOptions = {}): ReadAnswer {
  const problems = new Problems();
  const model = readFiles(files, options.imports ?? {}, problems);
  if (model === undefined || problems.hasErrors) return { problems: problems.errors, warnings: problems.warnings };
  return { model, warnings: problems.warnings };
}

function readFiles(
  files: readonly ModelFile[],
  imports: Readonly<Record<string, string>>,
  problems: Problems,
): ProtonModel | undefined {
  const sorted = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const [first] = sorted;
  const start: Place = { file: first?.name ?? 'model', line: 1, column: 1 };
  if (first === undefined) problems.error(start, 'there is no file', 'Name a file, or a directory that has some');
  const length = sorted.reduce((sum, { text }) => sum + text.length, 0);
  if (length > TEXT_MAX) {
    problems.error(start, `the model has ${length} characters`, `Write at most ${TEXT_MAX}`);
    return undefined;
  }
  const roots = sorted.map((file) => readRoot(file, problems));
  const whole = roots.filter((root) => root !== undefined);
  if (whole.length < roots.length || whole.length === 0) return undefined;
  const version = commonVersion(whole, problems);
  return version === undefined ? undefined : readRoots(whole, version, imports, problems);
}

type Root = { readonly file: string; readonly map: MapTree; readonly version: Version };

const VERSIONS: readonly Version[] = ['1.0', '2.0'];

/** Gluon read YAML 1.1; whoever writes 2.0 means 1.2. */
function readRoot(file: ModelFile, problems: Problems): Root | undefined {
  const isNew = /\bfile_version["']?\s*:\s*["']?2/.test(file.text);
  const tree = readTree(file, isNew ? '1.2' : '1.1', problems);
  const map = tree === undefined ? undefined : asMap(tree, 'the file', problems);
  if (map === undefined) return undefined;
  const entry = map.entries.get('file_version');
  if (entry === undefined) {
    problems.error(map.at, 'there is no file_version', 'Write file_version: "1.0", or "2.0"');
    return undefined;
  }
  const text = asText(entry, 'file_version', problems);
  const version = VERSIONS.find((one) => one === text);
  if (text !== undefined && version === undefined) {
    problems.error(entry.value.at, `file_version ${text} is not known`, 'Write "1.0" or "2.0"');
  }
  return version === undefined ? undefined : { file: file.name, map, version };
}

function commonVersion(roots: readonly Root[], problems: Problems): Version | undefined {
  const [first] = roots;
  const other = roots.find(({ version }) => version !== first?.version);
  if (first === undefined || other === undefined) return first?.version;
  const at = other.map.entries.get('file_version')?.value.at ?? other.map.at;
  problems.error(
    at,
    `file_version is ${other.version} here and ${first.version} in ${first.file}`,
    'Write the same in all files',
  );
  return undefined;
}

type Dialect = ObjectDialect & { readonly topKeys: readonly string[]; readonly infoKeys: readonly string[] };

export const DIALECTS: Readonly<Record<Version, Dialect>> = {
  '1.0': {
    topKeys: ['file_version', 'imports', 'info', 'objects'],
    infoKeys: ['name', 'version', 'description', 'author'],
    objectKeys: ['api', 'extends', 'attributes', 'policies'],
    apiKeys: ['name', 'plural_name', 'parent', 'parent_key'],
    policyOf: rolePolicy,
  },
  '2.0': {
    topKeys: ['file_version', 'imports', 'info', '$defs', 'objects', 'conversions'],
    infoKeys: ['name', 'version', 'description', 'author', 'served', 'storage', 'deprecated', 'backend'],
    objectKeys: ['api', 'extends', 'description', 'attributes', 'policies', 'rules', 'unique', 'indexes', 'examples'],
    apiKeys: ['name', 'plural_name', 'parent', 'parent_key', 'print_columns'],
    policyOf: asText,
  },
};

/** A text, as Gluon's documents have it, or below `role`, as its files had. */
function rolePolicy(entry: Entry, what: string, problems: Problems): string | undefined {
  if (entry.value.kind !== 'map') return asText(entry, what, problems);
  checkKeys(entry.value, ['role'], what, problems);
  const role = entry.value.entries.get('role');
  if (role !== undefined) return asText(role, `role of ${what}`, problems);
  problems.error(entry.at, `${what} has no role`, 'Write role: "rule:..."');
  return undefined;
}

type Context = {
  readonly version: Version;
  readonly dialect: Dialect;
  readonly problems: Problems;
};

function readRoots(
  roots: readonly Root[],
  version: Version,
  imports: Readonly<Record<string, string>>,
  problems: Problems,
): ProtonModel | undefined {
  const dialect = DIALECTS[version];
  const context: Context = { version, dialect, problems };
  for (const { map } of roots) checkKeys(map, dialect.topKeys, 'a model', problems);
  const info = readInfo(roots, context);
  const imported = readImport(roots, imports, context);
  const objects = joined([...imported, ...roots], 'objects', problems);
  const defs = joined([...imported, ...roots], '$defs', problems);
  const start = roots[0]?.map.at ?? { file: '', line: 1, column: 1 };
  const isDeclared = roots.some(({ map }) => map.entries.get('objects')?.value.kind === 'map');
  if (roots.every(({ map }) => !map.entries.has('objects'))) {
    problems.error(start, 'there are no objects', 'Declare them below objects');
  }
  const raw = readObjects(objects, dialect, problems);
  const declared = new Set([...raw.values()].flatMap(({ name, api }) => (api === undefined ? [] : [name])));
  if (isDeclared && declared.size === 0) {
    problems.error(start, 'no object has an API', 'Write api: {name: ...} in one');
  }
  const merged = mergeObjects(raw, problems);
  if (merged.length > 0 && merged.length === declared.size) checkKinds(merged, start, context);
  const drafts = readDrafts(merged, declared, defs.entries, context);
  const linked = linkObjects(drafts, { declared, isStrict: version === '2.0', problems });
  const model = {
    fileVersion: version,
    ...info,
    objects: finishObjects(linked, problems),
    conversions: readConversions(
      roots.map(({ map }) => map),
      linked,
      info.version,
      problems,
    ),
  };
  checkModel(model, linked, problems);
  return model;
}

/** The members of that key of all files. */
function joined(roots: readonly { readonly map: MapTree }[], key: string, problems: Problems): MapTree {
  const entries = new Map<string, Entry>();
  const maps = roots.flatMap(({ map }) => mapAt(map, key, key, problems) ?? []);
  for (const map of maps) {
    for (const [name, entry] of map.entries) {
      const before = entries.get(name);
      if (before === undefined) entries.set(name, entry);
      else
        problems.error(
          entry.at,
          `${name} is there twice, first in ${before.at.file}:${before.at.line}`,
          'Leave one of them out',
        );
    }
  }
  const at = maps.at(-1)?.at ?? roots.at(-1)?.map.at ?? { file: '', line: 1, column: 1 };
  return { kind: 'map', at, entries };
}

type Info = Omit<ProtonModel, 'fileVersion' | 'objects' | 'conversions'>;

/** Words in a path: what RFC 3986 lets stand as it is. */
const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

function readInfo(roots: readonly Root[], { dialect, version, problems }: Context): Info {
  const found = roots.flatMap(({ map }) => map.entries.get('info') ?? []);
  const [entry, second] = found;
  if (second !== undefined) problems.error(second.at, 'info is there twice', 'Write it in one of the files');
  const map = entry === undefined ? undefined : asMap(entry.value, 'info', problems);
  if (entry === undefined) {
    problems.error(
      roots[0]?.map.at ?? { file: '', line: 1, column: 1 },
      'there is no info',
      'Write info: {name, version}',
    );
  }
  if (map === undefined)
    return { name: '', version: '', description: '', served: true, storage: true, deprecated: false };
  checkKeys(map, dialect.infoKeys, 'info', problems);
  const flag = (key: string, absent: boolean): boolean => flagAt(map.entries, key, absent, `info.${key}`, problems);
  const backend = version === '2.0' ? textAt(map, 'backend', 'info.backend', problems) : undefined;
  return {
    name: segmentOf(map, 'name', problems),
    version: segmentOf(map, 'version', problems),
    description: wordAt(map, 'description', 'info.description', problems) ?? '',
    served: flag('served', true),
    storage: flag('storage', true),
    deprecated: flag('deprecated', false),
    ...(backend === undefined ? {} : { backend }),
    ...authorOf(map, problems),
  };
}

function segmentOf(info: MapTree, key: 'name' | 'version', problems: Problems): string {
  const entry = info.entries.get(key);
  const word = entry === undefined ? undefined : asWord(entry, `info.${key}`, problems);
  if (entry === undefined) problems.error(info.at, `info has no ${key}`, `Write ${key}`);
  if (entry !== undefined && word !== undefined && isInherited(word)) {
    problems.error(entry.value.at, `${word} is no info.${key}`, 'Choose another word');
    return word;
  }
  if (entry === undefined || word === undefined || SEGMENT.test(word)) return word ?? '';
  problems.error(
    entry.value.at,
    `info.${key} is part of a path and cannot be so`,
    'Use at most 63 letters, digits, ".", "-" and "_", first a letter or digit',
  );
  return word;
}

function authorOf(info: MapTree, problems: Problems): Pick<ProtonModel, 'author'> {
  const map = mapAt(info, 'author', 'info.author', problems);
  if (map === undefined) return {};
  const keys = ['name', 'url', 'email'] as const;
  checkKeys(map, keys, 'info.author', problems);
  const words = keys.flatMap((key) => {
    const word = wordAt(map, key, `info.author.${key}`, problems);
    return word === undefined ? [] : [[key, word]];
  });
  return { author: Object.fromEntries(words) };
}

/** The one file that is imported, none if none is. */
function readImport(
  roots: readonly Root[],
  given: Readonly<Record<string, string>>,
  { dialect, version, problems }: Context,
): readonly Root[] {
  const entries = roots.flatMap(({ map }) => map.entries.get('imports') ?? []);
  const paths = entries.map((entry) => asText(entry, 'imports', problems));
  const [entry, path] = [entries[0], paths[0]];
  if (entry === undefined || path === undefined) return [];
  const other = paths.findIndex((one) => one !== undefined && one !== path);
  if (other > 0)
    problems.error(entries[other]?.at ?? entry.at, 'another file imports something else', 'Import one file only');
  const known = { ...BUILT_IN_IMPORTS, ...given };
  const text = Object.hasOwn(known, path) ? known[path] : undefined;
  if (text === undefined) {
    problems.error(entry.value.at, `there is no ${path} to import`, `Import ${listed(Object.keys(known))}`);
    return [];
  }
  const root = text.length > TEXT_MAX ? undefined : readRoot({ name: path, text }, problems);
  if (root === undefined) {
    problems.error(entry.value.at, `${path} cannot be imported`, 'Mend it, or import another one');
    return [];
  }
  if (root.version !== version) {
    const remedy = version === '2.0' ? 'Import base/v2.yaml' : 'Import base/base.yaml';
    problems.error(entry.value.at, `${path} has file_version ${root.version}, this ${version}`, remedy);
    return [];
  }
  checkKeys(root.map, dialect.topKeys, path, problems);
  return [root];
}

/** What a proton must have: a port that is plugged, an interface of it, and something it is joined to. */
function checkKinds(objects: readonly MergedObject[], start: Place, { version, problems }: Context): void {
  const [ports, interfaces, services] = (['port', 'interface', 'service'] as const).map((kind) =>
    objects.filter((object) => object.kind === kind),
  ) as [MergedObject[], MergedObject[], MergedObject[]];
  for (const [base, heirs] of [
    ['BasePort', ports],
    ['BaseInterface', interfaces],
  ] as const) {
    for (const extra of heirs.slice(1))
      problems.error(
        extra.at,
        `${extra.name} extends ${base}, and ${heirs[0]?.name} does`,
        'Let one of them extend BaseObject',
      );
    if (version === '1.0' && heirs.length === 0)
      problems.error(start, `no API object extends ${base}`, 'Declare one that does');
  }
  if (version === '1.0' && services.length === 0)
    problems.error(start, 'no API object extends BaseService', 'Declare one that does');
  const [lone] = interfaces;
  if (lone !== undefined && ports.length === 0)
    problems.error(
      lone.at,
      `${lone.name} is an interface, and there is no port`,
      'Declare an object that extends BasePort',
    );
}

/** Attributes of all objects, inherited ones too. */
const MERGED_MAX = 10_000;

function readDrafts(
  merged: readonly MergedObject[],
  declared: ReadonlySet<string>,
  defs: ReadonlyMap<string, Entry>,
  { version, problems }: Context,
): readonly DraftObject[] {
  const total = merged.reduce((sum, { attributes }) => sum + attributes.size, 0);
  if (total > MERGED_MAX) {
    const at = merged[0]?.at ?? { file: '', line: 1, column: 1 };
    problems.error(at, `all objects have ${total} attributes together`, `Declare at most ${MERGED_MAX}`);
    return [];
  }
  const file = { defs, budget: { left: SCHEMAS_MAX } };
  return merged.flatMap((object) => {
    const attributes = [...object.attributes.values()].flatMap((raw) =>
      version === '1.0'
        ? (readAttribute1(object.name, raw, (name) => declared.has(name), problems) ?? [])
        : readAttribute2(object.name, raw, file, problems),
    );
    const draft = withKey(object, attributes, version, problems);
    return draft === undefined ? [] : [{ merged: object, names: readApi(object, problems), ...draft }];
  });
}

function withKey(
  { name, at }: MergedObject,
  attributes: readonly DraftAttribute[],
  version: Version,
  problems: Problems,
): Pick<DraftObject, 'primary' | 'attributes'> | undefined {
  const flagged = attributes.filter(({ isPrimary }) => isPrimary);
  const primary = choosePrimary(attributes);
  if (flagged.length > 1) {
    const text = `${name} has more than one primary: ${listed(flagged.map((one) => one.name))}`;
    const last = flagged.at(-1);
    if (version === '2.0') problems.error(last?.at ?? at, text, 'Leave one, and write primary: false to the others');
    else problems.warn(last?.at ?? at, text, `The last is the key: ${last?.name}. Leave the others out`);
  }
  if (primary !== undefined) {
    const others = attributes.map((one) => (one === primary ? one : { ...one, isPrimary: false }));
    return { primary, attributes: others };
  }
  if (version === '2.0') {
    problems.error(at, `${name} has no key`, 'Extend BaseObject, or write primary: true to an attribute');
    return undefined;
  }
  const invented = inventedKey(at);
  const taken = attributes.find((one) => one.name === invented.name);
  if (taken !== undefined) {
    problems.error(
      taken.at,
      `${name} has no key, and its attribute ${invented.name} has the name of the one that is made`,
      'Write primary: true to it',
    );
    return undefined;
  }
  return { primary: invented, attributes: [invented, ...attributes] };
}
