/** A real Keystone of Debian's packages, in a directory of its own: SQLite, Fernet tokens, uWSGI on loopback. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, Program } from '../hammer/program.ts';

/** Who logs in. Names of the domain `Default`. */
export type User = { readonly name: string; readonly password: string };

/** What a token is for: a project (by name, of the domain `Default`), a domain by its id, or the whole system. */
export type Scope = { readonly project: string } | { readonly domain: string } | { readonly system: 'all' };

/** Of `role` on `project`, or on the whole system without one. */
export type Grant = { readonly role: Role; readonly project?: string };

export type Role = (typeof ROLES)[number];

export type Keystone = {
  /** `http://127.0.0.1:PORT/v3`. */
  readonly url: string;
  /** Role `admin` on the project `admin` and on the system. */
  readonly admin: User;
  /** Role `service` and `admin` on the project `service`: what a service checks tokens as. */
  readonly service: User;
  /** A new token of Keystone. Throws with its answer when it gives none. */
  token(user: User, scope: Scope): Promise<string>;
  /** One request as the administrator of the system; the path is what follows `/v3`. Throws with the answer unless it is 2xx. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Makes a project of the domain `Default`; returns its id. */
  createProject(name: string): Promise<string>;
  /** Makes a user, its password being `secret-of-<name>`. */
  createUser(name: string, grants: readonly Grant[]): Promise<User & { readonly id: string }>;
  /** Puts an endpoint of this type in the catalog, for all three interfaces. `region`: another than the one that all are in. */
  addEndpoint(type: string, name: string, url: string, region?: string): Promise<void>;
  /** The process stops answering, and goes on. */
  stop(): void;
  goOn(): void;
  /** Ends the process; what it wrote stays in the directory. */
  close(): Promise<void>;
};

/** The region that endpoints are in unless another is named. */
export const REGION = 'RegionOne';

const ROLES = ['admin', 'manager', 'member', 'reader', 'service'] as const;
const ADMIN: User = { name: 'admin', password: 'secret-of-admin' };
const run = promisify(execFile);

/**
 * Starts one whose files are in `directory`, which the caller removes. It has the roles `admin`, `manager`, `member`, `reader` and
 * `service`, the projects `admin` and `service`, and in its catalog itself.
 */
export async function startKeystone(directory: string): Promise<Keystone> {
  const home = join(directory, 'keystone');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/v3`;
  const config = writeConfig(home);
  await prepare(home, config, url);
  const program = new Program({
    name: 'keystone',
    command: ['uwsgi_python3', '--ini', writeUwsgi(home, port)],
    env: { OS_KEYSTONE_CONFIG_FILES: config, PYTHONWARNINGS: 'ignore' },
    log: join(directory, 'keystone.log'),
    ready: url,
  });
  const abandon = (): void => program.abandon();
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    await program.end('SIGKILL');
    process.off('exit', abandon);
  };
  try {
    await program.start();
    const system = await newToken(url, ADMIN, { system: 'all' });
    const keystone = clientOf(url, system);
    await addRoles(keystone);
    await keystone.createProject('service');
    const service = await keystone.createUser('service', [
      { role: 'admin', project: 'service' },
      { role: 'service', project: 'service' },
    ]);
    return {
      ...keystone,
      url,
      admin: ADMIN,
      service,
      token: (user, scope) => newToken(url, user, scope),
      stop: () => program.stop(),
      goOn: () => program.goOn(),
      close,
    };
  } catch (err) {
    await close();
    throw err;
  }
}

function writeConfig(home: string): string {
  mkdirSync(join(home, 'conf.d'), { recursive: true });
  const file = join(home, 'keystone.conf');
  // Few rounds of hashing: the suites make hundreds of users.
  const sections = [
    '[DEFAULT]',
    `log_file = ${join(home, 'keystone-service.log')}`,
    'use_stderr = false',
    '[database]',
    `connection = sqlite:///${join(home, 'keystone.sqlite')}`,
    '[token]',
    'provider = fernet',
    '[fernet_tokens]',
    `key_repository = ${join(home, 'fernet')}`,
    '[credential]',
    `key_repository = ${join(home, 'credential')}`,
    '[identity]',
    'password_hash_rounds = 4',
    '[oslo_policy]',
    `policy_file = ${join(home, 'no-policy.yaml')}`,
    `policy_dirs = ${join(home, 'conf.d')}`,
  ];
  writeFileSync(file, `${sections.join('\n')}\n`);
  return file;
}

