import assert from 'node:assert/strict';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { type Logger, silentLogger } from '@cable/kit';
import { CableError, HOST_UPGRADE, type NeutronErrorBody } from '@cable/model';
import { type AuthenticatedCaller, noauth } from '../http/auth.ts';
import { listen } from '../listen.ts';
import { within } from './stream.fixture.ts';
import { createUpgradeHandler, type UpgradeOptions } from './upgrade.ts';

type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly error: NeutronErrorBody['NeutronError'];
};

const WATCH = '/cable/v1/hosts/h1/watch';

async function serve(t: TestContext, open: UpgradeOptions['open'], log = silentLogger()): Promise<URL> {
  const upgrade = createUpgradeHandler({ authenticate: noauth(), permit, open, log });
  const answered = { request: (_: IncomingMessage, reply: { end(text: string): void }) => reply.end('plain') };
  const listeners = await listen({ ...answered, upgrade }, [{ kind: 'tcp', host: '127.0.0.1', port: 0 }]);
  t.after(() => listeners.stop());
  return new URL(listeners.urls[0] ?? '');
}

/** As the rules: admins alone. */
function permit(caller: AuthenticatedCaller): void {
  if (caller.kind === 'host' || !caller.credentials.roles.includes('admin'))
    throw new CableError('PolicyNotAuthorized', 'rule:admin_api is disallowed by policy');
}

function ask(url: URL, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const all = { connection: 'Upgrade', upgrade: HOST_UPGRADE, ...headers };
    const call = request(new URL(path, url), { method, headers: all }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      response.on('end', () => {
        const { NeutronError: error } = JSON.parse(text) as NeutronErrorBody;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, error });
      });
    });
    call.on('upgrade', (_response, socket) => {
      socket.destroy();
      reject(new Error('was upgraded'));
    });
    call.on('error', reject);
    call.end();
  });
}

const never = (): never => assert.fail('was let in');

describe('a request to upgrade', () => {
  test('the watch of a host gives the connection on, with what came right behind the request', async (t) => {
    const url = await serve(t, async (host) => (socket: Duplex) => {
      socket.write(`hello ${host}\n`);
      socket.on('data', (chunk: Buffer) => socket.end(`got ${chunk}`));
    });
    const client = connect(Number(url.port), url.hostname);
    client.write(
      `GET ${WATCH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${HOST_UPGRADE}\r\n\r\nfirst line`,
    );
    let text = '';
    client.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    await within(new Promise((resolve) => client.once('close', resolve)), 'end of the connection');
    assert.match(
      text,
      /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cable-host\/2\r\n\r\nhello h1\ngot first line$/,
    );
  });

  test('is refused with the error of the table before it is upgraded', async (t) => {
    const url = await serve(t, () => Promise.reject(new CableError('HostNotRegistered', 'Host h1 is not registered.')));
    const { status, error, headers } = await ask(url, WATCH);
    assert.deepEqual([status, error.type, error.message], [409, 'HostNotRegistered', 'Host h1 is not registered.']);
    assert.notEqual(error.detail, '');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
  });

  test('says when to come back to a server that cannot answer now, and nothing of a defect', async (t) => {
    let thrown: Error = new CableError('ServiceUnavailable', 'later');
    const url = await serve(t, () => Promise.reject(thrown));
    assert.equal((await ask(url, WATCH)).headers['retry-after'], '1');
    thrown = new Error('secret');
    const { status, error } = await ask(url, WATCH);
    assert.equal(status, 500);
    assert.doesNotMatch(error.message, /secret/);
  });

  test('that this server cannot serve now is no error of it, one that fails is', async (t) => {
    const said: string[] = [];
    const log: Logger = {
      ...silentLogger(),
      debug: (_fields, message) => said.push(`debug ${message}`),
      warn: (_fields, message) => said.push(`warn ${message}`),
      error: (_fields, message) => said.push(`error ${message}`),
    };
    for (const [thrown, line] of [
      [new CableError('ServiceUnavailable', 'The server is stopping.'), 'debug request refused'],
      [new CableError('ServiceUnavailable', 'No store.', { cause: new Error('gone') }), 'error request failed'],
      [new Error('a defect'), 'error request failed'],
      [new CableError('HostNotRegistered', 'Host h1 is not registered.'), 'debug request refused'],
    ] as const) {
      const url = await serve(t, () => Promise.reject(thrown), log);
      await ask(url, WATCH);
      assert.deepEqual(said.splice(0), [line]);
    }
  });

  test('is for those who are permitted', async (t) => {
    const url = await serve(t, never);
    const { status, error } = await ask(url, WATCH, { 'x-roles': 'member' });
    assert.deepEqual([status, error.type], [403, 'PolicyNotAuthorized']);
  });

  test('to something else is told what there is', async (t) => {
    const url = await serve(t, never);
    const other = await ask(url, WATCH, { upgrade: 'websocket' });
    assert.deepEqual([other.status, other.headers['upgrade']], [426, HOST_UPGRADE]);
    assert.equal((await ask(url, '/v2.0/networks')).status, 400);
    assert.equal((await ask(url, WATCH, {}, 'POST')).status, 405);
    assert.equal((await ask(url, '/cable/v1/hosts/%zz/watch')).status, 400);
    assert.equal((await ask(url, '/cable/v1/hosts/-bad-/watch')).status, 400);
  });

  test('does not outlive the listeners', async (t) => {
    let opened: (socket: Duplex) => void = () => {};
    const socketOpened = new Promise<Duplex>((resolve) => {
      opened = resolve;
    });
    const upgrade = createUpgradeHandler({
      ...{ authenticate: noauth(), permit, log: silentLogger() },
      open: async () => opened,
    });
    const listeners = await listen({ request: () => {}, upgrade }, [{ kind: 'tcp', host: '127.0.0.1', port: 0 }]);
    const url = new URL(listeners.urls[0] ?? '');
    const client = connect(Number(url.port), url.hostname);
    t.after(() => client.destroy());
    client.write(`GET ${WATCH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${HOST_UPGRADE}\r\n\r\n`);
    const socket = await within(socketOpened, 'upgraded connection');
    await within(listeners.stop(), 'end of the listeners');
    assert.ok(socket.destroyed);
  });
});
