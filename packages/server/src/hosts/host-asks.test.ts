import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CableError, type HostAsk, MAX_ASKS_A_HOST } from '@cable/model';
import { testHost } from '../slices/rows.fixture.ts';
import { parseAgentLine } from './agent-lines.ts';
import { HostAsks } from './host-asks.ts';
import { createRig, StreamClient, within } from './stream.fixture.ts';

const ASK: HostAsk = { kind: 'drops', portId: '11111111-1111-4111-8111-111111111111' };

function asks(timeoutMs = 60_000): { readonly asks: HostAsks; readonly sent: number[] } {
  const sent: number[] = [];
  return { asks: new HostAsks({ host: 'h1', timeoutMs, send: ({ id }) => sent.push(id) }), sent };
}

async function refusal(of: Promise<unknown>): Promise<string> {
  const err = await of.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(err instanceof CableError, 'it was refused');
  return `${err.code}: ${err.message}`;
}

test('answers find who asked, in any order', async () => {
  const { asks: host, sent } = asks();
  const answers = [host.ask(ASK), host.ask(ASK)];
  const [first = 0, second = 0] = sent;
  host.take({ type: 'answer', id: second, value: 'b' });
  host.take({ type: 'answer', id: first, value: 'a' });
  host.take({ type: 'answer', id: first, value: 'again' });
  host.take({ type: 'answer', id: 99, value: 'never asked' });
  assert.deepEqual(await Promise.all(answers), ['a', 'b']);
});

test('why an agent has no answer is said in words', async () => {
  for (const [code, said] of [
    ['unknown', 'HostRefusesAsk: The agent of host h1 is of a build that cannot answer this.'],
    ['no-port', 'HostRefusesAsk: The agent of host h1 does not carry the port.'],
    ['failed', 'HostRefusesAsk: The agent of host h1 says: it is broken.'],
    ['busy', 'ServiceUnavailable: The agent of host h1 has too much to answer.'],
  ] as const) {
    const { asks: host } = asks();
    const asked = refusal(host.ask(ASK));
    host.take({ type: 'answer', id: 1, fault: { code, message: 'it is broken' } });
    assert.equal(await asked, said);
  }
});

test('who waits is told when the agent says nothing, and when the connection ends', async () => {
  const silent = asks(1);
  assert.match(await refusal(silent.asks.ask(ASK)), /HostUnreachable: .*did not answer within/);
  const { asks: host } = asks();
  const waiting = [refusal(host.ask(ASK)), refusal(host.ask(ASK))];
  host.end('client went away');
  for (const one of await Promise.all(waiting)) assert.match(one, /HostUnreachable: .*client went away/);
});

test('a host is not asked more at once than it may', async () => {
  const { asks: host, sent } = asks();
  const waiting = Array.from({ length: MAX_ASKS_A_HOST }, () => refusal(host.ask(ASK)));
  assert.match(await refusal(host.ask(ASK)), /ServiceUnavailable/);
  assert.equal(sent.length, MAX_ASKS_A_HOST);
  host.end('over');
  await Promise.all(waiting);
});

test('a stream asks the agent that says that it answers, and no other', async () => {
  const rig = createRig();
  try {
    rig.change(rig.world.put('host', testHost('h1', '192.0.2.1')));
    await rig.settled();
    assert.match(await refusal(rig.streams.ask('h1', ASK)), /its agent is not connected/);
    const client = new StreamClient(rig, 'h1');
    client.connect();
    await client.reached(0);
    assert.match(await refusal(rig.streams.ask('h1', ASK)), /of an older build/);
    client.connect({ resumes: false });
    const resume = { type: 'resume', session: 's', since: 0, history: null, slices: {}, answers: true } as const;
    client.socket.say(resume);
    await client.reached(0);
    const asked = rig.streams.ask('h1', ASK);
    await client.until(() => client.lines.some(({ type }) => type === 'ask'));
    const [line] = client.lines.filter((one) => one.type === 'ask');
    assert.deepEqual(line?.ask, ASK);
    client.socket.say({ type: 'answer', id: line.id, value: { drops: [] } });
    assert.deepEqual(await within(asked, 'the answer'), { drops: [] });
    const lost = refusal(rig.streams.ask('h1', ASK));
    client.disconnect();
    assert.match(await within(lost, 'the end'), /HostUnreachable/);
  } finally {
    await rig.stop();
  }
});

test('a fault of an agent is taken for one whatever it is made of', () => {
  for (const odd of [{ toString: 1 }, [{ toString: null }], 7, null, undefined, { message: 'x' }]) {
    const text = JSON.stringify({ type: 'answer', id: 1, fault: { code: odd, message: odd } });
    const line = parseAgentLine(text, 'later');
    assert.deepEqual(line, { type: 'answer', id: 1, fault: { code: 'failed', message: 'it does not say why' } }, text);
  }
  const said = { code: 'busy', message: 'x'.repeat(1000) } as const;
  const line = parseAgentLine(JSON.stringify({ type: 'answer', id: 1, fault: said }), 'later');
  assert.deepEqual(line, { type: 'answer', id: 1, fault: { code: 'busy', message: 'x'.repeat(512) } });
});
