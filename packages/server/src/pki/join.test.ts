/** Hosts join, renew, are revoked; and what of it an attacker may try. */
import assert from 'node:assert/strict';
import { randomUUID, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { HOST_UPGRADE } from '@cable/model';
import {
  certificatesIn,
  createKey,
  createRequest,
  fingerprintOf,
  hashSecret,
  identityOf,
  parseJoinToken,
  pkiPaths,
  replaceFile,
  rotateAuthority,
} from '@cable/pki';
import { createAuditLog } from '../audit/audit-log.ts';
import { objectKey } from '../keys.ts';
import { type SecureEdge, type Shown, startSecureEdge } from '../tls/secure-edge.fixture.ts';
import { filesInDirectory, openServerTls } from '../tls/server-tls.ts';
import { certificateKey } from './host-certificates.ts';

const REGISTRATION = { underlay: '192.0.2.11', agentVersion: '1' };

function typeOf({ error }: { readonly error: { readonly type: string } | undefined }): string | undefined {
  return error?.type;
}

async function admin(edge: SecureEdge): Promise<NonNullable<Shown>> {
  return await edge.issue({ kind: 'user', name: 'root', projectId: 'p', roles: ['admin', 'member', 'reader'] });
}

/** Asks for the stream of a host that is registered; gives the socket. */
function open({ url, authorities }: SecureEdge, host: string, shown: NonNullable<Shown>): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const call = httpsRequest({
      ...{ host: url.hostname, port: url.port, path: `/cable/v1/hosts/${host}/watch`, agent: false },
      ...{ cert: shown.certificate, key: shown.key, ca: authorities.authority.certificate },
      headers: { connection: 'Upgrade', upgrade: HOST_UPGRADE },
    });
    call.on('upgrade', (_reply, socket) => resolve(socket.on('error', () => undefined).resume()));
    call.on('response', (reply) => reject(new Error(`answered ${reply.statusCode}`)));
    call.on('error', reject);
    call.end();
  });
}

