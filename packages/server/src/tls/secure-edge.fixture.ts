/** A whole server that speaks HTTPS, with authorities of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Logger, silentLogger } from '@cable/kit';
import { BUILT_IN_REGISTRY, type NeutronErrorBody } from '@cable/model';
import {
  type Authority,
  createKey,
  createRequest,
  type Identity,
  initAuthorities,
  issueWithKey,
  parseJoinToken,
  type Validity,
  validityFrom,
  writeServer,
} from '@cable/pki';
import { openStore } from '@cable/store';
import type { AuditLog } from '../audit/audit-log.ts';
import { createUpgradeHandler } from '../hosts/upgrade.ts';
import { type Authenticator, noauth } from '../http/auth.ts';
import { authenticateByDoor } from '../http/door-authenticator.ts';
import { listen } from '../listen.ts';
import { openJoining } from '../pki/joining.ts';
import { type CableServer, startServer } from '../server.ts';
import { filesInDirectory, openServerTls } from './server-tls.ts';
import { createTlsDoor } from './tls-door.ts';

/** What a client shows; undefined: nothing. */
export type Shown = { readonly certificate: string; readonly key: string } | undefined;

export type SecureAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  readonly error: NeutronErrorBody['NeutronError'] | undefined;
};

export type SecureEdge = {
  readonly server: CableServer;
  readonly url: URL;
  readonly directory: string;
  readonly authorities: Readonly<Record<'authority' | 'hosts', Authority>>;
  /** A certificate of one of them. */
  issue(identity: Identity, by?: Authority, validity?: Validity): Promise<NonNullable<Shown>>;
  ask(method: string, path: string, more?: Asking): Promise<SecureAnswer>;
  /** A join token, made by an administrator. */
  token(body?: object): Promise<string>;
  /** What the server answers to a host that joins so; the key is new unless it is given. */
  join(host: string, token: string, key?: string): Promise<{ readonly answer: SecureAnswer; readonly key: string }>;
  /** Looks for streams whose certificate has expired, at once. */
  look(): void;
  /** Does something to the files of the server, and waits until it has read them. */
  followed<T>(change: () => Promise<T>): Promise<T>;
  /** A host that has joined. */
  joined(host: string): Promise<NonNullable<Shown>>;
};

export type Asking = {
  readonly shown?: Shown;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly ca?: string;
  /** The body has no content type. */
  readonly isUnsaid?: boolean;
  readonly session?: Buffer;
  readonly onSession?: (session: Buffer) => void;
};

export type SecureOptions = {
  readonly log?: Logger;
  readonly hostCertificateMs?: number;
  readonly now?: () => number;
  /** Asked for tokens; absent: certificates alone let somebody in. */
  readonly next?: Authenticator;
  readonly audit?: AuditLog;
};

