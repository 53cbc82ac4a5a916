import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { PacketQuery } from '@cable/model';
import { readPacket } from '../asks/packets.ts';
import { NetlinkError } from '../ffi/errno.ts';
import { FrameSocket } from '../net/frame-socket.ts';
import { inNetns, type Netns, openNetns } from '../net/netns.ts';
import { createNetns, type TestNetns } from '../net/testing.ts';
import { arpRequest, type Packet, ping, tcpSyn, udp } from '../testing/raw-frames.ts';
import { openSampler, type Sampler } from './packet-sampler.ts';

const OBJECT = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
const MACS = { fromMac: '02:00:00:00:00:01', toMac: '02:00:00:00:00:02' };
const OUT: Packet = { ...MACS, from: '10.0.0.1', to: '10.0.0.2' };
const BACK: Packet = { ...MACS, from: '10.0.0.2', to: '10.0.0.1' };
const UDP: PacketQuery = { peer: '10.0.0.2', protocol: 17, peerPort: 53, ownPort: null, rate: 100 };

let netns: TestNetns;
let inside: Netns;

/** `tap0` is the host's end: what the guest sends comes out of `far`. */
before(() => {
  netns = createNetns();
  netns.ip('link', 'add', 'tap0', 'type', 'veth', 'peer', 'name', 'far');
  for (const name of ['tap0', 'far']) netns.run('sysctl', '-qw', `net.ipv6.conf.${name}.disable_ipv6=1`);
  for (const name of ['tap0', 'far']) netns.ip('link', 'set', name, 'up');
  inside = openNetns(netns.path);
});

after(() => {
  inside.close();
  netns.remove();
});

function indexOf(name: string): number {
  return Number(/^(\d+):/.exec(netns.ip('-o', 'link', 'show', name))?.[1]);
}

function send(from: 'tap0' | 'far', ...frames: readonly Uint8Array[]): void {
  const socket = inNetns(inside, () => new FrameSocket());
  for (const frame of frames) socket.send(indexOf(from), frame);
  socket.close();
}

type Heard = { readonly sampler: Sampler; readonly frames: Buffer[]; until(count: number): Promise<void> };

function hear(query: PacketQuery, vlan = 0): Heard {
  const frames: Buffer[] = [];
  let wake: () => void = () => undefined;
  const sampler = inNetns(inside, () =>
    openSampler({
      ...{ object: OBJECT, ifindex: indexOf('tap0'), vlan, query },
      onFrame: (frame, atUs) => {
        assert.ok(Math.abs(atUs / 1000 - Date.now()) < 600_000, 'the time is that of the wall');
        frames.push(Buffer.from(frame));
        wake();
      },
      onError: (err) => assert.fail(err),
    }),
  );
  const until = async (count: number): Promise<void> => {
    const heard = (): string => `${count} frames; there are ${frames.length}`;
    while (frames.length < count)
      await soon(heard, (resolve) => {
        wake = () => resolve(undefined);
      });
  };
  return { sampler, frames, until };
}

/** What is given to `resolve`, within a minute. */
function soon<T>(what: () => string, wait: (resolve: (value: T) => void) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited for ${what()}`)), 60_000);
    wait((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

function tagged(frame: Buffer, tag: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(0x8100, 0);
  head.writeUInt16BE(tag, 2);
  return Buffer.concat([frame.subarray(0, 12), head, frame.subarray(12)]);
}

test('packets with the peer are taken, both ways, and no others; of each the beginning', async () => {
  const { sampler, frames, until } = hear(UDP);
  const long = udp(OUT, 53, Buffer.alloc(500));
  const answer = udp(BACK, 40_000);
  answer.writeUInt16BE(53, 34);
  answer.writeUInt16BE(40_000, 36);
  send('far', udp(OUT, 54), arpRequest(OUT), ping(OUT), tcpSyn(OUT, 53), udp(BACK, 53), tagged(udp(OUT, 53), 5), long);
  send('tap0', udp({ ...BACK, from: '10.0.0.3' }, 40_000), long, answer);
  await until(2);
  assert.deepEqual(
    frames.map((frame) => frame.toString('hex')),
    [long.subarray(0, 128), answer].map((frame) => frame.toString('hex')),
  );
  assert.deepEqual(sampler.counts(), { sent: 1, received: 1, lost: 0 });
  sampler.close();
});

test('so many a second are taken, and all are counted', async () => {
  const { sampler, frames, until } = hear({ ...UDP, rate: 5 });
  send('far', ...Array.from({ length: 500 }, () => udp(OUT, 53)));
  await until(5);
  const { sent } = sampler.counts();
  assert.equal(sent, 500);
  assert.ok(frames.length < 250, `${frames.length} of 500 were taken`);
  sampler.close();
});

test('of a device that several ports share the frames with the port’s tag are taken; IPv6 and ICMP are known', async () => {
  const tag = hear(UDP, 7);
  send('far', udp(OUT, 53), tagged(udp(OUT, 53), 8), tagged(udp(OUT, 53), 7));
  await tag.until(1);
  assert.deepEqual(tag.sampler.counts(), { sent: 1, received: 0, lost: 0 });
  assert.equal(readPacket(tag.frames[0] ?? new Uint8Array(0))?.destinationPort, 53);
  tag.sampler.close();
  const six: Packet = { ...MACS, from: '2001:db8::1', to: '2001:db8::2' };
  const icmp = hear({ ...UDP, peer: six.to, protocol: 58, peerPort: null });
  send('far', ping(six), udp(six, 53));
  await icmp.until(1);
  assert.deepEqual(icmp.sampler.counts(), { sent: 1, received: 0, lost: 0 });
  icmp.sampler.close();
});

test('a device that is not there is refused, and one that goes ends it', async () => {
  const missing = { object: OBJECT, ifindex: 999_999, vlan: 0, query: UDP, onFrame: () => {}, onError: () => {} };
  assert.throws(
    () => inNetns(inside, () => openSampler(missing)),
    (err) => err instanceof NetlinkError && err.code === 'ENODEV',
  );
  netns.ip('link', 'add', 'tap1', 'type', 'veth', 'peer', 'name', 'far1');
  netns.ip('link', 'set', 'tap1', 'up');
  const ended = soon<Error>(
    () => 'the end',
    (resolve) => {
      inNetns(inside, () => openSampler({ ...missing, ifindex: indexOf('tap1'), onError: resolve }));
    },
  );
  netns.ip('link', 'delete', 'tap1');
  assert.ok(await ended);
});