async function stream(
  t: TestContext,
  edge: SecureEdge,
  host: string,
  shown: NonNullable<Shown>,
): Promise<{ ended: Promise<void> }> {
  const body = { ...REGISTRATION, agentId: randomUUID(), session: randomUUID(), protocol: 2 };
  const registered = await edge.ask('PUT', `/cable/v1/hosts/${host}`, { shown, body });
  assert.equal(registered.status, 200, JSON.stringify(registered.body));
  const socket = await open(edge, host, shown);
  t.after(() => socket.destroy());
  socket.write(`${JSON.stringify({ type: 'resume', session: body.session, since: 0, history: null, slices: {} })}\n`);
  const ended = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the stream of ${host} did not end within 60 s`)), 60_000);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  ended.catch(() => undefined);
  return { ended };
}

describe('a host joins', () => {
  test('with a token, and gets a certificate of its name and nothing else', async (t) => {
    const edge = await startSecureEdge(t);
    const token = await edge.token();
    assert.equal(parseJoinToken(token)?.authority, fingerprintOf(edge.authorities.authority.certificate));
    const { answer } = await edge.join('a', token);
    assert.equal(answer.status, 201);
    const { certificate, authorities } = answer.body as { certificate: string; authorities: string[] };
    const made = new X509Certificate(certificate);
    assert.deepEqual(identityOf(made.subjectAltName), { kind: 'host', name: 'a' });
    assert.deepEqual(
      authorities.map((one) => fingerprintOf(one)),
      [fingerprintOf(edge.authorities.authority.certificate)],
    );
    const days = (new Date(made.validTo).getTime() - Date.now()) / 86_400_000;
    assert.ok(days > 29 && days < 31, `good for ${days} days`);
  });

  test('again with the same key after an answer was lost, and with no other', async (t) => {
    const edge = await startSecureEdge(t);
    const token = await edge.token();
    const { key } = await edge.join('a', token);
    assert.equal((await edge.join('a', token, key)).answer.status, 201);
    assert.equal(typeOf((await edge.join('a', token)).answer), 'JoinTokenUsed');
    assert.equal(typeOf((await edge.join('b', token, key)).answer), 'JoinTokenUsed');
  });

  test('not with a token that is another’s, used up, expired, deleted or made up', async (t) => {
    let now = Date.now();
    const edge = await startSecureEdge(t, { now: () => now });
    const shown = await admin(edge);
    assert.equal(typeOf((await edge.join('a', await edge.token({ host: 'b' }))).answer), 'JoinTokenOfOtherHost');
    const [id = '', , authority = ''] = (await edge.token()).split('.');
    const wrong = `${id}.${'A'.repeat(43)}.${authority}`;
    assert.equal(typeOf((await edge.join('a', wrong)).answer), 'JoinTokenInvalid');
    assert.equal(
      typeOf((await edge.join('a', `${'0'.repeat(12)}.${'A'.repeat(43)}.${authority}`)).answer),
      'JoinTokenInvalid',
    );
    const deleted = await edge.token();
    const gone = await edge.ask('DELETE', `/cable/v1/join-tokens/${deleted.split('.')[0]}`, { shown });
    assert.equal(gone.status, 204);
    assert.equal(typeOf((await edge.join('a', deleted)).answer), 'JoinTokenInvalid');
    const short = await edge.token({ ttl: 10 });
    now += 11_000;
    const late = (await edge.join('a', short)).answer;
    assert.equal(typeOf(late), 'JoinTokenExpired');
    assert.match(String(late.error?.detail), /cable join-token create/);
    // The next one that is made takes those that have expired along.
    await edge.token();
    const { body } = await edge.ask('GET', '/cable/v1/join-tokens', { shown });
    assert.ok(!(body as { join_tokens: { id: string }[] }).join_tokens.some((one) => one.id === short.split('.')[0]));
  });

  test('not under the name of a host that is there, unless its token says so; then that one is refused', async (t) => {
    const edge = await startSecureEdge(t);
    const first = await edge.joined('a');
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a', { shown: first, body: REGISTRATION })).status, 204);
    assert.equal(typeOf((await edge.join('a', await edge.token({ uses: 5 }))).answer), 'HostHasJoined');
    assert.equal(typeOf((await edge.join('a', await edge.token({ host: 'a' }))).answer), 'HostHasJoined');
    const { key, answer } = await edge.join('a', await edge.token({ host: 'a', replace: true }));
    const second = { key, certificate: (answer.body as { certificate: string }).certificate };
    const refused = await edge.ask('PUT', '/cable/v1/hosts/a', { shown: first, body: REGISTRATION });
    assert.equal(typeOf(refused), 'CertificateRefused');
    assert.match(refused.error?.message ?? '', /has joined anew/);
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a', { shown: second, body: REGISTRATION })).status, 204);
  });

  test('as often as the token says, whatever comes at once', async (t) => {
    const edge = await startSecureEdge(t);
    const token = await edge.token({ uses: 5 });
    const key = await createKey();
    const all = await Promise.all(Array.from({ length: 20 }, (_, at) => edge.join(`h${at}`, token, key)));
    const statuses = all.map(({ answer }) => answer.status);
    assert.equal(statuses.filter((one) => one === 201).length, 5);
    assert.equal(statuses.filter((one) => one === 403).length, 15);
  });

  test('and whoever has no token that is good holds nobody up: what he sends waits for no lock', {
    timeout: 60_000,
  }, async (t) => {
    const edge = await startSecureEdge(t);
    const token = await edge.token({ host: 'a' });
    const [id = '', , authority = ''] = token.split('.');
    const { lock } = edge.server.deps;
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    t.after(() => letGo());
    const signal = new AbortController().signal;
    const holding = lock.run([certificateKey('a'), `join_token/${id}`], { signal }, () => held);
    const bad = [`${id}.${'A'.repeat(43)}.${authority}`, `${'0'.repeat(12)}.${'A'.repeat(43)}.${authority}`];
    for (const text of bad) assert.equal(typeOf((await edge.join('a', text)).answer), 'JoinTokenInvalid');
    assert.equal(typeOf((await edge.join('b', token)).answer), 'JoinTokenOfOtherHost');
    const good = edge.join('a', token);
    letGo();
    await holding;
    assert.equal((await good).answer.status, 201);
  });

  test('not with a request that is too long, is no request, or asks for other names', async (t) => {
    const edge = await startSecureEdge(t);
    const { id, secret } = parseJoinToken(await edge.token()) ?? { id: '', secret: '' };
    const ask = (body: object) =>
      edge.ask('POST', '/cable/v1/join', { body: { host: 'a', token: id, secret, ...body } });
    const other = await createRequest(await createKey(), { kind: 'host', name: 'b' });
    const user = await createRequest(await createKey(), { kind: 'user', name: 'a', projectId: null, roles: ['admin'] });
    for (const request of [other, user, 'x', 'x'.repeat(5000), 7, undefined]) {
      assert.equal((await ask({ request })).status, 400);
    }
    assert.equal((await ask({ request: 'x'.repeat(20_000) })).status, 413);
    for (const host of ['', 'a/b', '-a', 'a'.repeat(300), 7]) {
      const request = await createRequest(await createKey(), { kind: 'host', name: 'a' });
      assert.equal((await ask({ host, request })).status, 400, String(host));
    }
  });
});

test('the store has no secret, and no log either', async (t) => {
  const lines: string[] = [];
  const write = (fields: object, message: string): void => void lines.push(`${JSON.stringify(fields)} ${message}`);
  const log = { debug: write, info: write, warn: write, error: write, child: () => log };
  const edge = await startSecureEdge(t, { log });
  const token = await edge.token({ uses: 2 });
  const { key } = await edge.join('a', token);
  await edge.join('a', `${token.slice(0, 13)}${'B'.repeat(43)}.${token.slice(57)}`);
  const { secret = '' } = parseJoinToken(token) ?? {};
  const shown = await edge.ask('GET', '/cable/v1/join-tokens', { shown: await admin(edge) });
  const tables = JSON.stringify([...edge.server.tables.of('join_token').values()]);
  assert.match(tables, new RegExp(hashSecret(secret)));
  for (const text of [...lines, tables, JSON.stringify(shown.body)]) {
    assert.ok(!text.includes(secret) && !text.includes(key.slice(30, 90)), text);
  }
  assert.ok(!JSON.stringify(shown.body).includes(hashSecret(secret)));
  assert.ok(
    lines.some((line) => line.includes('has joined')),
    'nothing was logged',
  );
});

test('a join that is refused has no line in the audit log, however it is refused: strangers do not fill it', async (t) => {
  const texts: string[] = [];
  const file = { add: (line: string) => void texts.push(line), lost: 0, waitingBytes: 0 };
  const edge = await startSecureEdge(t, { audit: createAuditLog(file, () => new Date()) });
  const token = await edge.token({ host: 'a' });
  const before = texts.length;
  const [id = '', secret = '', authority = ''] = token.split('.');
  for (const [host, text] of [
    ['a', `${id}.${'A'.repeat(43)}.${authority}`],
    ['a', `${'0'.repeat(12)}.${secret}.${authority}`],
    ['b', token],
  ] as const) {
    assert.equal((await edge.join(host, text)).answer.status, 403);
  }
  const shown = await edge.issue({ kind: 'host', name: 'a' }, edge.authorities.authority);
  for (const body of [{}, { host: 'a' }, { host: 'a', token: id, secret, request: 'x' }, 'x'.repeat(20_000), 7]) {
    for (const by of [undefined, shown])
      assert.ok((await edge.ask('POST', '/cable/v1/join', { body, shown: by })).status >= 400);
  }
  assert.ok((await edge.ask('PUT', '/cable/v1/join', { body: {} })).status >= 400);
  assert.deepEqual(texts.slice(before), []);
  assert.equal((await edge.join('a', token)).answer.status, 201);
  assert.equal(texts.length, before + 1);
});

test('hosts are never told authorities of which this server’s certificate is not', async (t) => {
  const errors: string[] = [];
  let heard = (): void => undefined;
  const error = ({ err }: { readonly err?: Error }): void => {
    errors.push(err?.message ?? '');
    heard();
  };
  const log = { ...silentLogger(), error, child: () => log };
  const edge = await startSecureEdge(t, { log });
  const told = async (host: string): Promise<readonly string[]> => {
    const { answer } = await edge.join(host, await edge.token());
    return (answer.body as { authorities: string[] }).authorities.map((one) => fingerprintOf(one));
  };
  const { directory } = edge;
  const { authority } = pkiPaths(directory);
  const [old = '', next = ''] = await edge.followed(() => rotateAuthority(directory, 'authority', 'begin', new Date()));
  assert.deepEqual(await told('a'), [old, next]);
  // As the copy of another server has it when the list alone is carried to it.
  const both = await readFile(authority.certificates, 'utf8');
  const [, alone = ''] = certificatesIn(both);
  const said = new Promise<void>((resolve) => {
    heard = resolve;
  });
  await replaceFile(authority.certificates, alone);
  await said;
  const remedy = /server\.pem is of no authority in .*authority\.pem.*cable pki issue server s1 --replace --dir /;
  assert.match(errors.at(-1) ?? '', remedy);
  assert.deepEqual(await told('b'), [old, next]);
  const deps = { log, signal: AbortSignal.timeout(60_000) };
  await assert.rejects(openServerTls(filesInDirectory(directory), deps), remedy);
  // With a certificate of the one that is told it is taken.
  await replaceFile(authority.certificates, both);
  await edge.followed(() => rotateAuthority(directory, 'authority', 'switch', new Date()));
  await edge.followed(() => rotateAuthority(directory, 'authority', 'end', new Date()));
  // The last step changes the list alone: who trusts nothing else still reaches the server.
  assert.equal((await edge.ask('GET', '/readyz', { ca: alone })).status, 200);
});

describe('a host that has joined', () => {
  test('renews its certificate by the one it has, for itself alone', async (t) => {
    const edge = await startSecureEdge(t);
    const a = await edge.joined('a');
    const key = await createKey();
    const request = await createRequest(key, { kind: 'host', name: 'a' });
    const renewed = await edge.ask('POST', '/cable/v1/hosts/a/certificate', { shown: a, body: { request } });
    assert.equal(renewed.status, 201);
    const next = { key, certificate: (renewed.body as { certificate: string }).certificate };
    for (const shown of [a, next]) {
      assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a', { shown, body: REGISTRATION })).status, 204);
    }
    const foreign = await createRequest(key, { kind: 'host', name: 'b' });
    const body = { request: foreign };
    assert.equal((await edge.ask('POST', '/cable/v1/hosts/a/certificate', { shown: a, body })).status, 400);
    const shown = await admin(edge);
    assert.equal((await edge.ask('POST', '/cable/v1/hosts/a/certificate', { shown, body: { request } })).status, 403);
  });

  test('is refused from the next request on when it is revoked or deleted, and its stream ends', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await admin(edge);
    const a = await edge.joined('a');
    const { ended } = await stream(t, edge, 'a', a);
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a/revoke', { shown })).status, 204);
    await ended;
    const refused = await edge.ask('PUT', '/cable/v1/hosts/a', { shown: a, body: REGISTRATION });
    assert.equal(typeOf(refused), 'CertificateRefused');
    assert.match(refused.error?.message ?? '', /has been revoked/);
    const request = await createRequest(a.key, { kind: 'host', name: 'a' });
    const renewal = await edge.ask('POST', '/cable/v1/hosts/a/certificate', { shown: a, body: { request } });
    assert.equal(typeOf(renewal), 'CertificateRefused');
    const { body } = await edge.ask('GET', '/cable/v1/host-certificates/a', { shown });
    assert.equal((body as { host_certificate: { revoked: boolean } }).host_certificate.revoked, true);
    // A token of before is none any more; one that names it lets it in again.
    const { key, answer } = await edge.join('a', await edge.token({ host: 'a', replace: true }));
    assert.equal(answer.status, 201);
    const again = { key, certificate: (answer.body as { certificate: string }).certificate };
    assert.notEqual(
      typeOf(await edge.ask('PUT', '/cable/v1/hosts/a', { shown: again, body: REGISTRATION })),
      'CertificateRefused',
    );
  });

  test('is refused, too, when it was revoked before it had registered', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await admin(edge);
    const { key, answer } = await edge.join('ghost', await edge.token({}));
    const ghost = { key, certificate: (answer.body as { certificate: string }).certificate };
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/nobody/revoke', { shown })).status, 404);
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/ghost/revoke', { shown: ghost })).status, 403);
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/ghost/revoke', { shown })).status, 204);
    const request = await createRequest(key, { kind: 'host', name: 'ghost' });
    const renewal = await edge.ask('POST', '/cable/v1/hosts/ghost/certificate', { shown: ghost, body: { request } });
    assert.equal(typeOf(renewal), 'CertificateRefused');
    const registered = await edge.ask('PUT', '/cable/v1/hosts/ghost', { shown: ghost, body: REGISTRATION });
    assert.equal(typeOf(registered), 'CertificateRefused');
  });

  test('gets no token of one who is not asked by an operator, once it was revoked', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await admin(edge);
    const body = { host: 'a', replace: true, unless_revoked: true };
    const ask = () => edge.ask('POST', '/cable/v1/join-tokens/issue', { shown, body });
    const first = await ask();
    assert.equal(first.status, 201);
    assert.equal(
      (await edge.join('a', (first.body as { join_token: { token: string } }).join_token.token)).answer.status,
      201,
    );
    const pending = await ask();
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a/revoke', { shown })).status, 204);
    const { status, error } = await ask();
    assert.deepEqual([status, error?.type], [409, 'HostWasRevoked']);
    // The one that was made before went with it.
    const { token } = (pending.body as { join_token: { token: string } }).join_token;
    assert.equal(typeOf((await edge.join('a', token)).answer), 'JoinTokenInvalid');
    const nameless = { shown, body: { unless_revoked: true } };
    assert.equal((await edge.ask('POST', '/cable/v1/join-tokens/issue', nameless)).status, 400);
  });

  test('comes back after it was revoked or deleted by a token that names it alone', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await admin(edge);
    const open = await edge.token({ uses: 9 });
    const refusedBack = async (host: string): Promise<void> => {
      const { error, status } = (await edge.join(host, open)).answer;
      assert.deepEqual([status, error?.type], [409, 'HostWasRevoked']);
      assert.match(String(error?.detail), new RegExp(`cable join-token create --host ${host} --replace true`));
    };
    // Revoked, and then deleted; deleted alone.
    const { store, tables } = edge.server.deps;
    for (const [host, underlay] of [
      ['b', '192.0.2.12'],
      ['c', '192.0.2.13'],
    ] as const) {
      await edge.joined(host);
      // As it is when its agent has been gone for long enough.
      const row = { id: host, underlay, agent_version: '1', created_at: '2026-01-01T00:00:00Z', updated_at: null };
      const value = JSON.stringify(row);
      const { revision } = await store.txn([], [{ kind: 'put', key: objectKey('host', host), value }]);
      await tables.waitFor(revision, 10_000);
    }
    const revoked = await edge.ask('PUT', '/cable/v1/hosts/b/revoke', { shown });
    assert.equal(revoked.status, 204);
    await refusedBack('b');
    for (const host of ['b', 'c']) {
      const gone = await edge.ask('DELETE', `/cable/v1/hosts/${host}`, { shown });
      assert.equal(gone.status, 204, JSON.stringify(gone.body));
      await refusedBack(host);
      assert.equal((await edge.join(host, await edge.token({ host }))).answer.status, 201);
    }
    assert.equal((await edge.join('d', open)).answer.status, 201);
  });

  test('that is retired with its node is refused, and a node of its name joins without an operator', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await admin(edge);
    const made = await edge.ask('POST', '/cable/v1/kubernetes-clusters', {
      shown,
      body: { kubernetes_cluster: { name: 'prod' } },
    });
    assert.equal(made.status, 201);
    const a = await edge.joined('a');
    const { store, tables } = edge.server.deps;
    const row = {
      id: 'a',
      underlay: '192.0.2.11',
      cluster: 'prod',
      agent_version: '1',
      created_at: '2026-01-01T00:00:00Z',
    };
    const value = JSON.stringify({ ...row, updated_at: null });
    const { revision } = await store.txn([], [{ kind: 'put', key: objectKey('host', 'a'), value }]);
    await tables.waitFor(revision, 10_000);
    const retired = await edge.ask('PUT', '/cable/v1/kubernetes-clusters/prod/retire_host', {
      shown,
      body: { host: 'a' },
    });
    assert.equal(retired.status, 204, JSON.stringify(retired.body));
    const refused = await edge.ask('PUT', '/cable/v1/hosts/a', { shown: a, body: REGISTRATION });
    assert.equal(typeOf(refused), 'CertificateRefused');
    assert.match(refused.error?.message ?? '', /its node was removed from Kubernetes/);
    // As admission does it.
    const body = { host: 'a', replace: false, unless_revoked: true };
    const issued = await edge.ask('POST', '/cable/v1/join-tokens/issue', { shown, body });
    assert.equal(issued.status, 201, JSON.stringify(issued.body));
    const { token } = (issued.body as { join_token: { token: string } }).join_token;
    assert.equal((await edge.join('a', token)).answer.status, 201);
  });

  test('loses the tokens that name it with its certificate', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await admin(edge);
    const a = await edge.joined('a');
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a', { shown: a, body: REGISTRATION })).status, 204);
    const token = await edge.token({ host: 'a', replace: true });
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a/revoke', { shown })).status, 204);
    assert.equal(typeOf((await edge.join('a', token)).answer), 'JoinTokenInvalid');
  });

  test('has a stream as long as a certificate of its: renewed it goes on, expired it ends', async (t) => {
    let now = Date.now();
    const edge = await startSecureEdge(t, { now: () => now, hostCertificateMs: 60_000 });
    const a = await edge.joined('a');
    const { ended } = await stream(t, edge, 'a', a);
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    now += 40_000;
    const key = await createKey();
    const request = await createRequest(key, { kind: 'host', name: 'a' });
    const { body } = await edge.ask('POST', '/cable/v1/hosts/a/certificate', { shown: a, body: { request } });
    const next = { key, certificate: (body as { certificate: string }).certificate };
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/x', { shown: next, body: REGISTRATION })).status, 403);
    now += 30_000;
    edge.look();
    const late = await edge.ask('PUT', '/cable/v1/hosts/a', { shown: a, body: REGISTRATION });
    assert.match(late.error?.message ?? '', /has expired/);
    assert.equal(isOver, false);
    now += 31_000;
    edge.look();
    await ended;
  });

  test('goes on while another authority takes the place of that of hosts', async (t) => {
    const edge = await startSecureEdge(t);
    const a = await edge.joined('a');
    const ask = (shown: NonNullable<Shown>) =>
      edge.ask('POST', '/cable/v1/hosts/a/status', {
        shown,
        body: { revision: 0, full: false, vifs: [] },
      });
    const renew = async (shown: NonNullable<Shown>): Promise<NonNullable<Shown>> => {
      const key = await createKey();
      const request = await createRequest(key, { kind: 'host', name: 'a' });
      const { body } = await edge.ask('POST', '/cable/v1/hosts/a/certificate', { shown, body: { request } });
      return { key, certificate: (body as { certificate: string }).certificate };
    };
    const issuer = (shown: NonNullable<Shown>): string => new X509Certificate(shown.certificate).issuer;
    const [old, next] = await edge.followed(() => rotateAuthority(edge.directory, 'hosts', 'begin', new Date()));
    assert.ok(old !== undefined && next !== undefined);
    assert.notEqual((await ask(a)).status, 401);
    await edge.followed(() => rotateAuthority(edge.directory, 'hosts', 'switch', new Date()));
    assert.notEqual((await ask(a)).status, 401);
    const b = await renew(a);
    assert.notEqual(issuer(b), issuer(a));
    assert.notEqual((await ask(b)).status, 401);
    await edge.followed(() => rotateAuthority(edge.directory, 'hosts', 'end', new Date()));
    assert.equal((await ask(a)).status, 401);
    assert.notEqual((await ask(b)).status, 401);
  });
});
