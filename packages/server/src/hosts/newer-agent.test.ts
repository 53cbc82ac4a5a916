/** A whole server and agents that are newer than it, over real sockets. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type HttpUpgrade, httpTransport, silentLogger } from '@cable/kit';
import { HOST_PROTOCOL, HOST_UPGRADE, type HostWelcome, type ServerLine } from '@cable/model';
import { noauth } from '../http/auth.ts';
import { listen } from '../listen.ts';
import { uuid } from '../slices/rows.fixture.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { within } from './stream.fixture.ts';
import { createUpgradeHandler } from './upgrade.ts';

const HOST = '/cable/v1/hosts/h1';
/** More than this server speaks. */
const NEXT = HOST_PROTOCOL + 1;

type Asked = Awaited<ReturnType<ReturnType<typeof httpTransport>['upgrade']>>;

async function serve(t: TestContext): Promise<{ readonly harness: Harness; upgrade(token: string): Promise<Asked> }> {
  const harness = await startHarness(t);
  const { server } = harness;
  const open = async (host: string) => server.openStream(host);
  const upgrade = createUpgradeHandler({
    authenticate: noauth(),
    log: silentLogger(),
    permit: (caller, place) => server.permitAgent(caller, place),
    open,
  });
  const listeners = await listen({ request: (request, reply) => server.app.routing(request, reply), upgrade }, [
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
  ]);
  const transport = httpTransport(listeners.urls[0] ?? '');
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    transport.close();
    await listeners.stop();
  });
  const ask = (token: string): Promise<Asked> => {
    const headers = { connection: 'Upgrade', upgrade: token };
    return transport.upgrade({ method: 'GET', path: `${HOST}/watch`, headers, signal: stop.signal });
  };
  return { harness, upgrade: ask };
}

async function register({ send }: Harness): Promise<HostWelcome> {
  const answer = await send('PUT', HOST, {
    ...{ underlay: '192.0.2.1', agentVersion: '9', agentId: uuid(1), session: uuid(2), previousSession: null },
    ...{ protocol: NEXT, since: 0, history: null, region: 'moon', talents: ['ipv6'] },
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body as unknown as HostWelcome;
}

function upgraded(asked: Asked): HttpUpgrade {
  assert.ok('send' in asked, `answered with ${asked.status}`);
  return asked;
}

/** Gives the server's lines one by one; undefined: the stream has ended. */
function reader({ lines }: HttpUpgrade): () => Promise<ServerLine | undefined> {
  const iterator = lines[Symbol.asyncIterator]();
  return async () => {
    for (;;) {
      const { done, value } = await within(iterator.next(), 'a line');
      if (done) return undefined;
      if (value !== '') return JSON.parse(value) as ServerLine;
    }
  };
}

test(`an agent that speaks protocol ${NEXT} is welcomed with ${HOST_PROTOCOL}`, async (t) => {
  const { harness } = await serve(t);
  const { protocol, history } = await register(harness);
  assert.equal(protocol, HOST_PROTOCOL);
  assert.notEqual(history.mark, '');
});

test('of the tokens of an upgrade the known one is taken; an unknown one alone is told what there is', async (t) => {
  const { harness, upgrade } = await serve(t);
  await register(harness);
  const unknown = await upgrade(`cable-host/${NEXT}`);
  assert.deepEqual([unknown.status, unknown.headers['upgrade']], [426, HOST_UPGRADE]);
  for await (const _ of unknown.lines);
  const both = upgraded(await upgrade(`cable-host/${NEXT}, ${HOST_UPGRADE}`));
  assert.equal(both.headers['upgrade'], HOST_UPGRADE);
  both.close();
});

test('unknown lines, members and slices of an agent do not end its stream', async (t) => {
  const { harness, upgrade } = await serve(t);
  const { history } = await register(harness);
  const stream = upgraded(await upgrade(HOST_UPGRADE));
  const say = (line: object): void => stream.send(JSON.stringify(line));
  const next = reader(stream);
  say({ type: 'greeting', of: 'a newer agent' });
  say({
    ...{ type: 'resume', session: uuid(2), since: 1, history: { ...history, epoch: 4 } },
    ...{ slices: { 'moon:x': 7, 'host:h1': 9, sun: 1 }, talents: ['ipv6'] },
  });
  const seen = new Map<string, string[]>();
  for (let line = await next(); line?.type !== 'sync'; line = await next()) {
    assert.ok(line !== undefined && line.type !== 'refused', JSON.stringify(line));
    const key = 'key' in line ? line.key : '';
    seen.set(key, [...(seen.get(key) ?? []), line.type]);
  }
  assert.deepEqual(seen.get('moon:x'), ['drop'], 'a kind that only a newer server has');
  assert.deepEqual(seen.get('sun'), ['drop']);
  assert.deepEqual(seen.get('host:h1'), ['reset', 'header']);
  const vif = { portId: uuid(9), state: 'up', reason: null, speedMbps: 10_000 };
  say({ type: 'status', revision: 0, full: false, vifs: [vif], load: 0.4 });
  say({ type: 'weather', sun: true });

  const network = await harness.create('network', { name: 'net' });
  await harness.create('subnet', { network_id: network['id'], ip_version: 4, cidr: '10.0.0.0/24' });
  const port = await harness.create('port', { network_id: network['id'], 'binding:host_id': 'h1' });
  for (let line = await next(); ; line = await next()) {
    assert.ok(line !== undefined && line.type !== 'refused', JSON.stringify(line));
    if (line.type === 'put' && line.key === 'host:h1' && line.item === String(port['id'])) break;
  }
  stream.close();
});