/** Everything is gone when the test ends. */
export async function startSecureEdge(t: TestContext, options: SecureOptions = {}): Promise<SecureEdge> {
  const { log = silentLogger(), now = () => Date.now(), hostCertificateMs, next, audit } = options;
  const directory = await mkdtemp(join(tmpdir(), `cable-secure-${process.pid}-`));
  const stop = new AbortController();
  const authorities = await initAuthorities(directory, new Date());
  const validity = validityFrom(new Date(), 86_400_000);
  const own = { identity: { kind: 'server', name: 's1' }, places: ['localhost', '127.0.0.1'], validity } as const;
  await writeServer(
    directory,
    await issueWithKey(authorities.authority, own),
    [authorities.authority.certificate],
    false,
  );
  const store = await openStore(`lmdb:${directory}/store`, { log });
  const tls = await openServerTls(filesInDirectory(directory), { log, signal: stop.signal });
  const joining = await openJoining(directory, tls, { log, signal: stop.signal });
  const byToken = next === undefined ? {} : { next };
  const door = createTlsDoor({ tls, isOurs: true, log, signal: stop.signal, now, ...byToken });
  const authenticate = authenticateByDoor({ unix: noauth(), plain: noauth(), tls: door.authenticate });
  const server = await startServer({
    ...{ store, registry: BUILT_IN_REGISTRY, authenticate, log, now: () => new Date(now()) },
    settings: {
      underlayMtuBytes: 1500,
      hostsHaveCertificates: true,
      ...(hostCertificateMs === undefined ? {} : { hostCertificateMs }),
    },
    ...(joining === undefined ? {} : { joining }),
    ...(audit === undefined ? {} : { audit }),
  });
  door.know(server.tables);
  const upgrade = createUpgradeHandler({
    ...{ authenticate, log },
    permit: (caller, place) => server.permitAgent(caller, place),
    open: async (host) => {
      const take = await server.openStream(host);
      return (socket) => {
        take(socket);
        door.follow(host, socket);
      };
    },
  });
  const listeners = await listen(
    { request: (asked, reply) => server.app.routing(asked, reply), upgrade },
    [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
    undefined,
    tls,
  );
  t.after(async () => {
    const closed = listeners.stop();
    await server.stop();
    await closed;
    stop.abort();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const url = new URL(listeners.urls[0] ?? '');
  const issue: SecureEdge['issue'] = (identity, by, of = validity) =>
    issueWithKey(by ?? authorities[identity.kind === 'host' ? 'hosts' : 'authority'], { identity, validity: of });
  const admin = await issue({ kind: 'user', name: 'root', projectId: 'p', roles: ['admin', 'member', 'reader'] });
  const ask: SecureEdge['ask'] = (method, path, more = {}) =>
    send(url, { method, path, ca: authorities.authority.certificate, ...more });
  const token: SecureEdge['token'] = async (body = {}) => {
    const { body: made } = await ask('POST', '/cable/v1/join-tokens/issue', { shown: admin, body });
    return (made as { readonly join_token: { readonly token: string } }).join_token.token;
  };
  const join2: SecureEdge['join'] = async (host, text, given) => {
    const key = given ?? (await createKey());
    const { id, secret } = parseJoinToken(text) ?? { id: 'x', secret: 'x' };
    const body = { host, token: id, secret, request: await createRequest(key, { kind: 'host', name: host }) };
    return { key, answer: await ask('POST', '/cable/v1/join', { body }) };
  };
  const joined: SecureEdge['joined'] = async (host) => {
    const { key, answer } = await join2(host, await token());
    return { key, certificate: (answer.body as { readonly certificate: string }).certificate };
  };
  const followed: SecureEdge['followed'] = async (change) => {
    const read = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the server read nothing anew within 60 s')), 60_000);
      const heard = (): void => {
        clearTimeout(timer);
        resolve();
      };
      tls.onChange(heard);
      joining?.onChange(heard);
    });
    const done = await change();
    await read;
    return done;
  };
  const look = (): void => door.look();
  return { server, url, directory, authorities, issue, ask, token, join: join2, joined, look, followed };
}

function send(
  url: URL,
  {
    method,
    path,
    shown,
    body,
    headers = {},
    ca,
    session,
    onSession,
    isUnsaid = false,
  }: Asking & { readonly method: string; readonly path: string },
): Promise<SecureAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ host: url.hostname, port: url.port, method, path, agent: false, ca },
        ...(shown === undefined ? {} : { cert: shown.certificate, key: shown.key }),
        ...(session === undefined ? {} : { session }),
        headers: { ...(body === undefined || isUnsaid ? {} : { 'content-type': 'application/json' }), ...headers },
      },
      (reply) => {
        let text = '';
        reply.setEncoding('utf8');
        reply.on('data', (chunk: string) => {
          text += chunk;
        });
        reply.on('error', reject);
        reply.on('end', () => {
          const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : text;
          const error = (parsed as Partial<NeutronErrorBody>).NeutronError;
          resolve({ status: reply.statusCode ?? 0, headers: reply.headers, body: parsed, error });
        });
      },
    );
    if (onSession !== undefined) call.on('socket', (socket) => socket.on('session', onSession));
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
