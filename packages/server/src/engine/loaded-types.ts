/** What the store says of the types that every server must have loaded. */
import { CableError, type ResourceModel } from '@cable/model';
import { LOADED_TYPES, type LoadedType } from '../tables.ts';
import type { EngineDeps } from './context.ts';

type Deps = { readonly tables: EngineDeps['tables']; readonly resources: Pick<EngineDeps['resources'], 'current'> };

/** The types of extensions that another server has loaded and this one has not. */
export function missingTypes({ tables, resources }: Deps): readonly LoadedType[] {
  const rows = tables.any(LOADED_TYPES);
  if (rows.size === 0) return NONE;
  const { current } = resources;
  return ([...rows.values()] as unknown as readonly LoadedType[]).filter(({ id }) => !current.has(id));
}

const NONE: readonly LoadedType[] = [];

/** What is wrong with this server, for people; undefined: nothing. */
export function whatIsMissing(deps: Deps): string | undefined {
  const missing = missingTypes(deps);
  if (missing.length === 0) return undefined;
  const words = missing.map(({ id, extension }) => `${id} of the extension ${extension}`);
  return `other servers have loaded what this one has not: ${words.join(', ')} (give it the same --extensions, and SIGHUP)`;
}

/** Throws `ServiceUnavailable`: a server that knows less than others would leave undone what they rely on. */
export function refuseBehind(deps: Deps): void {
  const wrong = whatIsMissing(deps);
  if (wrong !== undefined) throw new CableError('ServiceUnavailable', `Nothing was written: ${wrong}.`);
}

/** Throws `HTTPNotFound` when another server has unloaded the type. */
export function refuseUnloaded({ tables, resources }: Deps, { type }: ResourceModel): void {
  if (!resources.current.keyedTypes.has(type) || tables.any(LOADED_TYPES).get(type) !== undefined) return;
  throw new CableError('HTTPNotFound', 'The resource could not be found.');
}
