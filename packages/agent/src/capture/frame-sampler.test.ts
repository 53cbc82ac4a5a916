import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MAX_SNAPLEN, parseFrameFilter } from '@cable/model';
import { NetlinkError } from '../ffi/errno.ts';
import { arpRequest, ethernet, type Packet, ping, tcpSyn, udp } from '../testing/raw-frames.ts';
import { createMatcher } from './filter.ts';
import { type FrameSampler, openFrameSampler } from './frame-sampler.ts';
import { TapBed, tagged } from './testing.ts';

const OBJECT = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
const MACS = { fromMac: '02:00:00:00:00:01', toMac: '02:00:00:00:00:02' };
const V4: Packet = { ...MACS, from: '10.0.0.1', to: '10.0.0.2' };
const V6: Packet = { ...MACS, from: '2001:db8::1', to: '2001:db8::2' };
const later = Buffer.from(tcpSyn(V4, 80));
later.writeUInt16BE(8, 20);
const FRAMES: Readonly<Record<string, Buffer>> = {
  arp: Buffer.from(arpRequest(V4)),
  ping: Buffer.from(ping(V4)),
  ping6: Buffer.from(ping(V6)),
  tcp: Buffer.from(tcpSyn(V4, 80)),
  tcp6: Buffer.from(tcpSyn(V6, 443)),
  udp: Buffer.from(udp(V4, 53)),
  fragment: later,
  lldp: Buffer.from(ethernet(MACS, 0x88cc, Buffer.alloc(50))),
  short: Buffer.from(ethernet(MACS, 0x0800, Buffer.alloc(10))),
  empty: Buffer.from(ethernet(MACS, 0x86dd, Buffer.alloc(0))),
};

let bed: TapBed;

before(() => {
  bed = new TapBed();
});

after(() => bed.close());

const MOST = { packets: 1000, bytes: 200_000 };

type Heard = { readonly sampler: FrameSampler; readonly frames: Buffer[]; until(count: number): Promise<void> };

function hear(t: TestContext, text: string, { snaplen = MAX_SNAPLEN, vlan = 0, most = MOST } = {}): Heard {
  const filter = parseFrameFilter(text);
  assert.ok(typeof filter !== 'string', String(filter));
  const frames: Buffer[] = [];
  let wake: () => void = () => undefined;
  const sampler = bed.within(() =>
    openFrameSampler({
      ...{ object: OBJECT, ifindex: bed.indexOf('tap0'), vlan, most, query: { filter, snaplen } },
      onFrame: (frame) => {
        frames.push(Buffer.from(frame));
        wake();
      },
      onError: (err) => assert.fail(err),
    }),
  );
  t.after(() => sampler.close());
  const until = async (count: number): Promise<void> => {
    const end = Date.now() + 60_000;
    while (frames.length < count) {
      if (Date.now() > end) assert.fail(`waited for ${count} frames; there are ${frames.length}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  return { sampler, frames, until };
}

test('the kernel takes the frames that the agent’s own filter takes, both ways', async (t) => {
  for (const text of [
    ...['', 'arp', 'ip', 'ip6', 'tcp', 'udp', 'icmp', 'icmp6', 'sctp', 'port 80', 'port 40000', 'port 0'],
    ...['host 10.0.0.1', 'host 10.0.0.3', 'host 10.0.0.1 and host 10.0.0.2', 'host 10.0.0.1 and host 10.0.0.3'],
    ...['host 2001:db8::2 and tcp', 'udp and port 53', 'port 53 and port 40000', 'port 53 and port 80'],
    ...['arp and host 10.0.0.2', 'ip6 and port 443', 'tcp and port 80 and host 10.0.0.1'],
  ]) {
    const filter = parseFrameFilter(text);
    assert.ok(typeof filter !== 'string');
    const wanted = Object.keys(FRAMES).filter((name) => createMatcher(filter)(FRAMES[name] ?? new Uint8Array(0)));
    const { sampler, frames, until } = hear(t, text);
    for (const from of ['far', 'tap0'] as const) bed.send(from, ...Object.values(FRAMES));
    await until(2 * wanted.length);
    const names = frames.map((frame) => Object.keys(FRAMES).find((name) => FRAMES[name]?.equals(frame)));
    assert.deepEqual(names, [...wanted, ...wanted], text);
    assert.equal(sampler.missing(), 0, text);
    sampler.close();
  }
});

test('however much comes, so many packets a second are taken, and the others are counted', async (t) => {
  const { sampler, frames, until } = hear(t, 'udp', { most: { packets: 10, bytes: 200_000 } });
  const began = process.hrtime.bigint();
  bed.send('far', ...Array.from({ length: 300 }, () => udp(V4, 53)));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const taken = 300 - sampler.missing();
  t.diagnostic(`${taken} of 300 in ${seconds.toFixed(3)} s`);
  assert.ok(taken >= 10 && taken <= 10 * (1 + seconds) + 1, `${taken} are taken in ${seconds} s`);
  await until(taken);
  assert.equal(frames.length + sampler.missing(), 300, 'each is there or counted');
});

test('nor are more bytes taken than may be, and with a shorter beginning of each there are more packets', async (t) => {
  const long = udp(V4, 53, Buffer.alloc(1400));
  const most = { packets: 1000, bytes: 10_000 };
  for (const snaplen of [MAX_SNAPLEN, 64]) {
    const { sampler, frames, until } = hear(t, 'udp', { snaplen, most });
    const began = process.hrtime.bigint();
    bed.send('far', ...Array.from({ length: 100 }, () => long));
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    const taken = 100 - sampler.missing();
    await until(taken);
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    t.diagnostic(`${taken} of 100 packets, ${bytes} bytes in ${seconds.toFixed(3)} s`);
    assert.ok(bytes <= most.bytes * (1 + seconds) + long.length, `${bytes} bytes`);
    assert.ok(frames.every((frame) => frame.length === Math.min(snaplen, long.length)));
    if (snaplen === 64) assert.equal(taken, 100);
    sampler.close();
  }
});

test('of a device that several ports share the frames with the port’s tag are taken', async (t) => {
  const { sampler, frames, until } = hear(t, '', { vlan: 7 });
  const frame = udp(V4, 53);
  bed.send('far', frame, tagged(frame, 8), tagged(frame, 7));
  await until(1);
  assert.deepEqual([frames.map((one) => one.toString('hex')), sampler.missing()], [[frame.toString('hex')], 0]);
  sampler.close();
});

test('a device that is not there is refused, and one that goes ends it', async () => {
  const query = { filter: { etherType: null, protocol: null, hosts: [], ports: [] }, snaplen: 64 };
  const missing = { object: OBJECT, ifindex: 999_999, vlan: 0, query, onFrame: () => {}, onError: () => {} };
  assert.throws(
    () => bed.within(() => openFrameSampler(missing)),
    (err) => err instanceof NetlinkError && err.code === 'ENODEV',
  );
  bed.netns.ip('link', 'add', 'tap1', 'type', 'veth', 'peer', 'name', 'far1');
  bed.netns.ip('link', 'set', 'tap1', 'up');
  const ended = new Promise<Error>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('waited for the end')), 60_000);
    bed.within(() => {
      const onError = (err: Error): void => {
        clearTimeout(timer);
        resolve(err);
      };
      openFrameSampler({ ...missing, ifindex: bed.indexOf('tap1'), onError });
    });
  });
  bed.netns.ip('link', 'delete', 'tap1');
  assert.ok(await ended);
});
