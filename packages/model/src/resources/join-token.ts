/** What a new host joins with: short-lived, and good for so many hosts. Made with `issue`, the only time that its text is shown. */
export const joinTokenResource = {
  type: 'join_token',
  name: 'join_token',
  plural: 'join_tokens',
  label: 'JoinToken',
  prefix: '/cable/v1',
  path: 'join-tokens',
  description: 'What hosts join the cloud with.',
  verbs: ['list', 'show', 'delete'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['id', 'host', 'replace', 'uses_left', 'expires_at'],
  actions: [
    {
      name: 'issue',
      description: 'Makes a token. Its text is in this answer and nowhere else: the store has a hash of it.',
      on: 'collection',
      method: 'POST',
      status: 201,
      body: {
        host: {
          type: 'string',
          maxLength: 255,
          example: 'node-1',
          description:
            'The only host that can join with it; without it any name can that no host has, and that was not revoked or deleted.',
        },
        replace: {
          type: 'boolean',
          description:
            'True, with host: a host of this name that is there or has joined gives way, and its certificates are refused from then on.',
        },
        unless_revoked: {
          type: 'boolean',
          description:
            'True, with host: no token for a host that was revoked or deleted. For those who make tokens without being asked by an operator.',
        },
        uses: {
          type: 'integer',
          minimum: 1,
          maximum: 10_000,
          example: 1,
          description: 'How many hosts can join with it; without it one.',
        },
        ttl: {
          type: 'integer',
          minimum: 10,
          maximum: 604_800,
          example: 3600,
          description: 'For how many seconds it is good; without it an hour.',
        },
      },
      answerKey: 'join_token',
      answer: {
        id: { type: 'string' },
        token: { type: 'string', description: 'The text: cable agent --join TOKEN.' },
        host: { type: 'string', nullable: true },
        replace: { type: 'boolean' },
        uses_left: { type: 'integer' },
        expires_at: { type: 'timestamp' },
      },
    },
  ],
  attributes: {
    id: { type: 'string', example: 'b9c1f04e2a7d', description: 'The first part of the token, which is no secret.' },
    host: {
      type: 'string',
      nullable: true,
      default: null,
      indexed: true,
      example: 'node-1',
      description:
        'The only host that can join with it; null: any name can that no host has, and that was not revoked or deleted.',
    },
    replace: {
      type: 'boolean',
      default: false,
      description: 'Whether a host of this name that is there, or has joined, gives way.',
    },
    uses_left: { type: 'integer', example: 1, description: 'How many hosts can still join with it.' },
    created_at: { type: 'timestamp', example: '2026-11-28T12:00:00Z', description: 'When it was made (UTC).' },
    expires_at: {
      type: 'timestamp',
      example: '2026-11-28T13:00:00Z',
      description: 'Until when it is good (UTC). It goes some time after that.',
    },
  },
  hidden: {
    hash: { type: 'string' },
  },
} as const;
