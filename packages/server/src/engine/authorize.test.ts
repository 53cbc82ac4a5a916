import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCreate, parseListQuery, parseUpdate } from '@cable/api';
import { CableError, defineResource } from '@cable/model';
import { authorize } from './authorize.ts';

const ADMIN = { projectId: 'p', isAdmin: true };
const MEMBER = { projectId: 'p', isAdmin: false };

const thing = defineResource({
  name: 'thing',
  plural: 'things',
  label: 'Thing',
  prefix: '/x/v1',
  path: 'things',
  description: 'A thing.',
  verbs: ['list', 'create', 'update'],
  standard: true,
  stored: true,
  attributes: {
    size: { type: 'integer', write: 'both', default: 1 },
    secret: { type: 'string', write: 'both', writeBy: 'admin', seeBy: 'admin', default: '' },
    place: { type: 'string', write: 'both', updateBy: 'admin', nullable: true, default: null },
  },
});

test('a member writes no attribute of the admin’s, whatever the value', () => {
  const create = (caller: typeof ADMIN, attributes: object): void => {
    const [first] = parseCreate(thing, { thing: attributes }).objects;
    authorize(thing, { verb: 'create', given: first?.given ?? [] }, caller);
  };
  const update = (caller: typeof ADMIN, attributes: object): void => {
    authorize(thing, { verb: 'update', given: parseUpdate(thing, { thing: attributes }).given }, caller);
  };
  const refused = (attribute: string) => (err: unknown) =>
    err instanceof CableError && err.code === 'PolicyNotAuthorized' && err.message.includes(attribute);
  assert.throws(() => create(MEMBER, { secret: '' }), refused('((rule:create_thing) and (rule:create_thing:secret))'));
  assert.throws(() => update(MEMBER, { place: 'y' }), refused('((rule:update_thing) and (rule:update_thing:place))'));
  create(MEMBER, { place: 'y', size: 2 });
  update(MEMBER, { size: 2 });
  create(ADMIN, { secret: 'y' });
  update(ADMIN, { place: 'y', secret: 'y' });
});

test('to a member an attribute that it may not see is none to look by', () => {
  const list = (caller: typeof ADMIN, query: string): void => {
    authorize(thing, { verb: 'list', query: parseListQuery(thing, new URLSearchParams(query)) }, caller);
  };
  assert.throws(() => list(MEMBER, 'size=1&secret=s'), /^CableError: \['secret'\] is invalid attribute for filtering$/);
  assert.throws(() => list(MEMBER, 'sort_key=secret'), /^CableError: 'secret' is not a valid attribute for sorting$/);
  list(MEMBER, 'size=1&sort_key=size');
  list(ADMIN, 'secret=s&sort_key=secret');
});
