/** Cable's own routes besides those of the declarations: named once here for OpenAPI; the server's test compares them with what it serves. */

/** One such route. `path` has `{id}` where a host’s name stands. */
export type NativeRoute = {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly summary: string;
  /** Type of the answer's body; null: there is none. */
  readonly content: 'application/json' | 'application/x-ndjson' | 'text/plain' | null;
  /** True: only admins, agents among them. */
  readonly adminOnly: boolean;
};

const open = { method: 'GET', adminOnly: false, content: 'application/json' } as const;
const admin = { method: 'GET', adminOnly: true, content: 'application/json' } as const;

/** Every route that no declaration gives. */
export const NATIVE_ROUTES: readonly NativeRoute[] = [
  { ...open, path: '/', summary: 'The versions of the Neutron API.' },
  { ...open, path: '/v2.0', summary: 'The collections of the Neutron API.' },
  { ...open, path: '/v2.0/extensions', summary: 'The Neutron extensions whose behaviour is there.' },
  { ...open, path: '/v2.0/extensions/{alias}', summary: 'One extension.' },
  { ...open, path: '/openapi.json', summary: 'This document.' },
  { ...open, path: '/healthz', summary: 'Answers while the process lives.' },
  { ...open, path: '/readyz', summary: '200 when the server can answer, else 503.' },
  { ...open, path: '/metrics', content: 'text/plain', summary: 'Metrics in the text form of Prometheus.' },
  { ...admin, path: '/cable/v1/status', summary: 'The revision, and counts of hosts and of ports by status.' },
  { ...admin, path: '/cable/v1/check', summary: 'Every broken promise of the store’s content; none as a rule.' },
  { ...admin, method: 'PUT', path: '/cable/v1/hosts/{id}', content: null, summary: 'An agent makes its host known.' },
  {
    ...admin,
    method: 'POST',
    path: '/cable/v1/hosts/{id}/status',
    content: null,
    summary: 'An agent reports the revision it has programmed and the state of its ports.',
  },
  {
    ...admin,
    path: '/cable/v1/hosts/{id}/watch',
    content: 'application/x-ndjson',
    summary: 'What a host must be, as a stream of lines: a snapshot, deltas, bookmarks; since=REVISION resumes.',
  },
];
