import type { ActionDeclaration, Attribute, Resource } from '../declaration.ts';
import { COUNTED, quotaResource } from '../resources/quota.ts';

type Actions = Readonly<Record<string, readonly ActionDeclaration[]>>;

/** How many objects of each type a project may have. */
export const quotasExtension = {
  alias: 'quotas',
  name: 'Quota management support',
  description: 'How many objects of each type a project may have.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['router', 'security-group', 'trunk', 'rbac-policies', 'address-group'],
  resources: [quotaResource] as readonly Resource[],
  attributes: {
    quota: {
      force: {
        type: 'boolean',
        write: 'update',
        input: true,
        filter: false,
        sort: false,
        description: 'Whatever is used: so it is without check_limit, too.',
      },
    },
  },
  actions: {
    quota: [
      {
        name: 'default',
        description: 'Shows what holds for a project of which nothing is set.',
        method: 'GET',
        answer: answerOf({ type: 'integer', example: -1, description: 'The limit; -1: none.' }),
        answerKey: 'quota',
      },
    ],
  } as Actions,
} as const;

/** A limit can be set if no more is used. */
export const quotaCheckLimitExtension = {
  alias: 'quota-check-limit',
  name: 'Quota engine limit check',
  description: 'A limit below what a project has is refused when that is asked for.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['quotas'],
  attributes: {
    quota: {
      check_limit: {
        type: 'boolean',
        write: 'update',
        input: true,
        filter: false,
        sort: false,
        description: 'True: no limit is set that is below what the project has.',
      },
    },
  },
} as const;

/** The same, with how many there are. */
export const quotaDetailsExtension = {
  alias: 'quota_details',
  name: 'Quota details management support',
  description: 'Limit and use of each quota.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['quotas'],
  actions: {
    quota: [
      {
        name: 'details',
        description: 'Shows limit and use of each quota of a project.',
        method: 'GET',
        answer: answerOf({
          type: 'object',
          properties: {
            limit: { type: 'integer', description: 'The limit; -1: none.' },
            used: { type: 'integer', description: 'How many there are.' },
            reserved: { type: 'integer', description: 'Always 0: what is under way is not counted.' },
          },
          example: { limit: 100, used: 3, reserved: 0 },
          description: 'Limit and use.',
        }),
        answerKey: 'quota',
      },
    ],
  } as Actions,
} as const;

function answerOf(attribute: Attribute): Readonly<Record<string, Attribute>> {
  return Object.fromEntries(COUNTED.map((type) => [type, attribute]));
}
