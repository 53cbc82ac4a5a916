/** What is below `/proton` besides objects: which protons, versions and collections there are. Nothing is there while there is no proton. */
import { openApiBelow, schemaOf } from '@cable/api';
import { type ResourceModel, servedModels } from '@cable/model';
import type { LoadedResources } from '../engine/registry.ts';
import { GLUON_ROOT } from './gluon-path.ts';

const ROOT = '/proton';

type Document = (base: string) => unknown;

/** By path. */
type Documents = ReadonlyMap<string, Document>;

const known = new WeakMap<LoadedResources, Documents>();

/** True: there is a document at the path. */
export function hasDocument(loaded: LoadedResources, url: string): boolean {
  return findDocument(loaded, url) !== undefined;
}

/** The document at the path; undefined: there is none. `base`: scheme and host, for links. */
export function documentOf(loaded: LoadedResources, url: string, base: string): unknown {
  return findDocument(loaded, url)?.(base);
}

function findDocument(loaded: LoadedResources, url: string): Document | undefined {
  if (!url.startsWith(ROOT)) return undefined;
  const path = (url.split(/[?#]/, 1)[0] ?? '').replace(/\/+$/, '');
  if (path === GLUON_ROOT) return rootDocument;
  if (loaded.protons.size === 0) return undefined;
  const documents = known.get(loaded) ?? documentsOf(loaded);
  known.set(loaded, documents);
  return documents.get(path);
}

/** What Gluon answered at the root of its own port. */
function rootDocument(base: string): unknown {
  const version = { id: 'proton', status: 'CURRENT', links: [self(`${base}${ROOT}/`)] };
  return {
    name: 'Cable protons',
    description: 'Networking APIs, each made of a model file.',
    versions: [version],
    default_version: version,
  };
}

function documentsOf(loaded: LoadedResources): Documents {
  const models = servedModels(loaded.all).filter(({ type }) => loaded.protonOf(type) !== undefined);
  const made = new Map<string, Document>();
  const names = [...loaded.protons.keys()].sort();
  made.set(ROOT, (base) => ({
    protons: names.map((name) => ({
      proton_service: name,
      status: 'CURRENT',
      links: [self(`${base}${ROOT}/${name}`)],
    })),
  }));
  for (const name of names) {
    const own = models.filter(({ type }) => loaded.protonOf(type)?.name === name);
    const versions = byVersion(own, name);
    const stored = own.find(({ form }) => form === undefined);
    made.set(`${ROOT}/${name}`, (base) => {
      const shown = [...versions].map(([version, of]) => versionOf(name, version, of, base));
      const standard = shown.find(({ version_id }) => stored?.prefix.endsWith(`/${version_id}`) === true);
      return { default_version: standard ?? shown[0] ?? null, versions: shown };
    });
    for (const [version, of] of versions) addVersion(made, loaded, { name, version, of });
  }
  return made;
}

function byVersion(models: readonly ResourceModel[], name: string): ReadonlyMap<string, readonly ResourceModel[]> {
  const found = new Map<string, ResourceModel[]>();
  for (const model of models) {
    const version = model.prefix.slice(`${ROOT}/${name}/`.length);
    found.set(version, [...(found.get(version) ?? []), model]);
  }
  return found;
}

/** Of a version that is not the stored one: clients may stay with it, or should leave it. */
function versionOf(name: string, version: string, of: readonly ResourceModel[], base: string) {
  const [first] = of;
  const status = first?.form === undefined ? 'CURRENT' : first.deprecated === true ? 'DEPRECATED' : 'STABLE';
  return { proton_service: name, version_id: version, status, links: [self(`${base}${ROOT}/${name}/${version}`)] };
}

function addVersion(
  made: Map<string, Document>,
  loaded: LoadedResources,
  { name, version, of }: { readonly name: string; readonly version: string; readonly of: readonly ResourceModel[] },
): void {
  const path = `${ROOT}/${name}/${version}`;
  const flat = of.filter((one) => one.parent === undefined);
  made.set(path, (base) => ({
    resources: flat.map(({ plural, collection, deprecated }) => ({
      ...{ proton_service: name, version_id: version, resource_name: plural },
      status: deprecated === true ? 'DEPRECATED' : 'CURRENT',
      links: [self(`${base}${collection}`)],
    })),
  }));
  const types = new Set(of.map(({ type }) => type));
  const declared = loaded.all.filter(({ type }) => types.has(type));
  const schema = once(() => {
    const { resources } = schemaOf({ models: declared, extensions: [] });
    return { resources: resources.filter(({ prefix }) => prefix === path) };
  });
  made.set(`${path}/schema`, schema);
  made.set(
    `${path}/openapi.json`,
    once(() => openApiBelow(declared, path)),
  );
}

/** Made when it is first asked for. */
function once(make: () => unknown): () => unknown {
  let made: unknown;
  return () => {
    made ??= make();
    return made;
  };
}

function self(href: string): { readonly rel: 'self'; readonly href: string } {
  return { rel: 'self', href };
}
