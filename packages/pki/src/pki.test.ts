import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { appendFile, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Logger, silentLogger } from '@cable/kit';
import {
  certificatesIn,
  createKey,
  createRequest,
  findOldCertificates,
  fingerprintOf,
  followTlsFiles,
  formatIdentity,
  type Identity,
  identityOf,
  initAuthorities,
  isOfAuthorities,
  isSignedBy,
  issueWithKey,
  parseIdentity,
  pkiPaths,
  placesOf,
  readAuthority,
  readRequest,
  readTlsFiles,
  replaceFile,
  rotateAuthority,
  validityFrom,
  writeClient,
  writeServer,
} from './index.ts';

const HOST: Identity = { kind: 'host', name: 'node-1' };
const NOW = new Date();
const validity = validityFrom(NOW, 86_400_000);

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'cable-pki-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('each identity is written in one way, and read from that alone', () => {
  const all: readonly Identity[] = [
    HOST,
    { kind: 'server', name: 'control-1.example.net' },
    { kind: 'user', name: 'alice', projectId: null, roles: [] },
    { kind: 'user', name: 'alice', projectId: '8f3a', roles: ['member', 'reader'] },
    { kind: 'user', name: 'alice', projectId: 'a & b = "c", URI:cable:host:x', roles: ["it's (so)!*", '日本'] },
  ];
  for (const identity of all) assert.deepEqual(parseIdentity(formatIdentity(identity)), identity);
  const odd = [
    'cable:host:',
    'cable:host:-a',
    'cable:host:a/b',
    'cable:host:a?role=admin',
    'cable:HOST:a',
    'CABLE:host:a',
    'cable:user:alice?',
    'cable:user:alice?role=a&project=p',
    'cable:user:alice?project=p&project=q',
    'cable:user:alice?role=%61dmin',
    'cable:user:alice?role=%',
    'cable:user:alice?admin=1',
    `cable:host:${'a'.repeat(5000)}`,
    'spiffe://cable/host/a',
  ];
  for (const uri of odd) assert.equal(parseIdentity(uri), undefined, uri);
  assert.throws(() => formatIdentity({ kind: 'host', name: 'a b' }), RangeError);
  assert.throws(() => formatIdentity({ kind: 'user', name: 'a', projectId: 'x\n', roles: [] }), RangeError);
});

test('of a certificate with two identities, or with one hidden in another name, nobody is known', () => {
  assert.deepEqual(identityOf('DNS:node-1, URI:cable:host:node-1, IP Address:10.0.0.1'), HOST);
  assert.equal(identityOf('URI:cable:host:node-1, URI:cable:host:node-2'), undefined);
  assert.equal(identityOf('URI:cable:host:node-1, URI:CABLE:host:node-2'), undefined);
  assert.equal(identityOf('DNS:"a, URI:cable:host:node-1"'), undefined);
  assert.equal(identityOf('URI:"http://a, URI:cable:host:node-1"'), undefined);
  assert.equal(identityOf('DNS:a"b, URI:cable:host:node-1'), undefined);
  assert.equal(identityOf(undefined), undefined);
});

