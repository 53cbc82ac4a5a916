/** Nobody keeps nodes from joining: connections, and questions about tokens, of those who are hostile. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { request } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createAuthority, createKey, issueWithKey, validityFrom } from '@cable/pki';
import { type AdmissionAnswer, createAdmissionServer } from './admission.ts';
import { AdmissionDoor, DOOR_LIMITS, type DoorLimits } from './admission-door.ts';
import { AdmissionReviews, REVIEW_LIMITS, type Said } from './admission-reviews.ts';
import { KnownSources, sourceOf } from './admission-sources.ts';

const ACCOUNT = 'system:serviceaccount:kube-system:cable-agent';
const NOW_S = 1_800_000_000;

/** What looks like a token; nothing has signed it. */
function forged(claims: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = { aud: ['cable.io/join'], exp: NOW_S + 600, sub: ACCOUNT, ...claims };
  return `${part({ alg: 'RS256' })}.${part(payload)}.c2lnbmF0dXJl`;
}

type Reviewed = { readonly reviews: AdmissionReviews; readonly asked: string[]; forward(ms: number): void };

function reviewed(admit: (token: string) => AdmissionAnswer | Promise<AdmissionAnswer>): Reviewed {
  const asked: string[] = [];
  let now = NOW_S * 1000;
  const deps = {
    now: () => now,
    admit: async (token: string) => {
      asked.push(token);
      return await admit(token);
    },
  };
  return {
    reviews: new AdmissionReviews(ACCOUNT, deps),
    asked,
    forward: (ms) => {
      now += ms;
    },
  };
}

const REFUSED: AdmissionAnswer = { status: 401, reason: 'none of this cluster' };
const GRANTED: AdmissionAnswer = { status: 200, host: 'node-7', token: 'id.secret.authority' };

test('the API server is not asked about what its own text shows to be no token for joining', async () => {
  const { reviews, asked } = reviewed(() => GRANTED);
  for (const [token, status] of [
    ['made-up', 401],
    ['a.b.c', 401],
    [`${forged()}.more`, 401],
    [forged({ aud: ['https://kubernetes.default.svc'] }), 401],
    [forged({ aud: undefined }), 401],
    [forged({ exp: NOW_S - 3600 }), 401],
    [forged({ exp: '9999999999' }), 401],
    [forged({ sub: 'system:serviceaccount:shop:cable-agent' }), 403],
    // A clock that is a little wrong is no reason.
    [forged({ exp: NOW_S - 60 }), 200],
    [forged({ aud: 'cable.io/join' }), 200],
  ] as const)
    assert.equal((await reviews.answer('192.0.2.1', token)).status, status, token);
  assert.equal(asked.length, 2);
});

test('a token that was refused is refused again without a question, for a minute; who could not be asked is asked again', async () => {
  let answer: AdmissionAnswer = { status: 503, reason: 'away' };
  const { reviews, asked, forward } = reviewed(() => answer);
  const token = forged();
  assert.equal((await reviews.answer('192.0.2.1', token)).status, 503);
  answer = REFUSED;
  for (let times = 0; times < 20; times++) assert.equal((await reviews.answer('192.0.2.1', token)).status, 401);
  assert.equal(asked.length, 2);
  forward(REVIEW_LIMITS.refusedMs + 1);
  answer = GRANTED;
  // An answer that was lost is given again.
  for (let times = 0; times < 3; times++) assert.equal((await reviews.answer('192.0.2.1', token)).status, 200);
  assert.equal(asked.length, 3);
});

test('who invents tokens is asked about a few, and keeps nobody else out', async () => {
  const { reviews, asked, forward } = reviewed((token) => (token === forged({ jti: 'good' }) ? GRANTED : REFUSED));
  const said: Said[] = [];
  for (let at = 0; at < 200; at++) said.push(await reviews.answer('192.0.2.66', forged({ jti: String(at) })));
  assert.equal(asked.length, REVIEW_LIMITS.refusals);
  assert.equal(said.at(-1)?.status, 429);
  assert.equal((await reviews.answer('192.0.2.1', forged({ jti: 'good' }))).status, 200);
  forward(REVIEW_LIMITS.refusalMs);
  assert.equal((await reviews.answer('192.0.2.66', forged({ jti: 'later' }))).status, 401);
  assert.equal((await reviews.answer('192.0.2.66', forged({ jti: 'again' }))).status, 429);
});

test('while the API server is slow, one source does not take all places', async () => {
  const waiting: ((answer: AdmissionAnswer) => void)[] = [];
  const { reviews, asked } = reviewed(() => new Promise((resolve) => waiting.push(resolve)));
  const many = Array.from({ length: 50 }, (_, at) => reviews.answer('192.0.2.66', forged({ jti: String(at) })));
  const other = reviews.answer('192.0.2.1', forged({ jti: 'good' }));
  assert.equal(asked.length, REVIEW_LIMITS.atOncePerSource + 1);
  for (const resolve of waiting) resolve(GRANTED);
  assert.equal((await other).status, 200);
  assert.equal((await Promise.all(many)).filter(({ status }) => status === 503).length, 42);
});

