/** Hosts join a real server over TLS: tokens, certificates that are renewed, and what others may try. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { createServer } from 'node:tls';
import { createClient } from '@cable/api';
import { httpTransport, type Logger, silentLogger } from '@cable/kit';
import { initAuthorities, issueWithKey, readAuthority, validityFrom } from '@cable/pki';
import { HostFiles } from '../../packages/agent/src/joining/host-files.ts';
import {
  type HostIdentity,
  type IdentityOptions,
  openIdentity,
} from '../../packages/agent/src/joining/host-identity.ts';
import { type SecureServer, startSecureServer } from './secure-server.ts';

let server: SecureServer;
/** One whose certificates of hosts are good for seconds. */
let hasty: SecureServer;
const undone: (() => unknown)[] = [];

before(async () => {
  const cleanup = { after: (undo: () => unknown) => void undone.push(undo) };
  [server, hasty] = await Promise.all([
    startSecureServer(cleanup),
    startSecureServer(cleanup, ['--host-certificate-life', '20s']),
  ]);
});

after(async () => {
  for (const undo of undone.reverse()) await undo();
});

type Host = { readonly options: IdentityOptions; readonly pem: () => Promise<string> };

function hostAt(at: SecureServer, host: string, text?: string): Host {
  const stateDir = join(at.directory, host);
  const options = { server: at.url, host, stateDir, tlsFiles: null, join: text === undefined ? null : { text } };
  return { options, pem: () => readFile(join(stateDir, 'joined', 'host.pem'), 'utf8') };
}

type More = { readonly log?: Logger; readonly now?: () => Date };

/** An agent that shows a certificate, or why it has none. */
async function open(t: TestContext, host: Host, more: More = {}): Promise<HostIdentity> {
  const { identity, next, refused } = await begin(t, host, more);
  if (!hasJoined(identity)) await Promise.race([next, refused]);
  return identity;
}

type Begun = { readonly identity: HostIdentity; readonly next: Promise<void>; readonly refused: Promise<never> };

/** `next`: another certificate is shown. `refused`: what the log says is wrong. */
async function begin(t: TestContext, { options }: Host, { log = silentLogger(), ...more }: More = {}): Promise<Begun> {
  const stop = new AbortController();
  t.after(() => stop.abort());
  let say = (_reason: string): void => undefined;
  const refused = new Promise<never>((_resolve, reject) => {
    say = (reason) => reject(new Error(reason));
  });
  refused.catch(() => undefined);
  const error = (fields: object, message: string): void => {
    log.error(fields, message);
    say(`${message} ${JSON.stringify(fields)}`);
  };
  const identity = await openIdentity(options, { ...more, log: { ...log, error }, signal: stop.signal });
  assert.ok(identity);
  return { identity, next: new Promise((resolve) => identity.onNew(resolve)), refused };
}

function hasJoined({ tls }: HostIdentity): boolean {
  try {
    return tls().own !== undefined;
  } catch {
    return false;
  }
}

/** Each host has its own. */
function underlayOf(host: string): string {
  const [, test = '', letter = ''] = /^t(\d+)-([a-z])$/.exec(host) ?? [];
  return `192.0.${test}.${letter.charCodeAt(0)}`;
}

/** As the host; answers when it is let in. */
async function register(t: TestContext, { options: { server, host } }: Host, { tls }: HostIdentity): Promise<void> {
  const transport = httpTransport(server, { tls });
  t.after(() => transport.close());
  const path = `/cable/v1/hosts/${host}`;
  await createClient({ transport }).request('PUT', path, { underlay: underlayOf(host), agentVersion: '1' });
}

test('a host joins, keeps what it got for itself, and comes back without its token', async (t) => {
  const first = hostAt(server, 't1-a', await server.token());
  await register(t, first, await open(t, first));
  const directory = join(first.options.stateDir, 'joined');
  assert.deepEqual((await readdir(directory)).sort(), ['authorities.pem', 'host.pem']);
  for (const name of await readdir(directory)) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600);
  const again = hostAt(server, 't1-a');
  await register(t, again, await open(t, again));
  // The same token is no reason to join anew, nor is a file that is gone, or has something else in it by now.
  const pem = await first.pem();
  const odd = join(server.directory, 'odd');
  await writeFile(odd, 'something else\n');
  for (const from of [first.options.join, { path: join(server.directory, 'gone') }, { path: odd }]) {
    const { identity } = await begin(t, { ...first, options: { ...first.options, join: from } });
    await register(t, first, identity);
    assert.deepEqual((await readdir(directory)).sort(), ['authorities.pem', 'host.pem']);
    assert.equal(await first.pem(), pem);
  }
});

