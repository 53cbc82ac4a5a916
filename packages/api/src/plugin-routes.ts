/** Routes of the Contrail plug-in of neutron-server: one a type, each of which takes several operations in its body. */
import type { Attribute } from '@cable/model';
import type { NativeRoute } from './native-routes.ts';

const COMMON = 'CREATE, READ, READALL, READCOUNT, UPDATE, DELETE';

/** Types that the plug-in asks for, with their operations. */
const OPERATIONS: Readonly<Record<string, string>> = {
  network: COMMON,
  subnet: COMMON,
  port: COMMON,
  router: `${COMMON}, ADDINTERFACE, DELINTERFACE`,
  floatingip: COMMON,
  security_group: COMMON,
  security_group_rule: 'CREATE, READ, READALL, READCOUNT, DELETE',
  trunk: `${COMMON}, ADD_SUBPORTS, REMOVE_SUBPORTS`,
  virtual_router: 'READ',
  tags: 'READ, READALL, CREATE, DELETE, DELETEALL',
  ...Object.fromEntries(
    ['ipam', 'policy', 'route_table', 'nat_instance', 'firewall_group', 'firewall_policy', 'firewall_rule'].map(
      (type) => [type, 'READALL and READCOUNT, of which there are none; no other'],
    ),
  ),
};

const text = (description: string, example?: string): Attribute => ({
  type: 'string',
  nullable: true,
  description,
  ...(example === undefined ? {} : { example }),
});

const CONTEXT: Readonly<Record<string, Attribute>> = {
  operation: { type: 'string', required: true, example: 'READALL', description: 'What is to be done.' },
  type: { type: 'string', description: 'As in the path.' },
  tenant_id: text(
    'The project that it is done for; null: none, for an administrator.',
    '5d0f6a2c9b8e4d31a7c4f0e1d2b3a495',
  ),
  tenant: text('The same.'),
  user_id: text('The user that it is done for.'),
  is_admin: { type: 'boolean', default: false, description: 'True: the user is an administrator.' },
  roles: { type: 'list', items: { type: 'string' }, description: 'Roles of the user.' },
  request_id: text('Neutron’s id of the request that led to this one.', 'req-7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b'),
};

const DATA: Readonly<Record<string, Attribute>> = {
  id: text('The object.'),
  resource: { type: 'dict', nullable: true, description: 'Attributes, as those of /v2.0.' },
  filters: { type: 'dict', nullable: true, description: 'Lists of values by attribute: all must fit.' },
  fields: { type: 'list', nullable: true, items: { type: 'string' }, description: 'Attributes wanted; none: all.' },
};

const BODY: Readonly<Record<string, Attribute>> = {
  context: { type: 'object', required: true, properties: CONTEXT, description: 'For whom, and what.' },
  data: { type: 'object', properties: DATA, description: 'With what.' },
};

const EXCEPTION: Readonly<Record<string, Attribute>> = {
  exception: { type: 'string', example: 'NetworkNotFound', description: 'A class of exceptions of neutron-server.' },
  message: { type: 'string', description: 'The text.' },
  detail: { type: 'string', description: 'What to do.' },
};

const REFUSED = { content: 'application/json', attributes: EXCEPTION } as const;

/** Each with the parts of the exception’s text besides. */
export const PLUGIN_ROUTES: readonly NativeRoute[] = [
  ...Object.entries(OPERATIONS).map(
    ([type, operations]): NativeRoute => ({
      ...{ method: 'POST', path: `/neutron/${type}`, body: BODY, adminOnly: false },
      summary: `For the Contrail plug-in of neutron-server: ${operations}.`,
      answers: {
        200: { description: 'The object, a list of objects, or a count.', content: 'application/json' },
        400: { description: 'Refused, whatever the reason; with the parts of the exception’s text.', ...REFUSED },
        401: { description: 'A token is missing, or not valid.', ...REFUSED },
        403: { description: 'Not allowed.', ...REFUSED },
      },
    }),
  ),
  {
    ...{ method: 'GET', path: '/aaa-mode', adminOnly: false },
    summary: 'For that plug-in: 200 without a token says that none is needed, 401 that one is.',
    answers: { 200: { description: 'Success.', content: 'application/json' } },
  },
];
