/**
 * Extensions that show standard attributes (`STANDARD_ATTRIBUTES` names the alias of each). Their objects have the attributes all the same: ownership and revisions
 * rest on them, so unloading hides them and no more.
 */

/** `project_id` beside `tenant_id`. */
export const projectIdExtension = {
  alias: 'project-id',
  name: 'project_id field enabled',
  description: 'Shows the project of an object as project_id too.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** `description`. */
export const standardAttrDescriptionExtension = {
  alias: 'standard-attr-description',
  name: 'standard-attr-description',
  description: 'A text for people on every object.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** `created_at` and `updated_at`. */
export const standardAttrTimestampExtension = {
  alias: 'standard-attr-timestamp',
  name: 'Resource timestamps',
  description: 'When an object was made and last changed.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;

/** `revision_number`. */
export const standardAttrRevisionsExtension = {
  alias: 'standard-attr-revisions',
  name: 'Resource revision numbers',
  description: 'A number of an object that rises with each change.',
  updated: '2026-01-01T00:00:00-00:00',
} as const;