test('a token is taken from a file, and what is no token is said without saying it', async (t) => {
  const path = join(server.directory, 'token');
  const a = hostAt(server, 't2-a');
  const from = { ...a, options: { ...a.options, join: { path } } };
  await writeFile(path, 'not a token: secret\n');
  await assert.rejects(open(t, from), (err: Error) => /no join token/.test(err.message) && !/secret/.test(err.message));
  await writeFile(path, `${await server.token()}\n`);
  await register(t, from, await open(t, from));
});

test('without token and certificate a host is told how to join', async (t) => {
  await assert.rejects(open(t, hostAt(server, 't3-a')), /has not joined yet.*cable join-token create.*--join-file/);
});

test('to a server of another authority nothing is said', async (t) => {
  const other = await initAuthorities(join(server.directory, 'other'), new Date());
  const own = await issueWithKey(other.authority, {
    identity: { kind: 'server', name: 's1' },
    places: ['127.0.0.1'],
    validity: validityFrom(new Date(), 86_400_000),
  });
  const heard: Buffer[] = [];
  // It may show the authority of the token beside its own: its certificate is not of it.
  for (const shown of [own.certificate + other.authority.certificate, own.certificate + server.authority.certificate]) {
    const listener = createServer({ cert: shown, key: own.key }, (socket) => {
      socket.on('error', () => undefined).on('data', (data: Buffer) => heard.push(data));
    }).listen(0, '127.0.0.1');
    t.after(() => listener.close());
    await once(listener, 'listening');
    const a = hostAt(server, 't4-a', await server.token());
    const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
    await assert.rejects(
      open(t, { ...a, options: { ...a.options, server: url } }),
      /shows none of the token’s authority.*nothing was said/,
    );
  }
  assert.deepEqual(heard, []);
});

test('of two hosts with one token one joins', async (t) => {
  const token = await server.token();
  const hosts = [hostAt(server, 't5-a', token), hostAt(server, 't5-b', token)];
  const joined = await Promise.allSettled(hosts.map((host) => open(t, host)));
  const refused = joined.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
  assert.equal(refused.length, 1);
  assert.match(refused[0] ?? '', /used up.*cable join-token create/);
});

test('a host whose answer was lost joins by the same token again, with the key of before', async (t) => {
  const a = hostAt(server, 't6-a', await server.token());
  await open(t, a);
  const pem = await a.pem();
  // As if it had been killed before it wrote the certificate.
  const directory = join(a.options.stateDir, 'joined');
  await writeFile(join(directory, 'next.key'), pem.slice(pem.lastIndexOf('-----BEGIN')));
  await rm(join(directory, 'host.pem'));
  await register(t, a, await open(t, a));
  // With another key the token is spent.
  await rm(directory, { recursive: true });
  await assert.rejects(open(t, a), /used up/);
});

test('a name that is there is refused, unless the token lets it be replaced', async (t) => {
  const before = hostAt(server, 't7-a', await server.token());
  const identity = await open(t, before);
  await register(t, before, identity);
  await rm(before.options.stateDir, { recursive: true });
  await assert.rejects(open(t, hostAt(server, 't7-a', await server.token())), /a host t7-a already.*--replace true/);
  const anew = hostAt(server, 't7-a', await server.token({ host: 't7-a', replace: true }));
  await register(t, anew, await open(t, anew));
  await assert.rejects(register(t, before, identity), /joined anew/);
});

test('a host that has a certificate goes on with it when a new token is refused', async (t) => {
  const first = hostAt(server, 't8-a', await server.token());
  await open(t, first);
  const other = hostAt(server, 't8-b', await server.token({ host: 't8-c' }));
  await assert.rejects(open(t, other), /of host t8-c, not of t8-b/);
  const pem = await first.pem();
  const again = hostAt(server, 't8-a', await server.token({ host: 't8-c' }));
  const { identity, refused } = await begin(t, again);
  await register(t, again, identity);
  await assert.rejects(refused, /not joined anew.*of host t8-c, not of t8-a/);
  await register(t, again, identity);
  assert.equal(await first.pem(), pem);
});

