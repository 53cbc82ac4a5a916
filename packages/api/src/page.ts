import type { AnyObject } from '@cable/model';
import type { ListQuery } from './query.ts';

/** One link of a page, in Neutron's form. */
export type PageLink = { readonly rel: 'next' | 'previous'; readonly href: string };

/** Links as Neutron gives them: a full page has a next one even when nothing follows; `url` is without query. */
export function pageLinks(
  url: string,
  params: URLSearchParams,
  query: ListQuery,
  objects: readonly AnyObject[],
): readonly PageLink[] {
  if (query.limit === 0) return [];
  const short = objects.length < query.limit;
  const links: PageLink[] = [];
  if (!short || query.pageReverse) links.push({ rel: 'next', href: href(url, params, objects.at(-1)?.id, false) });
  if (!short || !query.pageReverse) links.push({ rel: 'previous', href: href(url, params, objects[0]?.id, true) });
  return links;
}

function href(url: string, params: URLSearchParams, marker: string | undefined, reverse: boolean): string {
  const changed = new URLSearchParams(params);
  changed.delete('marker');
  changed.delete('page_reverse');
  if (marker !== undefined) changed.set('marker', marker);
  if (reverse) changed.set('page_reverse', 'True');
  return `${url}?${changed.toString()}`;
}

/**
 * The order of a query's objects: by its sort keys, then by id, so that no two are equal; the other way round when the page is reversed.
 * Undefined: the query asks for none.
 */
export function orderOf(query: ListQuery): ((a: AnyObject, b: AnyObject) => number) | undefined {
  if (query.sort.length === 0 && query.limit === 0 && query.marker === null) return undefined;
  const sign = query.pageReverse ? -1 : 1;
  return (a, b) => {
    for (const { attribute, descending } of query.sort) {
      const order = compareValues(a[attribute], b[attribute]);
      if (order !== 0) return descending ? -order * sign : order * sign;
    }
    return compareValues(a.id, b.id) * sign;
  };
}

/** How lists are sorted: numbers by size, everything else by its text, of which null has none. Negative: `a` comes first. */
export function compareValues(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = typeof a === 'string' ? a : String(a ?? '');
  const right = typeof b === 'string' ? b : String(b ?? '');
  return left < right ? -1 : left > right ? 1 : 0;
}
