/** What is known of the certificates of a host. Its id is the host's name; the row stays when the host is deleted, so that what it had is refused. */
export const hostCertificateResource = {
  type: 'host_certificate',
  name: 'host_certificate',
  plural: 'host_certificates',
  label: 'HostCertificate',
  prefix: '/cable/v1',
  path: 'host-certificates',
  description: 'What is known of the certificates of a host.',
  verbs: ['list', 'show'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['id', 'issued_at', 'expires_at', 'revoked', 'not_before'],
  attributes: {
    id: { type: 'string', example: 'node-1', description: 'The name of the host.' },
    issued_at: {
      type: 'timestamp',
      nullable: true,
      default: null,
      example: '2026-11-28T12:00:00Z',
      description: 'When its last certificate was made (UTC); null: none was made by a server.',
    },
    expires_at: {
      type: 'timestamp',
      nullable: true,
      default: null,
      example: '2026-12-28T12:00:00Z',
      description: 'Until when that one is good (UTC).',
    },
    authority: {
      type: 'string',
      nullable: true,
      default: null,
      description: 'SHA-256 of the authority that has signed it, base64url.',
    },
    revoked: {
      type: 'boolean',
      default: false,
      description: 'True: the host was revoked or deleted, and has not joined again.',
    },
    not_before: {
      type: 'timestamp',
      nullable: true,
      default: null,
      example: '2026-11-28T12:00:00Z',
      description: 'Certificates that were made before this time (UTC) are refused; null: none is for that.',
    },
  },
  hidden: {
    key: { type: 'string' },
    token: { type: 'string' },
  },
} as const;