test('a clock that is wrong is named', async (t) => {
  const a = hostAt(server, 't9-a', await server.token());
  const late = new Date(Date.now() + 90 * 86_400_000);
  await assert.rejects(open(t, a, { now: () => late }), /set the clocks/);
  // Then it joins, by the same token.
  await register(t, a, await open(t, a));
});

test('a certificate is renewed at two thirds of its life, and the next request shows it', async (t) => {
  const a = hostAt(hasty, 't10-a', await hasty.token());
  const identity = await open(t, a);
  const before = new X509Certificate(await a.pem());
  await new Promise<void>((resolve) => identity.onNew(resolve));
  const after = new X509Certificate(await a.pem());
  assert.ok(Date.parse(after.validTo) > Date.parse(before.validTo));
  assert.ok(Date.parse(after.validFrom) - Date.parse(before.validFrom) >= 10_000);
  assert.notEqual(
    after.publicKey.export({ type: 'spki', format: 'pem' }),
    before.publicKey.export({ type: 'spki', format: 'pem' }),
  );
  await register(t, a, identity);
});

test('a certificate that an operator gives is read anew when another takes its place', async (t) => {
  const { signer: hosts } = await readAuthority(join(server.directory, 'pki'), 'hosts');
  const [cert, key, ca] = ['h.pem', 'h.key', 'ca.pem'].map((name) => join(server.directory, name)) as [
    string,
    string,
    string,
  ];
  const give = async (from = new Date()): Promise<void> => {
    const validity = validityFrom(from, 86_400_000);
    const own = await issueWithKey(hosts, { identity: { kind: 'host', name: 't11-a' }, validity });
    await writeFile(cert, own.certificate);
    await writeFile(key, own.key);
  };
  await give();
  await writeFile(ca, server.authority.certificate);
  const a = hostAt(server, 't11-a');
  const given = { ...a, options: { ...a.options, tlsFiles: { own: { cert, key }, ca } } };
  const identity = await open(t, given);
  await register(t, given, identity);
  const before = identity.tls().own?.cert;
  const changed = new Promise<void>((resolve) => identity.onNew(resolve));
  await give();
  await changed;
  assert.notEqual(identity.tls().own?.cert, before);
  await register(t, given, identity);
  // One that has expired waits for the next, which need not be there when the agent starts.
  await give(new Date(Date.now() - 2 * 86_400_000));
  const late = await begin(t, given);
  await assert.rejects(late.refused, /has expired at .*put another there/);
  await assert.rejects(register(t, given, late.identity), /has expired/);
  await give();
  await late.next;
  await register(t, given, late.identity);
});

test('a host that was revoked, and has a token that is refused, joins by the one that is in the file then', async (t) => {
  const path = join(server.directory, 'anew');
  const a = hostAt(server, 't13-a', await server.token());
  await register(t, a, await open(t, a));
  await server.revoke('t13-a');
  await writeFile(path, await server.token({ host: 't13-b' }));
  const again = { ...a, options: { ...a.options, join: { path } } };
  const { identity, next, refused } = await begin(t, again);
  await assert.rejects(refused, /not joined anew.*of host t13-b, not of t13-a/);
  await assert.rejects(register(t, again, identity), /has been revoked/);
  await writeFile(path, await server.token({ host: 't13-a', replace: true }));
  await next;
  await register(t, again, identity);
});

test('a host that waits to join begins at once, says nothing meanwhile, and joins by the token that is in the file then', async (t) => {
  const path = join(server.directory, 'later');
  await writeFile(path, await server.token());
  await open(t, { ...hostAt(server, 't12-b'), options: { ...hostAt(server, 't12-b').options, join: { path } } });
  // The token is used up.
  const a = hostAt(server, 't12-a');
  const waiting = { ...a, options: { ...a.options, join: { path } } };
  const { identity, next, refused } = await begin(t, waiting);
  await assert.rejects(register(t, waiting, identity), /has not joined yet: a certificate is being asked for/);
  await assert.rejects(refused, /cannot join.*used up.*cable join-token create/);
  await assert.rejects(register(t, waiting, identity), /has not joined yet: .*used up/);
  await writeFile(path, await server.token());
  await next;
  await register(t, waiting, identity);
});

type Admission = { readonly options: NonNullable<IdentityOptions['admission']>; readonly shown: string[] };

