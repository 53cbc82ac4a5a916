/** What every collection can do, whatever its declaration: the doors have it, so the aliases bring no attribute. */

/** `limit`, `marker` and `page_reverse`. */
export const paginationExtension = {
  alias: 'pagination',
  name: 'Pagination support',
  description: 'Lists in pages.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** `sort_key` and `sort_dir`. */
export const sortingExtension = {
  alias: 'sorting',
  name: 'Sorting support',
  description: 'Lists in an order.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** A filter that is none is refused. */
export const filterValidationExtension = {
  alias: 'filter-validation',
  name: 'Filter parameters validation',
  description: 'A filter that is none is refused.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** An empty text filters for what has no value. */
export const emptyStringFilteringExtension = {
  alias: 'empty-string-filtering',
  name: 'Empty String Filtering Extension',
  description: 'Lists of what has no value.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** `fixed_ips=ip_address_substr=`. */
export const ipSubstringFilteringExtension = {
  alias: 'ip-substring-filtering',
  name: 'IP address substring filtering',
  description: 'Lists by a part of an address.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** `If-Match: revision_number=N`. */
export const revisionIfMatchExtension = {
  alias: 'revision-if-match',
  name: 'If-Match constraints based on revision_number',
  description: 'A change that is only made to the revision that was read.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['standard-attr-revisions'],
} as const;