test('who has a /64 is one source, however many addresses he shows: he takes neither all places nor all questions', async () => {
  const waiting: ((answer: AdmissionAnswer) => void)[] = [];
  const slow = reviewed(() => new Promise((resolve) => waiting.push(resolve)));
  const many = Array.from({ length: 50 }, (_, at) =>
    slow.reviews.answer(`2001:db8:0:1::${at.toString(16)}`, forged({ jti: String(at) })),
  );
  assert.equal(slow.asked.length, REVIEW_LIMITS.atOncePerNet);
  const other = slow.reviews.answer('2001:db8:0:2::1', forged({ jti: 'good' }));
  for (const resolve of waiting) resolve(GRANTED);
  assert.equal((await other).status, 200);
  await Promise.all(many);
  const { reviews, asked } = reviewed(() => REFUSED);
  for (let at = 0; at < 200; at++) await reviews.answer(`2001:db8::${at.toString(16)}`, forged({ jti: String(at) }));
  assert.equal(asked.length, 4 * REVIEW_LIMITS.refusals);
});

test('who has many networks takes no place of nodes that have joined before', async () => {
  const waiting: ((answer: AdmissionAnswer) => void)[] = [];
  let isSlow = false;
  const { reviews } = reviewed(() => (isSlow ? new Promise((resolve) => waiting.push(resolve)) : GRANTED));
  assert.equal((await reviews.answer('::ffff:192.0.2.1', forged({ jti: 'first' }))).status, 200);
  isSlow = true;
  const many = Array.from({ length: 50 }, (_, at) =>
    reviews.answer(`2001:db8:0:${at.toString(16)}::1`, forged({ jti: String(at) })),
  );
  const node = reviews.answer('192.0.2.1', forged({ jti: 'second' }));
  for (const resolve of waiting) resolve(GRANTED);
  assert.equal((await node).status, 200);
  assert.equal((await Promise.all(many)).filter(({ status }) => status === 503).length, 50 - REVIEW_LIMITS.atOnce);
});

test('an address is of its /64, and IPv4 of itself, however it is written', () => {
  for (const [text, net] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:0db8:0:1::', '2001:db8:0:1::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ] as const)
    assert.equal(sourceOf(text).net, net, text);
});

/** A connection as the door sees it. */
function connectionOf(remoteAddress: string): Socket & { destroyed: boolean } {
  const socket = new EventEmitter() as Socket & { destroyed: boolean };
  const destroy = (): Socket => {
    socket.destroyed = true;
    socket.emit('close');
    return socket;
  };
  return Object.assign(socket, { remoteAddress, destroyed: false, destroy });
}

test('a /64 begins no more than a few addresses may, and gives way as one', () => {
  const door = new AdmissionDoor({ ...DOOR_LIMITS, connections: 8, burst: 5, perSecond: 0 });
  const node = connectionOf('2001:db8:0:2::1');
  door.take(node);
  const his = Array.from({ length: 30 }, (_, at) => connectionOf(`2001:db8:0:1::${at.toString(16)}`));
  for (const socket of his) door.take(socket);
  assert.equal(door.open, 8);
  assert.deepEqual(
    his.map(({ destroyed }) => !destroyed),
    his.map((_, at) => at >= 13 && at < 20),
  );
  assert.equal(node.destroyed, false);
});

test('however many networks somebody has, a node that has joined before keeps its connection', () => {
  const known = new KnownSources();
  known.add(sourceOf('192.0.2.1'));
  const door = new AdmissionDoor({ ...DOOR_LIMITS, connections: 8 }, known);
  const node = connectionOf('::ffff:192.0.2.1');
  door.take(node);
  for (let at = 0; at < 30; at++) door.take(connectionOf(`2001:db8:0:${at.toString(16)}::1`));
  assert.deepEqual([door.open, node.destroyed], [8, false]);
});

type Bed = { readonly door: AdmissionDoor; readonly port: number; readonly ca: string };

async function bed(t: TestContext, limits: Partial<DoorLimits>): Promise<Bed> {
  const authority = await createAuthority(await createKey(), validityFrom(new Date(), 86_400_000));
  const identity = { kind: 'server', name: 'cp-1' } as const;
  const validity = validityFrom(new Date(), 3_600_000);
  const { certificate, key } = await issueWithKey(authority, { identity, places: ['127.0.0.1'], validity });
  const door = new AdmissionDoor({ ...DOOR_LIMITS, ...limits });
  const server = createAdmissionServer({ cert: certificate, key }, async () => GRANTED, door);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { door, port: (server.address() as AddressInfo).port, ca: authority.certificate };
}

function holdOpen(t: TestContext, port: number, localAddress: string): { readonly closed: Promise<void> } {
  const socket: Socket = connect({ host: '127.0.0.1', port, localAddress });
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  return { closed: new Promise((resolve) => socket.once('close', () => resolve())) };
}

function join({ port, ca }: Bed, localAddress: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, ca, localAddress, method: 'POST', path: '/join', agent: false as const };
    const headers = { authorization: `Bearer ${forged()}` };
    request({ ...options, headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

test('who holds as many connections open as there are places keeps no node from joining', async (t) => {
  const place = await bed(t, { connections: 8 });
  const held = Array.from({ length: 20 }, () => holdOpen(t, place.port, '127.0.0.66'));
  await Promise.all(held.slice(0, 12).map(({ closed }) => closed));
  assert.equal(place.door.open, 8);
  for (let times = 0; times < 3; times++) assert.equal(await join(place, '127.0.0.1'), 200);
});

test('a connection ends when its time is over, whatever it does', async (t) => {
  const place = await bed(t, { lifeMs: 50 });
  await holdOpen(t, place.port, '127.0.0.66').closed;
  while (place.door.open > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('who begins connections without end has a share of the handshakes, and others have theirs', async (t) => {
  const place = await bed(t, { burst: 3, perSecond: 0 });
  for (let times = 0; times < 3; times++) assert.equal(await join(place, '127.0.0.66'), 200);
  await assert.rejects(join(place, '127.0.0.66'));
  assert.equal(await join(place, '127.0.0.1'), 200);
});