/** Who gives tokens to pods of agents, in front of the server; `answers`: one after the other, the last again. */
async function admission(
  t: TestContext,
  answers: readonly (() => Promise<{ readonly status: number; readonly body: object }>)[],
): Promise<Admission> {
  const identity = { kind: 'server', name: 's1' } as const;
  const validity = validityFrom(new Date(), 86_400_000);
  const { certificate: cert, key } = await issueWithKey(server.authority, {
    identity,
    places: ['127.0.0.1'],
    validity,
  });
  const shown: string[] = [];
  const door = createHttpsServer({ cert, key }, (request, response) => {
    shown.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    const answer = answers[Math.min(shown.length, answers.length) - 1];
    void answer?.().then(({ status, body }) => response.writeHead(status).end(JSON.stringify(body)));
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  t.after(() => {
    door.close();
    door.closeAllConnections();
  });
  const [caFile, tokenFile] = [join(server.directory, 'ca.pem'), join(server.directory, 'account')];
  await writeFile(caFile, server.authority.certificate);
  await writeFile(tokenFile, 'of-the-pod\n');
  const url = `https://127.0.0.1:${(door.address() as AddressInfo).port}`;
  return { options: { url, caFile, tokenFile }, shown };
}

const giving = (body: object) => async () => ({ status: 200, body: { token: await server.token(body) } });
const refusing = (status: number, reason: string) => async () => ({ status, body: { reason } });

function admitted(host: string, { options }: Admission, given?: string): Host {
  const at = hostAt(server, host);
  return { ...at, options: { ...at.options, admission: options, join: given === undefined ? null : { path: given } } };
}

test('a node asks for a token itself: again while nobody answers, and again when the token is of no use any more', async (t) => {
  const used = await server.token();
  await open(t, hostAt(server, 't14-b', used));
  const door = await admission(t, [
    refusing(503, 'others are being looked at'),
    async () => ({ status: 200, body: { token: used } }),
    giving({ host: 't14-a' }),
  ]);
  const node = admitted('t14-a', door);
  const { identity, next } = await begin(t, node);
  await next;
  await register(t, node, identity);
  assert.deepEqual(door.shown, Array(3).fill('POST /join Bearer of-the-pod'));
  // It is asked no more: the host has what it needs.
  await register(t, node, await open(t, node));
  assert.equal(door.shown.length, 3);
});

test('a node whose certificate is over, or whose servers have other authorities, asks for a token when it starts', async (t) => {
  const door = await admission(t, [giving({ host: 't15-a', replace: true }), giving({ host: 't15-b', replace: true })]);
  const { signer: hosts } = await readAuthority(join(server.directory, 'pki'), 'hosts');
  const others = (await initAuthorities(join(server.directory, 'others'), new Date())).authority;
  const [then, now] = [new Date(Date.now() - 86_400_000), new Date()];
  for (const [name, from, authority] of [
    ['t15-a', then, server.authority],
    ['t15-b', now, others],
  ] as const) {
    const node = admitted(name, door);
    const identity = { kind: 'host', name } as const;
    const { certificate, key } = await issueWithKey(hosts, { identity, validity: validityFrom(from, 3_600_000) });
    const token = '0'.repeat(12);
    await new HostFiles(node.options.stateDir, name).write({
      token,
      certificate,
      key,
      authorities: [authority.certificate],
    });
    const begun = await begin(t, node);
    await begun.next;
    await register(t, node, begun.identity);
  }
  assert.equal(door.shown.length, 2);
});

test('a token that an operator has left is taken first and once: it is removed when it is spent, and one that is refused is in nobody’s way', async (t) => {
  const given = join(server.directory, 'given');
  const door = await admission(t, [giving({ host: 't16-a' })]);
  await writeFile(given, await server.token({ host: 't16-b' }));
  const node = admitted('t16-a', door, given);
  const { identity, next, refused } = await begin(t, node);
  await assert.rejects(refused, /of host t16-b, not of t16-a/);
  await next;
  await register(t, node, identity);
  await server.revoke('t16-a');
  await writeFile(given, await server.token({ host: 't16-a', replace: true }));
  const again = await begin(t, node);
  await again.next;
  await register(t, node, again.identity);
  assert.match(await readFile(given, 'utf8'), /\w/);
  const pem = await node.pem();
  await register(t, node, await open(t, node));
  while (existsSync(given)) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await node.pem(), pem);
  assert.equal(door.shown.length, 1);
});
