/** Neutron's tags: words on objects, by which lists are filtered. Which types can be tagged is a field of their declaration (`tagged`). */
import type { ActionDeclaration, Attribute } from '../declaration.ts';

/** Most tags of one object. */
export const TAGS_MAX = 50;
/** Longest tag, in characters. */
export const TAG_MAX_LENGTH = 255;

type Attributes = Readonly<Record<string, Attribute>>;

const tags: Attribute = {
  type: 'list',
  items: { type: 'string', maxLength: TAG_MAX_LENGTH, indexed: true },
  maxLength: TAGS_MAX,
  default: [],
  indexed: true,
  filterAs: 'members',
  example: ['production', 'shop'],
  description: 'Words that lists are filtered by.',
};

const TAGS: Attributes = { tags };
const { default: _none, ...given } = tags;
const BODY: Attributes = { tags: { ...given, write: 'both', required: true } };

const write = { path: 'tags', noCommand: true, badBody: 'InvalidInput' } as const;
const one = { ...write, path: 'tags/{tag}' } as const;

/** `tags`, and what reads and writes them. */
export const standardAttrTagExtension = {
  alias: 'standard-attr-tag',
  name: 'Tag support for resources with standard attribute',
  description: 'Words on objects, by which lists are filtered.',
  updated: '2026-01-01T00:00:00-00:00',
  attributes: { '*tagged': TAGS } as { readonly '*tagged': Attributes },
  actions: {
    '*tagged': [
      {
        ...{ ...write, name: 'get_tags', method: 'GET', rule: 'get_{plural}_tags', answer: TAGS },
        description: 'Shows the tags of an object.',
      },
      {
        ...{ ...write, name: 'update_tags', method: 'PUT', rule: 'update_{plural}_tags', body: BODY, answer: TAGS },
        besides: 'ignored',
        description: 'Gives an object these tags, and no others.',
      },
      {
        ...{ ...write, name: 'delete_tags', method: 'DELETE', rule: 'delete_{plural}_tags', status: 204 },
        description: 'Takes all tags from an object.',
      },
      {
        ...{ ...one, name: 'get_tag', method: 'GET', rule: 'get_{plural}_tags', status: 204 },
        description: 'Says whether an object has a tag: 204, or 404.',
      },
      {
        ...{ ...one, name: 'update_tag', method: 'PUT', rule: 'update_{plural}_tags', status: 201, anyBody: true },
        description: 'Gives an object a tag.',
      },
      {
        ...{ ...one, name: 'delete_tag', method: 'DELETE', rule: 'delete_{plural}_tags', status: 204 },
        description: 'Takes a tag from an object.',
      },
    ] as readonly ActionDeclaration[],
  },
} as const;

/** Several tags more, in one request. */
export const tagCreationExtension = {
  alias: 'tag-creation',
  name: 'Tag creation extension',
  description: 'Several tags more for an object, in one request.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['standard-attr-tag'],
  actions: {
    '*tagged': [
      {
        ...{ ...write, name: 'create_tags', method: 'POST', rule: 'create_{plural}_tags', body: BODY, answer: TAGS },
        besides: 'ignored',
        description: 'Gives an object these tags besides those that it has.',
      },
    ] as readonly ActionDeclaration[],
  },
} as const;

/** Tags in the body of a port's creation, alone or in bulk. */
export const tagPortsDuringBulkCreationExtension = {
  alias: 'tag-ports-during-bulk-creation',
  name: 'Tag Ports During Bulk Creation',
  description: 'Ports are created with their tags.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['standard-attr-tag'],
  changes: { port: { tags: { write: 'create' } } },
} as const;
