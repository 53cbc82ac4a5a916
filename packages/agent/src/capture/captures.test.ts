import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { FrameSocket } from '../net/frame-socket.ts';
import { inNetns, type Netns, openNetns } from '../net/netns.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { arpRequest, ping } from '../testing/raw-frames.ts';
import { type CaptureDeps, Captures } from './captures.ts';
import { WatchedDevices } from './watched-devices.ts';

const PORT = '11111111-1111-4111-8111-111111111111';
const ENDS = { fromMac: '02:00:00:00:00:01', toMac: 'ff:ff:ff:ff:ff:ff', from: '10.0.0.1', to: '10.0.0.2' };

let netns: TestNetns;
let inside: Netns;
let ifindex: number;
const watched: string[] = [];

before(() => {
  netns = createNetns();
  netns.ip('link', 'add', 'tap0', 'type', 'veth', 'peer', 'name', 'far');
  for (const name of ['tap0', 'far']) netns.run('sysctl', '-qw', `net.ipv6.conf.${name}.disable_ipv6=1`);
  for (const name of ['tap0', 'far']) netns.ip('link', 'set', name, 'up');
  ifindex = indexOf('tap0');
  inside = openNetns(netns.path);
});

after(() => {
  inside.close();
  netns.remove();
});

function indexOf(name: string): number {
  return Number(/^(\d+):/.exec(netns.ip('-o', 'link', 'show', name))?.[1]);
}

function captures(signal: AbortSignal = new AbortController().signal): Captures {
  const deps: CaptureDeps = {
    planner: { vifs: new Map([[PORT, { portId: PORT, vif: 1, ifindex, device: 'tap0' }]]) },
    watched: {
      watch: (name) => {
        watched.push(`+${name}`);
        return () => watched.push(`-${name}`);
      },
    },
    log: silentLogger(),
    signal,
  };
  return new Captures(deps);
}

type Line = { readonly device?: string; readonly frame?: string; readonly end?: string; readonly lost?: number };

/** Lines of a capture, one at a time; the socket is opened in the test's namespace. */
function begin(query: string, of: Captures = captures()) {
  const started = of.start(new URLSearchParams(query));
  assert.ok(typeof started !== 'string', String(started));
  const lines = started.lines[Symbol.asyncIterator]();
  const next = async (): Promise<Line | undefined> => {
    const asked: Promise<IteratorResult<string>>[] = [];
    inNetns(inside, () => void asked.push(lines.next()));
    const [{ value, done } = { value: '', done: true }] = await Promise.all(asked);
    return done === true ? undefined : (JSON.parse(String(value)) as Line);
  };
  return { next, stop: () => started.stop() };
}

function send(from: 'tap0' | 'far', frame: Uint8Array): void {
  const socket = inNetns(inside, () => new FrameSocket());
  socket.send(indexOf(from), frame);
  socket.close();
}

test('frames of both directions come as they are, those of the filter alone, as many as were asked for', async () => {
  watched.length = 0;
  const { next } = begin(`port=${PORT}&count=2&filter=icmp`);
  assert.deepEqual(await next(), { device: 'tap0' });
  const [out, back] = [ping(ENDS), ping({ ...ENDS, from: '10.0.0.2', to: '10.0.0.1' })];
  send('tap0', out);
  send('far', arpRequest(ENDS));
  send('far', back);
  for (const frame of [out, back]) assert.equal((await next())?.frame, frame.toString('base64'));
  assert.deepEqual(await next(), { end: 'as many as were asked for', lost: 0 });
  assert.equal(await next(), undefined);
  assert.deepEqual(watched, ['+tap0', '-tap0']);
});

test('it ends when its time is over, when nobody reads on, and with the agent', async () => {
  const agent = new AbortController();
  const timed = begin(`port=${PORT}&seconds=0`);
  const left = begin(`port=${PORT}`);
  const cut = begin(`port=${PORT}`, captures(agent.signal));
  for (const one of [timed, left, cut]) await one.next();
  const ends = Promise.all([timed, left, cut].map((one) => one.next()));
  left.stop();
  agent.abort();
  assert.deepEqual(
    (await ends).map((line) => line?.end),
    ['its time is over', 'nobody reads on', 'the agent ends'],
  );
  for (const one of [timed, left, cut]) assert.equal(await one.next(), undefined);
});

test('what cannot be captured is refused in words', async () => {
  const of = captures();
  const refusal = (query: string): unknown => of.start(new URLSearchParams(query));
  assert.match(String(refusal('')), /port: give the id/);
  assert.match(String(refusal(`port=${PORT.replaceAll('1', '2')}`)), /has no device on this host/);
  assert.match(String(refusal(`port=${PORT}&filter=foo`)), /filter: 'foo' is not known/);
  assert.match(String(refusal(`port=${PORT}&count=x`)), /count: give/);
  assert.match(String(refusal(`port=${PORT}&seconds=3601`)), /seconds: give/);
  const running = Array.from({ length: 8 }, () => begin(`port=${PORT}`, of));
  for (const one of running) await one.next();
  assert.match(String(refusal(`port=${PORT}`)), /8 captures run already/);
  for (const one of running) one.stop();
  for (const one of running) while ((await one.next()) !== undefined);
  assert.equal(typeof refusal(`port=${PORT}`), 'object');
});

test('a device is watched from the first to the last who watches it', () => {
  const told: string[] = [];
  const devices = new WatchedDevices({ byName: (name) => (name === 'cv1' ? { name, ifindex: 3 } : undefined) });
  devices.onChange((name) => told.push(`${name} ${devices.byName(name)?.isWatched === true}`));
  const [first, second] = [devices.watch('cv1'), devices.watch('cv1')];
  assert.deepEqual(devices.byName('cv1'), { name: 'cv1', ifindex: 3, isWatched: true });
  first();
  assert.equal(devices.byName('cv1')?.isWatched, true);
  second();
  assert.deepEqual(devices.byName('cv1'), { name: 'cv1', ifindex: 3 });
  assert.equal(devices.byName('cv2'), undefined);
  assert.deepEqual(told, ['cv1 true', 'cv1 false']);
});
