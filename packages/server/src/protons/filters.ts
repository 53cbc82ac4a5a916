/** Filters of one version of a proton as filters of the rows, where those have the same values. */
import type { Filter } from '@cable/api';
import type { ProtonObject, ProtonVersions } from '@cable/proton';
import { sameAttributeIn } from './versions.ts';

/** A filter that lets every row pass whose object passes the given one; undefined: there is none but that which lets all pass. */
export type StoredFilter = (filter: Filter) => Filter | undefined;

/** What the engine keeps has its own names in every version. */
const ENGINES: Readonly<Record<string, string>> = { id: 'id', tenant_id: 'project_id', project_id: 'project_id' };

/** Of a version’s object `served` for the rows of `object`. */
export function storedFilterOf(
  versions: ProtonVersions,
  version: string,
  served: ProtonObject,
  object: ProtonObject,
): StoredFilter {
  const known = new Map(
    served.attributes.flatMap(({ name }) => {
      const same = ENGINES[name] === undefined ? sameAttributeIn(versions, version, served.name, name) : undefined;
      return same === undefined || !object.attributes.some((one) => one.name === same.name)
        ? []
        : [[name, same] as const];
    }),
  );
  return (filter) => {
    const { attribute, property, values, substring, lacks } = filter;
    if (property !== null || substring || lacks === true || values.includes('')) return undefined;
    const own = ENGINES[attribute];
    if (own !== undefined) return { ...filter, attribute: own };
    const same = known.get(attribute);
    // What a version shows where nothing is stored is in no row.
    if (same === undefined || values.some((value) => same.defaults.includes(value))) return undefined;
    return { ...filter, attribute: same.name };
  };
}
