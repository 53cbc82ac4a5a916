import { pluginOperation } from '../contrail/envelope.ts';
import { isOfPlugin } from '../contrail/exceptions.ts';

/**
 * What a request costs, by which it is admitted. `probe`: health and metrics, always answered, to anybody. `host`: agents. `show`: done in a
 * moment. `list`: holds rows and sends much. `ask`: waits for a host. `write`: a transaction. `told`: one of these, as its body says (`kindOfBody`).
 */
export type RequestKind = 'probe' | 'host' | 'show' | 'list' | 'ask' | 'write' | 'told';

const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);
const SHOWN: ReadonlySet<string> = new Set([
  '/',
  '/v2.0',
  '/openapi.json',
  '/metrics',
  '/cable/v1/status',
  '/aaa-mode',
]);

const AGENT_WRITE = /^(?:PUT \/cable\/v1\/hosts\/[^/]+|POST \/cable\/v1\/hosts\/[^/]+\/status)$/;
/** A host's own: its registration, its reports, its certificate, its watch. */
const OF_AGENT = /^\/cable\/v1\/hosts\/[^/]+(?:\/[^/]+)?$/;
const AGENT_WATCH = /^\/cable\/v1\/hosts\/[^/]+\/watch$/;
/** It waits, and counts its own. */
const WATCH = /^\/proton\/[^?]*\?(?:[^#]*&)?watch=(?:true|1)(?:[&#]|$)/i;
/** What only hosts can say. */
const ASK = /^\/cable\/v1\/(?:ports\/[^/]+\/[^/]+|networks\/[^/]+\/trace)$/;
/** One object: by its UUID, or in a collection whose ids are names. */
const ONE =
  /\/[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$|^\/cable\/v1\/hosts\/[^/]+$|^\/v2\.0\/extensions(?:\/[^/]+)?$/i;

/** The kind of a request, by its method and target. */
export function kindOf(method: string, url: string): RequestKind {
  const path = pathOf(url);
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') {
    if (PROBES.has(path)) return 'probe';
    if (WATCH.test(url)) return 'show';
    if (AGENT_WATCH.test(path)) return 'host';
    if (method !== 'OPTIONS' && ASK.test(path)) return 'ask';
    return method === 'OPTIONS' || SHOWN.has(path) || ONE.test(path) ? 'show' : 'list';
  }
  if (method === 'POST' && isOfPlugin(path)) return 'told';
  return AGENT_WRITE.test(`${method} ${path}`) ? 'host' : 'write';
}

/** The same of a request whose body has to be read first. */
export function kindOfBody(body: unknown): RequestKind {
  const operation = pluginOperation(body);
  if (operation === 'READ') return 'show';
  return operation === 'READALL' || operation === 'READCOUNT' ? 'list' : 'write';
}

/** True: of what agents ask for. */
export function isOfAgent(url: string): boolean {
  return OF_AGENT.test(pathOf(url));
}

function pathOf(url: string): string {
  const path = url.split(/[?#]/, 1)[0] ?? '';
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Largest body of a request for one object. */
const BODY_BYTES = 256 * 1024;
/** Largest body of a request for many: a bulk of ports, each with user data. */
const BULK_BODY_BYTES = 4 << 20;
/** Largest report of a host: it names at most 4096 devices. */
const REPORT_BYTES = 2 << 20;

/** A request for a host's certificate: of the first nobody knows who sends it. */
const CERTIFICATE = /^\/cable\/v1\/(?:join|hosts\/[^/]+\/certificate)$/;
const CERTIFICATE_BYTES = 16 * 1024;

/** Most bytes that the body of a request may have. */
export function bodyLimitOf(method: string, kind: RequestKind, url: string): number {
  if (CERTIFICATE.test(pathOf(url))) return CERTIFICATE_BYTES;
  if (method !== 'POST') return BODY_BYTES;
  return kind === 'host' ? REPORT_BYTES : BULK_BODY_BYTES;
}