test('a host’s certificate is good for being a client, a server’s for being a server; neither signs', async (t) => {
  const { authority: signer } = await initAuthorities(await directory(t), NOW);
  const host = await issueWithKey(signer, { identity: HOST, validity });
  const server = await issueWithKey(signer, {
    identity: { kind: 'server', name: 'control-1' },
    places: ['control-1.example.net', '192.0.2.1', '2001:db8::1'],
    validity,
  });
  const [a, b] = [new X509Certificate(host.certificate), new X509Certificate(server.certificate)];
  assert.deepEqual(identityOf(a.subjectAltName), HOST);
  assert.deepEqual(a.keyUsage, ['1.3.6.1.5.5.7.3.2']);
  assert.deepEqual(b.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.equal(a.ca, false);
  assert.equal(b.checkHost('control-1.example.net'), 'control-1.example.net');
  assert.equal(b.checkIP('2001:db8::1'), '2001:db8::1');
  assert.ok(isSignedBy(host.certificate, signer.certificate));
  const { hosts: other } = await initAuthorities(join(await directory(t), 'other'), NOW);
  assert.ok(!isSignedBy(host.certificate, other.certificate));
  await assert.rejects(issueWithKey(signer, { identity: HOST, places: ['a b'], validity }), RangeError);
});

test('of a request nothing but the key is taken, and only from its owner, for the name that is meant', async () => {
  const key = await createKey();
  const good = await createRequest(key, HOST);
  const read = await readRequest(good, HOST);
  assert.ok(read.ok);
  const refused = async (pem: string): Promise<string> => {
    const answer = await readRequest(pem, HOST);
    assert.ok(!answer.ok);
    return answer.reason;
  };
  assert.match(await refused(await createRequest(key, { kind: 'host', name: 'node-2' })), /other names/);
  assert.match(
    await refused(await createRequest(key, { kind: 'user', name: 'node-1', projectId: null, roles: ['admin'] })),
    /other names/,
  );
  assert.match(await refused('x'.repeat(5000)), /more than 4096/);
  assert.match(
    await refused('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'),
    /no PKCS/,
  );
  // One bit of the signature is another.
  const [, body = ''] = /-----\n([^-]+)\n-----/.exec(good.replaceAll('\r', '')) ?? [];
  const der = Buffer.from(body, 'base64');
  der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  assert.match(await refused(forged), /not signed/);
});

test('an authority is made once, in files of its owner alone', async (t) => {
  const dir = await directory(t);
  const { certificate } = (await initAuthorities(dir, NOW)).authority;
  await assert.rejects(initAuthorities(dir, NOW), /is there already: nothing is overwritten/);
  const paths = pkiPaths(dir);
  assert.equal((await stat(paths.authority.key)).mode & 0o777, 0o600);
  assert.equal(await readFile(paths.authority.certificates, 'utf8'), certificate);
  const { signer, trusted } = await readAuthority(dir, 'authority');
  const server = await issueWithKey(signer, {
    identity: { kind: 'server', name: 'a' },
    places: ['localhost'],
    validity,
  });
  await writeServer(dir, server, trusted, false);
  await assert.rejects(writeServer(dir, server, trusted, false), /nothing is overwritten/);
  const material = await readTlsFiles(
    { own: { cert: paths.cert, key: paths.key }, ca: paths.authority.certificates },
    NOW,
  );
  assert.equal(certificatesIn(material.own?.cert ?? '').length, 2);
});

test('another authority takes the place of one in three steps, and in no other order', async (t) => {
  const dir = await directory(t);
  const { certificate: old } = (await initAuthorities(dir, NOW)).hosts;
  await assert.rejects(rotateAuthority(dir, 'hosts', 'switch', NOW), /begin/);
  await assert.rejects(rotateAuthority(dir, 'hosts', 'end', NOW), /no rotation/);
  const begun = await rotateAuthority(dir, 'hosts', 'begin', NOW);
  assert.equal(begun[0], fingerprintOf(old));
  assert.equal(begun.length, 2);
  await assert.rejects(rotateAuthority(dir, 'hosts', 'begin', NOW), /already/);
  await assert.rejects(rotateAuthority(dir, 'hosts', 'end', NOW), /does not sign yet/);
  assert.deepEqual(await rotateAuthority(dir, 'hosts', 'switch', NOW), [...begun].reverse());
  const { signer } = await readAuthority(dir, 'hosts');
  assert.notEqual(signer.certificate, old);
  assert.ok(isSignedBy((await issueWithKey(signer, { identity: HOST, validity })).certificate, signer.certificate));
  assert.deepEqual(await rotateAuthority(dir, 'hosts', 'end', NOW), [begun[1]]);
});

/** Both authorities, and a server's certificate. */
async function cloud(t: TestContext): Promise<string> {
  const dir = await directory(t);
  const { authority } = await initAuthorities(dir, NOW);
  const identity = { kind: 'server', name: 'control-1' } as const;
  const places = ['c1.example', '2001:db8::1', 'localhost', '127.0.0.1', '::1'];
  await writeServer(dir, await issueWithKey(authority, { identity, places, validity }), [authority.certificate], false);
  return dir;
}

test('with the authority that signs the server’s certificate becomes another, with the names and the life of before', async (t) => {
  const dir = await cloud(t);
  const { cert, key } = pkiPaths(dir);
  const own = async (): Promise<string> => certificatesIn(await readFile(cert, 'utf8'))[0] ?? '';
  const before = await own();
  await rotateAuthority(dir, 'authority', 'begin', NOW);
  assert.equal(await own(), before);
  await rotateAuthority(dir, 'authority', 'switch', NOW);
  const { signer, trusted } = await readAuthority(dir, 'authority');
  const after = await own();
  assert.ok(isSignedBy(after, signer.certificate));
  assert.deepEqual(placesOf(after), ['c1.example', '2001:db8::1', 'localhost', '127.0.0.1', '::1']);
  assert.deepEqual(placesOf(after), placesOf(before));
  const [a, b] = [new X509Certificate(before), new X509Certificate(after)];
  assert.deepEqual([b.subjectAltName, b.validFrom, b.validTo], [a.subjectAltName, a.validFrom, a.validTo]);
  const material = await readTlsFiles({ own: { cert, key }, ca: null }, NOW);
  assert.deepEqual(certificatesIn(material.own?.cert ?? '').slice(1), trusted);
  assert.equal((await rotateAuthority(dir, 'authority', 'end', NOW)).length, 1);
});

test('a rotation does not end while the server’s certificate is of the authority that goes', async (t) => {
  const dir = await cloud(t);
  const { cert, key } = pkiPaths(dir);
  await rotateAuthority(dir, 'authority', 'begin', NOW);
  for (const file of [cert, key]) await copyFile(file, `${file}.old`);
  await rotateAuthority(dir, 'authority', 'switch', NOW);
  // As it is where the certificate of before was put back, or was never changed.
  for (const file of [cert, key]) await copyFile(`${file}.old`, file);
  await assert.rejects(
    rotateAuthority(dir, 'authority', 'end', NOW),
    /server\.pem is not of the authority that stays.*: first cable pki issue server control-1 --address c1\.example --address 2001:db8::1 --replace --dir \S+$/,
  );
  assert.equal((await readAuthority(dir, 'authority')).trusted.length, 2);
  // Hosts have two authorities of their own, of which no server's certificate is.
  for (const step of ['begin', 'switch', 'end'] as const) await rotateAuthority(dir, 'hosts', step, NOW);
});

test('certificates of users that are of the authority of before are found in the directory, with what issues them anew', async (t) => {
  const dir = await cloud(t);
  const issue = async (identity: Identity, name: string, of = validity): Promise<void> => {
    const { signer } = await readAuthority(dir, identity.kind === 'host' ? 'hosts' : 'authority');
    await writeClient(join(dir, name), await issueWithKey(signer, { identity, validity: of }), false);
  };
  await issue({ kind: 'user', name: 'alice', projectId: 'p 1', roles: ['member', "it's"] }, 'alice');
  await issue({ kind: 'user', name: 'late', projectId: null, roles: [] }, 'late', {
    notBefore: new Date(NOW.getTime() - 2000),
    notAfter: new Date(NOW.getTime() - 1000),
  });
  await issue(HOST, 'node-1');
  for (const step of ['begin', 'switch'] as const) await rotateAuthority(dir, 'authority', step, NOW);
  await issue({ kind: 'user', name: 'bob', projectId: null, roles: [] }, 'bob');
  const command = `cable pki issue user alice --in-project 'p 1' --with-role member --with-role 'it'\\''s' --replace --dir ${dir} --out ${dir}/alice`;
  assert.deepEqual(await findOldCertificates(dir, 'authority', NOW), [{ file: join(dir, 'alice.pem'), command }]);
  assert.deepEqual(await findOldCertificates(dir, 'hosts', NOW), []);
  await rotateAuthority(dir, 'authority', 'end', NOW);
  assert.equal((await findOldCertificates(dir, 'authority', NOW)).length, 1);
});

test('a chain is of an authority over those between, and not by what merely lies beside it', async (t) => {
  const { authority, hosts } = await initAuthorities(await directory(t), NOW);
  const { certificate } = await issueWithKey(authority, { identity: HOST, validity });
  assert.ok(isOfAuthorities([certificate], [hosts.certificate, authority.certificate]));
  assert.ok(isOfAuthorities([certificate, authority.certificate], [authority.certificate]));
  assert.ok(!isOfAuthorities([certificate, authority.certificate], [hosts.certificate]));
  assert.ok(!isOfAuthorities([certificate, hosts.certificate, hosts.certificate], [hosts.certificate]));
  assert.ok(!isOfAuthorities([], [authority.certificate]));
});

test('files that change are taken; what does not fit, or has expired, leaves what was there', async (t) => {
  const dir = await directory(t);
  const { authority: signer } = await initAuthorities(dir, NOW);
  const paths = pkiPaths(dir);
  const own = { cert: paths.cert, key: paths.key };
  const make = () => issueWithKey(signer, { identity: { kind: 'server', name: 'a' }, places: ['localhost'], validity });
  await writeServer(dir, await make(), [signer.certificate], false);
  const errors: string[] = [];
  const heard: (() => void)[] = [];
  const log: Logger = {
    ...silentLogger(),
    error: ({ err }: { err?: Error }) => {
      errors.push(err?.message ?? '');
      wake();
    },
  };
  const wake = (): void => {
    for (const one of heard.splice(0)) one();
  };
  const next = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('nothing was told of changed files within 60 s')), 60_000);
      heard.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  const abort = new AbortController();
  t.after(() => abort.abort());
  const followed = await followTlsFiles({ own, ca: paths.authority.certificates }, wake, { log, signal: abort.signal });
  const first = followed.current.own?.cert;
  let told = next();
  await writeServer(dir, await make(), [signer.certificate], true);
  await told;
  const second = followed.current.own?.cert;
  assert.notEqual(second, first);
  told = next();
  await replaceFile(paths.key, await createKey());
  await told;
  assert.match(errors.at(-1) ?? '', /is not the key of/);
  assert.equal(followed.current.own?.cert, second);
  told = next();
  await appendFile(paths.authority.certificates, 'nonsense');
  await writeFile(paths.cert, 'nonsense');
  await told;
  assert.match(errors.at(-1) ?? '', /has no certificate/);
  assert.equal(followed.current.own?.cert, second);
  const late = new Date(NOW.getTime() + 2 * 86_400_000);
  await writeServer(dir, await make(), [signer.certificate], true);
  await assert.rejects(readTlsFiles({ own, ca: null }, late), /has expired/);
});