/** One process with few threads: SQLite takes one writer at a time. */
function writeUwsgi(home: string, port: number): string {
  const file = join(home, 'uwsgi.ini');
  const lines = [
    '[uwsgi]',
    'plugins = python3',
    `http-socket = 127.0.0.1:${port}`,
    'wsgi-file = /usr/bin/keystone-wsgi-public',
    'processes = 1',
    'threads = 4',
    'enable-threads = true',
    'need-app = true',
    'add-header = Connection: close',
    'buffer-size = 65535',
    'die-on-term = true',
    'disable-logging = true',
    'log-4xx = false',
    'log-5xx = true',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** `keystone-manage` several times, its modules being read once. */
const MANAGE = `
import json, os, sqlite3, sys
from keystone.cmd import cli
# Kept in the file: with a log written ahead readers do not lock out the writer.
sqlite3.connect(sys.argv[1]).execute("PRAGMA journal_mode=WAL")
for args in json.loads(sys.argv[2]):
    child = os.fork()
    if child == 0:
        cli.main(argv=["keystone-manage", *args])
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("failed: keystone-manage " + " ".join(args))
`;

async function prepare(home: string, config: string, url: string): Promise<void> {
  const base = ['--config-file', config, '--config-dir', join(home, 'conf.d')];
  const owner = ['--keystone-user', 'root', '--keystone-group', 'root'];
  const password = ['--bootstrap-username', ADMIN.name, '--bootstrap-password', ADMIN.password];
  const urls = ['admin', 'internal', 'public'].flatMap((name) => [`--bootstrap-${name}-url`, url]);
  const steps = [
    ['db_sync'],
    ['fernet_setup', ...owner],
    ['credential_setup', ...owner],
    ['bootstrap', ...password, '--bootstrap-project-name', 'admin', '--bootstrap-region-id', REGION, ...urls],
  ].map((step) => [...base, ...step]);
  const env = { ...process.env, PYTHONWARNINGS: 'ignore' };
  await run('/usr/bin/python3', ['-c', MANAGE, join(home, 'keystone.sqlite'), JSON.stringify(steps)], { env });
}

type Client = Pick<Keystone, 'request' | 'createProject' | 'createUser' | 'addEndpoint'>;

function clientOf(url: string, systemToken: string): Client {
  const request = (method: string, path: string, body?: unknown): Promise<unknown> =>
    send(url, method, path, systemToken, body);
  return {
    request,
    createProject: async (name) => {
      const body = { project: { name, domain_id: 'default' } };
      return ((await request('POST', '/projects', body)) as { project: { id: string } }).project.id;
    },
    createUser: async (name, grants) => {
      const password = `secret-of-${name}`;
      const body = { user: { name, password, domain_id: 'default' } };
      const { user } = (await request('POST', '/users', body)) as { user: { id: string } };
      for (const { role, project } of grants) {
        const roleId = await idOf(request, 'roles', role);
        const place = project === undefined ? 'system' : `projects/${await idOf(request, 'projects', project)}`;
        await request('PUT', `/${place}/users/${user.id}/roles/${roleId}`);
      }
      return { name, password, id: user.id };
    },
    addEndpoint: async (type, name, endpoint, region = REGION) => {
      const { regions } = (await request('GET', '/regions')) as { regions: readonly { id: string }[] };
      if (!regions.some(({ id }) => id === region)) await request('POST', '/regions', { region: { id: region } });
      const { service } = (await request('POST', '/services', { service: { type, name } })) as {
        service: { id: string };
      };
      for (const face of ['admin', 'internal', 'public']) {
        const body = { interface: face, region_id: region, service_id: service.id, url: endpoint };
        await request('POST', '/endpoints', { endpoint: body });
      }
    },
  };
}

async function addRoles({ request }: Client): Promise<void> {
  const { roles } = (await request('GET', '/roles')) as { roles: readonly { name: string }[] };
  const missing = ROLES.filter((role) => !roles.some(({ name }) => name === role));
  for (const name of missing) await request('POST', '/roles', { role: { name } });
}

async function idOf(request: Keystone['request'], plural: 'roles' | 'projects', name: string): Promise<string> {
  const found = (await request('GET', `/${plural}?name=${encodeURIComponent(name)}`)) as Record<
    string,
    { id: string }[]
  >;
  const [one] = found[plural] ?? [];
  if (one === undefined) throw new Error(`Keystone has none of ${plural} that is named ${name}`);
  return one.id;
}

async function newToken(url: string, user: User, scope: Scope): Promise<string> {
  const login = { name: user.name, password: user.password, domain: { id: 'default' } };
  const body = { auth: { identity: { methods: ['password'], password: { user: login } }, scope: scopeOf(scope) } };
  const answer = await ask(`${url}/auth/tokens`, 'POST', {}, body);
  const token = answer.headers.get('x-subject-token');
  if (token === null) throw new Error(`Keystone gave ${user.name} no token: ${answer.status} ${await answer.text()}`);
  await answer.body?.cancel();
  return token;
}

function scopeOf(scope: Scope): unknown {
  if ('system' in scope) return { system: { all: true } };
  if ('domain' in scope) return { domain: { id: scope.domain } };
  return { project: { name: scope.project, domain: { id: 'default' } } };
}

async function send(url: string, method: string, path: string, token: string, body?: unknown): Promise<unknown> {
  const answer = await ask(`${url}${path}`, method, { 'x-auth-token': token }, body);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

function ask(url: string, method: string, headers: Record<string, string>, body: unknown): Promise<Response> {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = { 'content-type': 'application/json', connection: 'close' };
  return fetch(url, { method, headers: { ...type, ...headers }, signal: AbortSignal.timeout(60_000), ...json });
}
