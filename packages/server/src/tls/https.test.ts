/** Who is let in over HTTPS, and to what: each attack with a real handshake. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { CableError, HOST_UPGRADE } from '@cable/model';
import { initAuthorities } from '@cable/pki';
import type { Authenticator } from '../http/auth.ts';
import { startSecureEdge } from './secure-edge.fixture.ts';

const REGISTRATION = { underlay: '192.0.2.11', agentVersion: '1' };
const DAY_MS = 86_400_000;

describe('a certificate', () => {
  test('of a user is that user, with project and roles; of a host it is the host, at its own routes alone', async (t) => {
    const edge = await startSecureEdge(t);
    const admin = await edge.issue({ kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] });
    const member = await edge.issue({ kind: 'user', name: 'alice', projectId: 'p2', roles: ['member', 'reader'] });
    const network = { network: { name: 'n', project_id: 'p2' } };
    assert.equal((await edge.ask('POST', '/v2.0/networks', { shown: admin, body: network })).status, 201);
    // Headers say nothing of who asks.
    const headers = { 'x-project-id': 'p1', 'x-roles': 'admin' };
    const seen = await edge.ask('GET', '/v2.0/networks', { shown: member, headers });
    assert.deepEqual(
      (seen.body as { networks: { project_id: string }[] }).networks.map((one) => one.project_id),
      ['p2'],
    );
    assert.equal((await edge.ask('GET', '/cable/v1/hosts', { shown: member, headers })).status, 200);
    assert.equal((await edge.ask('GET', '/cable/v1/status', { shown: member })).status, 403);
    const a = await edge.joined('a');
    await edge.joined('b');
    assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a', { shown: a, body: REGISTRATION })).status, 204);
    const refused: [string, string, object?][] = [
      ['PUT', '/cable/v1/hosts/b', REGISTRATION],
      ['PUT', '/cable/v1/hosts/%62', REGISTRATION],
      ['POST', '/cable/v1/hosts/b/status', { revision: 0, full: false, vifs: [] }],
      ['GET', '/cable/v1/hosts/b/watch'],
      ['POST', '/cable/v1/hosts/b/certificate', {}],
      ['GET', '/cable/v1/hosts/a'],
      ['DELETE', '/cable/v1/hosts/b'],
      ['PUT', '/cable/v1/hosts/b/revoke', {}],
      ['GET', '/cable/v1/status'],
      ['GET', '/cable/v1/check'],
      ['GET', '/v2.0/ports'],
      ['POST', '/v2.0/networks', network],
      ['POST', '/cable/v1/join-tokens/issue', {}],
    ];
    assert.equal((await edge.ask('POST', '/cable/v1/join-tokens/issue', { shown: member, body: {} })).status, 403);
    for (const [method, path, body] of refused) {
      const answer = await edge.ask(method, path, { shown: a, body, headers });
      assert.equal(answer.status, 403, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    }
    for (const shown of [admin, member]) {
      assert.equal((await edge.ask('PUT', '/cable/v1/hosts/a', { shown, body: REGISTRATION })).status, 403);
      assert.equal((await edge.ask('GET', '/cable/v1/hosts/a/watch', { shown })).status, 403);
    }
  });

  test('of a cluster is its controller, as a member of one of its projects at a time', async (t) => {
    const edge = await startSecureEdge(t);
    const admin = await edge.issue({ kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] });
    const shown = await edge.issue({ kind: 'cluster', name: 'prod' });
    const path = '/cable/v1/kubernetes-clusters';
    const namespaces = [{ uid: 'u-shop', project_id: 'f0e1' }];
    const body = { kubernetes_cluster: { name: 'prod', namespace_projects: namespaces } };
    assert.equal((await edge.ask('POST', path, { shown, body })).status, 403);
    assert.equal((await edge.ask('POST', path, { shown: admin, body })).status, 201);
    const claim = { uid: 'u', holder: 'h', epoch: 7 };
    // The header of a local listener says nothing here.
    const foreign = { 'cable-cluster': 'dev', 'x-roles': 'admin' };
    assert.equal((await edge.ask('PUT', `${path}/prod/claim`, { shown, body: claim, headers: foreign })).status, 200);
    const make = async (project: string | undefined, epoch = '7') => {
      const headers = {
        ...foreign,
        'cable-epoch': epoch,
        ...(project === undefined ? {} : { 'x-project-id': project }),
      };
      const answer = await edge.ask('POST', '/v2.0/networks', { shown, headers, body: { network: {} } });
      const made = (answer.body as { network?: { project_id: string } }).network;
      return made?.project_id ?? `${answer.status} ${answer.error?.type}`;
    };
    assert.equal(await make(undefined), 'prod.');
    assert.equal(await make('prod.shop'), 'prod.shop');
    assert.equal(await make('f0e1'), 'f0e1', 'a namespace of a project of its own');
    for (const project of ['p1', 'dev.shop', 'prod', 'production.x'])
      assert.equal(await make(project), '403 HTTPForbidden', project);
    assert.equal(await make('prod.shop', '6'), '409 ControllerSuperseded');
    assert.equal(await make('prod.shop', 'x'), '400 HTTPBadRequest');
    assert.equal((await edge.ask('GET', '/cable/v1/status', { shown })).status, 403);
    assert.equal((await edge.ask('POST', '/cable/v1/join-tokens/issue', { shown, body: {} })).status, 403);
  });

  test('that proves nothing lets nobody in, and the answer says why', async (t) => {
    const edge = await startSecureEdge(t);
    const other = await initAuthorities(`${edge.directory}/other`, new Date());
    const now = new Date();
    const past = { notBefore: new Date(now.getTime() - 2 * DAY_MS), notAfter: new Date(now.getTime() - DAY_MS) };
    const future = { notBefore: new Date(now.getTime() + DAY_MS), notAfter: new Date(now.getTime() + 2 * DAY_MS) };
    const user = { kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] } as const;
    const host = { kind: 'host', name: 'a' } as const;
    const { authority, hosts } = edge.authorities;
    const all = [
      [undefined, /none was shown/],
      [await edge.issue(user, other.authority), /of no authority/],
      [await edge.issue(host, other.hosts), /of no authority/],
      [{ certificate: other.authority.certificate, key: other.authority.key }, /signed by itself|none of a client/],
      [await edge.issue(user, hosts), /not believed of it/],
      [await edge.issue(host, authority), /not believed of it/],
      [await edge.issue(user, authority, past), /has expired/],
      [await edge.issue(host, hosts, past), /has expired/],
      [await edge.issue(host, hosts, future), /not valid yet/],
      [await edge.issue({ kind: 'server', name: 's' }, authority), /none of a client/],
    ] as const;
    for (const [shown, why] of all) {
      for (const path of ['/v2.0/networks', '/cable/v1/hosts/a/watch']) {
        const answer = await edge.ask('GET', path, { shown });
        assert.equal(answer.status, 401, String(why));
        assert.match(answer.error?.message ?? '', why);
        assert.equal(answer.error?.type, 'CertificateRefused');
      }
    }
  });

  test('of a user goes after a token, in the header of today and in the old one; a host’s goes before both', async (t) => {
    const next: Authenticator = async () => {
      throw new CableError('HTTPUnauthorized', 'That is no token.');
    };
    const edge = await startSecureEdge(t, { next });
    const user = await edge.issue({ kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] });
    const host = await edge.joined('a');
    assert.equal((await edge.ask('GET', '/v2.0/networks', { shown: user })).status, 200);
    for (const name of ['x-auth-token', 'x-storage-token']) {
      const headers = { [name]: 'some token' };
      for (const shown of [user, undefined]) {
        const answer = await edge.ask('GET', '/v2.0/networks', { shown, headers });
        assert.match(JSON.stringify(answer.body), /That is no token/, name);
      }
      const registered = await edge.ask('PUT', '/cable/v1/hosts/a', { shown: host, body: REGISTRATION, headers });
      assert.equal(registered.status, 204, name);
    }
  });

  test('is looked at again in a session that is taken up', async (t) => {
    const edge = await startSecureEdge(t);
    const other = await initAuthorities(`${edge.directory}/other`, new Date());
    const user = { kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] } as const;
    const askTwice = async (shown: { certificate: string; key: string } | undefined): Promise<readonly number[]> => {
      let session: Buffer | undefined;
      const onSession = (next: Buffer): void => {
        session = next;
      };
      const first = await edge.ask('GET', '/v2.0/networks', { shown, onSession });
      assert.ok(session, 'the server gave no session');
      const second = await edge.ask('GET', '/v2.0/networks', { shown: undefined, session });
      return [first.status, second.status];
    };
    assert.deepEqual(await askTwice(undefined), [401, 401]);
    assert.deepEqual(await askTwice(await edge.issue(user, other.authority)), [401, 401]);
    // The session is what the certificate was shown in: its client has the secret of it.
    assert.deepEqual(await askTwice(await edge.issue(user)), [200, 200]);
  });

  test('of a user is not taken from pages of other sites', async (t) => {
    const edge = await startSecureEdge(t);
    const shown = await edge.issue({ kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] });
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }] as const) {
      assert.equal((await edge.ask('GET', '/v2.0/networks', { shown, headers: { ...headers } })).status, 403);
    }
    // A page can send this without being asked for.
    const unsaid = await edge.ask('POST', '/v2.0/networks', { shown, body: { network: {} }, isUnsaid: true });
    assert.equal(unsaid.status, 415);
  });
});

test('a stream is opened by the host’s own certificate', async (t) => {
  const edge = await startSecureEdge(t);
  const [a, b] = [await edge.joined('a'), await edge.joined('b')];
  const headers = { connection: 'Upgrade', upgrade: HOST_UPGRADE };
  const ask = (shown: typeof a, path: string) => edge.ask('GET', path, { shown, headers });
  assert.equal((await ask(b, '/cable/v1/hosts/a/watch')).status, 403);
  assert.equal((await ask(b, '/cable/v1/hosts/%61/watch')).status, 403);
  // Not registered: let in so far.
  assert.equal((await ask(a, '/cable/v1/hosts/a/watch')).error?.type, 'HostNotRegistered');
});

test('who speaks no TLS is told so, and who says nothing keeps nobody out', async (t) => {
  const edge = await startSecureEdge(t);
  const { hostname, port } = edge.url;
  const silent = Array.from({ length: 100 }, () => connect(Number(port), hostname));
  t.after(() => {
    for (const socket of silent) socket.destroy();
  });
  const text = await new Promise<string>((resolve) => {
    let all = '';
    const socket = connect(Number(port), hostname);
    socket.on('data', (chunk: Buffer) => {
      all += chunk.toString();
    });
    socket.on('close', () => resolve(all));
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  });
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.match(text, /HTTPS is spoken here/);
  const shown = await edge.issue({ kind: 'user', name: 'root', projectId: 'p1', roles: ['admin'] });
  assert.equal((await edge.ask('GET', '/v2.0/networks', { shown })).status, 200);
});

test('a client that knows another authority does not speak with this server', async (t) => {
  const edge = await startSecureEdge(t);
  const other = await initAuthorities(`${edge.directory}/other`, new Date());
  await assert.rejects(edge.ask('GET', '/v2.0/networks', { ca: other.authority.certificate }), /certificate/);
  // That of hosts signs no servers.
  await assert.rejects(edge.ask('GET', '/v2.0/networks', { ca: edge.authorities.hosts.certificate }), /certificate/);
});
