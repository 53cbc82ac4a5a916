/**
 * A Keystone in this process, as far as tokens go: passwords, scopes, implied roles, expiry, revocation and its events. It passes `keystone-suite.ts`, as the real one
 * does. Faults can be put in its way.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AccessRule } from '../token-info.ts';

/** What a token is for: as in `keystone-suite.ts`. */
export type FakeScope = { readonly project: string } | { readonly domain: string } | { readonly system: 'all' };
export type FakeUser = { readonly name: string; readonly password: string };
export type FakeGrant = { readonly role: string; readonly project?: string };

/** What it does instead of answering. */
export type FakeFault = 'hang' | 'garbage' | 'half' | 'redirect' | 'error' | 'unauthorized' | null;

export type FakeKeystone = {
  readonly url: string;
  readonly admin: FakeUser;
  readonly service: FakeUser;
  /** Of questions about tokens; logins. */
  readonly asked: { validations: number; logins: number; atOnce: number; mostAtOnce: number };
  fault: FakeFault;
  /** Answers wait for it. */
  delayMs: number;
  /** Its clock, as against this machine's. */
  skewMs: number;
  /** Of tokens from now on. */
  lifeMs: number;
  /** False: it tells nobody what was revoked. */
  tellsRevocations: boolean;
  token(user: FakeUser, scope: FakeScope, rules?: readonly AccessRule[]): Promise<string>;
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  createProject(name: string): Promise<string>;
  createUser(name: string, grants: readonly FakeGrant[]): Promise<FakeUser & { readonly id: string }>;
  addEndpoint(type: string, name: string, url: string): Promise<void>;
  close(): Promise<void>;
};

type Project = { readonly id: string; readonly name: string; enabled: boolean };
type User = FakeUser & { readonly id: string; enabled: boolean; readonly grants: FakeGrant[] };
type Token = {
  readonly text: string;
  readonly user: User;
  readonly scope: FakeScope | null;
  readonly issuedMs: number;
  readonly expiresMs: number;
  readonly auditId: string;
  readonly rules: readonly AccessRule[] | null;
  isRevoked: boolean;
};

const IMPLIED: Readonly<Record<string, string>> = { admin: 'manager', manager: 'member', member: 'reader' };
const DOMAIN = { id: 'default', name: 'Default' };
/** So long after its end a token is still shown to who asks for that. */
const EXPIRED_MS = 48 * 3600_000;

