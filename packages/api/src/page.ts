import type { AnyObject } from '@cable/model';
import type { ListQuery } from './query.ts';

/** One link of a page, in Neutron's form. */
export type PageLink = { readonly rel: 'next' | 'previous'; readonly href: string };

/** The page's objects, or `markerMissing` when the marker is not among them. */
export type Page = { readonly objects: readonly AnyObject[]; readonly markerMissing: boolean };

/** Sorts and cuts. With a limit, a marker or sort keys the order is total (by id at last); else it is that of the input. */
export function cutPage(objects: readonly AnyObject[], query: ListQuery): Page {
  if (query.sort.length === 0 && query.limit === 0 && query.marker === null) return { objects, markerMissing: false };
  const sorted = [...objects].sort(comparator(query));
  if (query.pageReverse) sorted.reverse();
  let start = 0;
  if (query.marker !== null) {
    const at = sorted.findIndex((object) => object.id === query.marker);
    if (at < 0) return { objects: [], markerMissing: true };
    start = at + 1;
  }
  const page = sorted.slice(start, query.limit === 0 ? undefined : start + query.limit);
  if (query.pageReverse) page.reverse();
  return { objects: page, markerMissing: false };
}

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

function comparator(query: ListQuery): (a: AnyObject, b: AnyObject) => number {
  return (a, b) => {
    for (const { attribute, descending } of query.sort) {
      const order = compare(a[attribute], b[attribute]);
      if (order !== 0) return descending ? -order : order;
    }
    return compare(a.id, b.id);
  };
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [String(a ?? ''), String(b ?? '')];
  return left < right ? -1 : left > right ? 1 : 0;
}
