import type { ActionDeclaration, Attribute } from '../declaration.ts';

/** Routes of a router besides those to its subnets. */
export const extrarouteExtension = {
  alias: 'extraroute',
  name: 'Neutron Extra Route',
  description: 'Routes of a router besides those to its subnets.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['router'],
  attributes: {
    router: {
      routes: {
        type: 'list',
        maxLength: 30,
        repeated: "Duplicate hostroute '{value}'",
        write: 'update',
        default: [],
        filter: false,
        items: {
          type: 'object',
          properties: {
            destination: { type: 'cidr', routable: true, required: true },
            nexthop: { type: 'ip', required: true },
          },
        },
        example: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }],
        description:
          'Extra routes; each next hop must be in an attached subnet. Several to one destination share its connections.',
      },
    },
  },
} as const;

const ROUTES = extrarouteExtension.attributes.router.routes;

/** Most routes of a router. */
export const EXTRA_ROUTES_MAX: number = ROUTES.maxLength;

/** The same in a request and in an answer. */
const LIST: Attribute = { type: 'list', maxLength: ROUTES.maxLength, items: ROUTES.items, example: ROUTES.example };

const BODY: Readonly<Record<string, Attribute>> = {
  routes: { ...LIST, required: true, description: 'The routes.' },
};

const ANSWER: Readonly<Record<string, Attribute>> = {
  id: { type: 'uuid', example: '1c6f9a52-7e0b-4a59-8f43-6d2c9e1b7a08', description: 'The router.' },
  name: { type: 'string', example: 'blue', description: 'Its name.' },
  routes: { ...LIST, description: 'All its extra routes.' },
};

/** Some routes more, or less, whatever others there are. */
export const extrarouteAtomicExtension = {
  alias: 'extraroute-atomic',
  name: 'Atomically add/remove extra routes',
  description: 'Adds extra routes to a router, or removes some, whatever others do meanwhile.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['extraroute'],
  actions: {
    router: [
      {
        name: 'add_extraroutes',
        besides: 'ignored',
        description: 'Adds extra routes; those that are there already stay.',
        body: BODY,
        bodyKey: 'router',
        answer: ANSWER,
        answerKey: 'router',
      },
      {
        name: 'remove_extraroutes',
        besides: 'ignored',
        description: 'Removes extra routes; those that are not there are passed over.',
        body: BODY,
        bodyKey: 'router',
        answer: ANSWER,
        answerKey: 'router',
      },
    ],
  } as Readonly<Record<string, readonly ActionDeclaration[]>>,
} as const;