export async function startFakeKeystone(): Promise<FakeKeystone> {
  const fake = new Fake();
  const server = createServer((request, reply) => {
    fake.answer(request, reply).catch(() => reply.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v3`;
  fake.end = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await fake.createProject('admin');
  await fake.createProject('service');
  await fake.createUser('admin', [{ role: 'admin', project: 'admin' }, { role: 'admin' }]);
  await fake.createUser('service', [
    { role: 'admin', project: 'service' },
    { role: 'service', project: 'service' },
  ]);
  return fake;
}

class Fake implements FakeKeystone {
  url = '';
  readonly admin: FakeUser = { name: 'admin', password: 'secret-of-admin' };
  readonly service: FakeUser = { name: 'service', password: 'secret-of-service' };
  readonly asked = { validations: 0, logins: 0, atOnce: 0, mostAtOnce: 0 };
  fault: FakeFault = null;
  delayMs = 0;
  skewMs = 0;
  lifeMs = 3600_000;
  tellsRevocations = true;
  end: () => Promise<void> = () => Promise.resolve();
  readonly #projects: Project[] = [];
  readonly #users: User[] = [];
  readonly #tokens = new Map<string, Token>();
  readonly #events: Record<string, string>[] = [];
  readonly #services = new Map<string, { readonly type: string; readonly name: string; readonly url: string }>();

  close(): Promise<void> {
    return this.end();
  }

  createProject(name: string): Promise<string> {
    const id = randomUUID().replaceAll('-', '');
    this.#projects.push({ id, name, enabled: true });
    return Promise.resolve(id);
  }

  createUser(name: string, grants: readonly FakeGrant[]): Promise<FakeUser & { readonly id: string }> {
    const id = randomUUID().replaceAll('-', '');
    const user = { id, name, password: `secret-of-${name}`, enabled: true, grants: [...grants] };
    this.#users.push(user);
    return Promise.resolve(user);
  }

  addEndpoint(type: string, name: string, url: string): Promise<void> {
    this.#services.set(type, { type, name, url });
    return Promise.resolve();
  }

  token(user: FakeUser, scope: FakeScope, rules: readonly AccessRule[] | null = null): Promise<string> {
    const found = this.#users.find(({ name, password }) => name === user.name && password === user.password);
    const made = found === undefined ? undefined : this.#issue(found, scope, rules);
    return made === undefined ? Promise.reject(new Error('401 no token')) : Promise.resolve(made.text);
  }

  /** As the real one does, of what the suite asks for. */
  request(method: string, path: string, body?: unknown): Promise<unknown> {
    const [, plural, id, sub, userId] = path.split('/');
    const { enabled } = Object.values((body ?? {}) as Record<string, { enabled?: boolean }>)[0] ?? {};
    if (method === 'PATCH' && enabled !== undefined) {
      const one = (plural === 'users' ? this.#users : this.#projects).find((held) => held.id === id);
      if (one !== undefined) one.enabled = enabled;
      // Keystone tells of users who are disabled, and not of projects.
      if (!enabled && plural === 'users') this.#tell({ user_id: id ?? '' });
    }
    if (method === 'DELETE' && sub === 'users') {
      const user = this.#users.find((held) => held.id === userId);
      const project = this.#projects.find((held) => held.id === id)?.name;
      user?.grants.splice(0, user.grants.length, ...user.grants.filter((grant) => grant.project !== project));
    }
    return Promise.resolve({});
  }

  async answer(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    this.asked.atOnce += 1;
    this.asked.mostAtOnce = Math.max(this.asked.mostAtOnce, this.asked.atOnce);
    reply.once('close', () => {
      this.asked.atOnce -= 1;
    });
    let text = '';
    for await (const chunk of request) text += String(chunk);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const url = new URL(request.url ?? '/', 'http://fake');
    const isToken = url.pathname === '/v3/auth/tokens';
    if (isToken && request.method === 'GET') this.asked.validations += 1;
    if (this.fault !== null) return this.#fail(reply);
    if (isToken && request.method === 'POST') return this.#login(text, reply);
    const asker = this.#good(request.headers['x-auth-token']);
    if (asker === undefined) return send(reply, 401, fault(401, 'Unauthorized'));
    if (url.pathname === '/v3/OS-REVOKE/events') return this.#revocations(reply);
    if (!isToken) return send(reply, 404, fault(404, 'Not Found'));
    const subject = String(request.headers['x-subject-token']);
    if (request.method === 'DELETE') return this.#revoke(subject, reply);
    const isExpiredShown = url.searchParams.get('allow_expired') === '1';
    const token = this.#good(subject, isExpiredShown ? EXPIRED_MS : 0);
    const isShown = token?.rules == null || request.headers['openstack-identity-access-rules'] !== undefined;
    if (token === undefined || !isShown) return send(reply, 404, fault(404, 'Not Found'));
    send(reply, 200, { token: this.#shown(token, !url.searchParams.has('nocatalog')) });
  }

  #fail(reply: ServerResponse): void {
    switch (this.fault) {
      case 'hang':
      case null:
        return;
      case 'garbage':
        reply.writeHead(200, { 'content-type': 'application/json' }).end('<html>{"token": ');
        return;
      case 'half':
        reply.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        reply.write('{"token": {', () => reply.destroy());
        return;
      case 'redirect':
        reply.writeHead(302, { location: 'http://192.0.2.1/v3/auth/tokens' }).end();
        return;
      case 'error':
        send(reply, 500, fault(500, 'Internal Server Error'));
        return;
      case 'unauthorized':
        send(reply, 401, fault(401, 'Unauthorized'));
    }
  }

  #login(text: string, reply: ServerResponse): void {
    this.asked.logins += 1;
    type Body = {
      readonly auth?: {
        readonly identity?: {
          readonly password?: { readonly user?: { name?: string; id?: string; password?: string } };
        };
        readonly scope?: { project?: { id?: string; name?: string }; domain?: { id?: string }; system?: object };
      };
    };
    const { auth } = JSON.parse(text) as Body;
    const given = auth?.identity?.password?.user;
    const user = this.#users.find(({ name, id, password }) => {
      return (name === given?.name || id === given?.id) && password === given?.password;
    });
    const { project, domain, system } = auth?.scope ?? {};
    const named = this.#projects.find(({ id, name }) => id === project?.id || name === project?.name);
    const scope =
      system === undefined
        ? project === undefined
          ? domain === undefined
            ? null
            : { domain: domain.id ?? 'default' }
          : { project: named?.name ?? '' }
        : { system: 'all' as const };
    const token = user === undefined ? undefined : this.#issue(user, scope, null);
    if (token === undefined) {
      send(reply, 401, fault(401, 'Unauthorized'));
      return;
    }
    reply.setHeader('x-subject-token', token.text);
    send(reply, 201, { token: this.#shown(token, true) });
  }

  #issue(user: User, scope: FakeScope | null, rules: readonly AccessRule[] | null): Token | undefined {
    if (!user.enabled || (scope !== null && this.#rolesOf(user, scope).length === 0)) return undefined;
    const issuedMs = this.#now();
    const token: Token = {
      ...{ user, scope, rules, issuedMs, isRevoked: false },
      text: `gAAAAA${randomBytes(60).toString('base64url')}`,
      expiresMs: issuedMs + this.lifeMs,
      auditId: randomBytes(16).toString('base64url'),
    };
    this.#tokens.set(token.text, token);
    return token;
  }

  #good(text: unknown, afterMs = 0): Token | undefined {
    const token = this.#tokens.get(String(text));
    if (token === undefined || token.isRevoked || !token.user.enabled) return undefined;
    if (this.#now() >= token.expiresMs + afterMs) return undefined;
    if (token.scope !== null && this.#rolesOf(token.user, token.scope).length === 0) return undefined;
    return token;
  }

  #rolesOf(user: User, scope: FakeScope): readonly string[] {
    const project = 'project' in scope ? this.#projects.find(({ name }) => name === scope.project) : undefined;
    if ('project' in scope && project?.enabled !== true) return [];
    const given = user.grants.filter((grant) => {
      return 'project' in scope ? grant.project === scope.project : 'system' in scope && grant.project === undefined;
    });
    const roles = new Set<string>();
    for (const { role } of given)
      for (let one: string | undefined = role; one !== undefined; one = IMPLIED[one]) roles.add(one);
    return [...roles];
  }

  #shown({ user, scope, issuedMs, expiresMs, auditId, rules }: Token, withCatalog: boolean): object {
    const project =
      scope !== null && 'project' in scope ? this.#projects.find(({ name }) => name === scope.project) : undefined;
    return {
      methods: ['password'],
      user: { id: user.id, name: user.name, domain: DOMAIN, password_expires_at: null },
      audit_ids: [auditId],
      issued_at: new Date(issuedMs).toISOString(),
      expires_at: new Date(expiresMs).toISOString(),
      ...(scope === null ? {} : { roles: this.#rolesOf(user, scope).map((name) => ({ id: name, name })) }),
      ...(project === undefined
        ? {}
        : { project: { id: project.id, name: project.name, domain: DOMAIN }, is_domain: false }),
      ...(scope !== null && 'domain' in scope ? { domain: DOMAIN } : {}),
      ...(scope !== null && 'system' in scope ? { system: { all: true } } : {}),
      ...(rules === null
        ? {}
        : { application_credential: { id: 'c', name: 'c', restricted: true, access_rules: rules } }),
      ...(withCatalog && scope !== null ? { catalog: this.#catalog() } : {}),
    };
  }

  #catalog(): readonly object[] {
    return [{ type: 'identity', name: 'keystone', url: this.url }, ...this.#services.values()].map(
      ({ type, name, url }) => ({
        ...{ type, name, id: type },
        endpoints: ['public', 'internal', 'admin'].map((face) => ({ interface: face, region: 'RegionOne', url })),
      }),
    );
  }

  #revoke(subject: string, reply: ServerResponse): void {
    const token = this.#tokens.get(subject);
    if (token === undefined) {
      send(reply, 404, fault(404, 'Not Found'));
      return;
    }
    token.isRevoked = true;
    this.#tell({ audit_id: token.auditId });
    reply.writeHead(204).end();
  }

  #tell(event: Record<string, string>): void {
    const now = new Date(this.#now()).toISOString();
    this.#events.push({ ...event, issued_before: now, revoked_at: now });
  }

  #revocations(reply: ServerResponse): void {
    if (this.tellsRevocations) send(reply, 200, { events: this.#events, links: {} });
    else send(reply, 403, fault(403, 'Forbidden'));
  }

  #now(): number {
    return Date.now() + this.skewMs;
  }
}

function fault(code: number, title: string): object {
  return { error: { code, title, message: title } };
}

function send(reply: ServerResponse, status: number, body: object): void {
  reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
