/** How objects of one version of a proton become those of another. */
import {
  conversionOf,
  convertBackward,
  convertForward,
  newNames,
  oldNames,
  type ProtonModel,
  type ProtonObject,
  type ProtonVersions,
} from '@cable/proton';

type Fields = Readonly<Record<string, unknown>>;

/** Makes of an object's attributes those of another version. What is the engine's stays. */
export type Convert = (object: Fields) => Fields;

/** A step from one version to another, by the conversion that the newer one declares. */
type Edge = { readonly older: ProtonModel; readonly newer: ProtonModel; readonly isForward: boolean };

/** What the engine keeps of every object, whatever the version. */
const ENGINES: ReadonlySet<string> = new Set([
  ...['id', 'project_id', 'created_at', 'updated_at', 'revision_number', 'stored_version'],
]);

/** From one version to another for the object that the second calls `name`; undefined: no conversions lead there. */
export function conversionBetween(
  versions: ProtonVersions,
  from: string,
  to: string,
  name: string,
): Convert | undefined {
  const path = pathOf(versions, from, to);
  if (path === undefined) return undefined;
  // The name is known at the end: it is followed back to the start.
  const steps: Convert[] = [];
  let object = name;
  for (const edge of [...path].reverse()) {
    const step = stepOf(edge, object);
    if (step === undefined) return undefined;
    steps.unshift(step.convert);
    object = step.was;
  }
  return (fields) => ({ ...steps.reduce((made, step) => step(made), fields), ...enginesOf(fields) });
}

/** What is between two versions on the shortest way from one to the other, in its order; undefined: no conversions lead there. */
export function versionsBetween(versions: ProtonVersions, from: string, to: string): readonly string[] | undefined {
  const path = pathOf(versions, from, to);
  return path?.slice(0, -1).map(({ older, newer, isForward }) => (isForward ? newer : older).version);
}

/** True: somewhere on the way an older version takes what a newer one has. */
export function isBackward(versions: ProtonVersions, from: string, to: string): boolean {
  return pathOf(versions, from, to)?.some(({ isForward }) => !isForward) === true;
}

/** An attribute that has the values of another version’s. `defaults`: what is shown of it, as texts, where it has none. */
export type SameAttribute = { readonly name: string; readonly defaults: readonly string[] };

/** What is stored of an attribute of another version as it is, maybe by another name; undefined: it is made of something else, or of nothing. */
export function sameAttributeIn(
  versions: ProtonVersions,
  version: string,
  object: string,
  attribute: string,
): SameAttribute | undefined {
  const models = [versions.stored, ...versions.others];
  const start = models.find((one) => one.version === version)?.objects.find(({ name }) => name === object);
  let at: { readonly object: ProtonObject; readonly name: string } | undefined =
    start === undefined ? undefined : { object: start, name: attribute };
  const defaults: string[] = [];
  for (const edge of pathOf(versions, version, versions.stored.version) ?? []) {
    if (at === undefined) return undefined;
    defaults.push(...defaultOf(at.object, at.name));
    at = across(edge, at.object.name, at.name);
  }
  return at === undefined ? undefined : { name: at.name, defaults: [...defaults, ...defaultOf(at.object, at.name)] };
}

function defaultOf({ attributes }: ProtonObject, attribute: string): readonly string[] {
  const standard = attributes.find(({ name }) => name === attribute)?.default;
  return standard === undefined || standard === null ? [] : [String(standard)];
}

/** The attribute on the other side of a step. */
function across(
  { older, newer, isForward }: Edge,
  object: string,
  attribute: string,
): { readonly object: ProtonObject; readonly name: string } | undefined {
  const declared = newer.conversions.find(({ from }) => from === older.version)?.objects ?? [];
  const conversion = declared.find((one) => (isForward ? (one.was ?? one.object) : one.object) === object);
  const { steps = [], was } = conversion ?? {};
  const other = objectOf(
    isForward ? newer : older,
    conversion === undefined ? object : isForward ? conversion.object : (was ?? object),
  );
  if (other === undefined) return undefined;
  const [here, there] = isForward ? ([oldNames, newNames] as const) : ([newNames, oldNames] as const);
  const step = steps.find((one) => here(one).includes(attribute));
  if (step === undefined) {
    return steps.some((one) => there(one).includes(attribute)) ? undefined : { object: other, name: attribute };
  }
  if (!('rename' in step)) return undefined;
  return { object: other, name: isForward ? step.rename.to : step.rename.from };
}

/** What the engine hides in objects begins with an underscore: slots, requests. */
function enginesOf(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => ENGINES.has(name) || name.startsWith('_')));
}

/** `was`: what the object is called on the other side. */
function stepOf(
  { older, newer, isForward }: Edge,
  name: string,
): { readonly convert: Convert; readonly was: string } | undefined {
  if (isForward) {
    const own = objectOf(newer, name);
    const conversion = conversionOf(newer, older.version, name);
    if (own === undefined) return undefined;
    return { convert: (fields) => convertForward(conversion, fields, own), was: conversion.was ?? name };
  }
  const declared = newer.conversions.find(({ from }) => from === older.version)?.objects ?? [];
  const conversion = declared.find((one) => (one.was ?? one.object) === name) ?? { object: name, steps: [] };
  const own = objectOf(older, name);
  if (own === undefined) return undefined;
  return { convert: (fields) => convertBackward(conversion, fields, own), was: conversion.object };
}

function objectOf({ objects }: ProtonModel, name: string): ProtonObject | undefined {
  return objects.find((one) => one.name === name);
}

/** The fewest steps. */
function pathOf({ stored, others }: ProtonVersions, from: string, to: string): readonly Edge[] | undefined {
  const models = [stored, ...others];
  const paths = new Map<string, readonly Edge[]>([[from, []]]);
  const open = [from];
  for (const at of open) {
    const path = paths.get(at) ?? [];
    for (const edge of edgesOf(models, at)) {
      const next = edge.isForward ? edge.newer.version : edge.older.version;
      if (paths.has(next)) continue;
      paths.set(next, [...path, edge]);
      open.push(next);
    }
  }
  return paths.get(to);
}

function edgesOf(models: readonly ProtonModel[], at: string): readonly Edge[] {
  return models.flatMap((newer) =>
    newer.conversions.flatMap(({ from }): readonly Edge[] => {
      const older = models.find(({ version }) => version === from);
      if (older === undefined) return [];
      if (from === at) return [{ older, newer, isForward: true }];
      return newer.version === at ? [{ older, newer, isForward: false }] : [];
    }),
  );
}
