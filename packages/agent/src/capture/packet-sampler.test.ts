import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { PacketQuery } from '@cable/model';
import { readPacket } from '../asks/packets.ts';
import { NetlinkError } from '../ffi/errno.ts';
import { arpRequest, type Packet, ping, tcpSyn, udp } from '../testing/raw-frames.ts';
import { openSampler, type Sampler } from './packet-sampler.ts';
import { TapBed, tagged } from './testing.ts';

const OBJECT = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
const MACS = { fromMac: '02:00:00:00:00:01', toMac: '02:00:00:00:00:02' };
const OUT: Packet = { ...MACS, from: '10.0.0.1', to: '10.0.0.2' };
const BACK: Packet = { ...MACS, from: '10.0.0.2', to: '10.0.0.1' };
const UDP: PacketQuery = { peer: '10.0.0.2', protocol: 17, peerPort: 53, ownPort: null, rate: 100 };

let bed: TapBed;

before(() => {
  bed = new TapBed();
});

after(() => bed.close());

type Heard = { readonly sampler: Sampler; readonly frames: Buffer[]; until(count: number): Promise<void> };

function hear(query: PacketQuery, vlan = 0): Heard {
  const frames: Buffer[] = [];
  let wake: () => void = () => undefined;
  const sampler = bed.within(() =>
    openSampler({
      ...{ object: OBJECT, ifindex: bed.indexOf('tap0'), vlan, query },
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

test('packets with the peer are taken, both ways, and no others; of each the beginning', async () => {
  const { sampler, frames, until } = hear(UDP);
  const long = udp(OUT, 53, Buffer.alloc(500));
  const answer = udp(BACK, 40_000);
  answer.writeUInt16BE(53, 34);
  answer.writeUInt16BE(40_000, 36);
  bed.send(
    'far',
    udp(OUT, 54),
    arpRequest(OUT),
    ping(OUT),
    tcpSyn(OUT, 53),
    udp(BACK, 53),
    tagged(udp(OUT, 53), 5),
    long,
  );
  bed.send('tap0', udp({ ...BACK, from: '10.0.0.3' }, 40_000), long, answer);
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
  bed.send('far', ...Array.from({ length: 500 }, () => udp(OUT, 53)));
  await until(5);
  const { sent } = sampler.counts();
  assert.equal(sent, 500);
  assert.ok(frames.length < 250, `${frames.length} of 500 were taken`);
  sampler.close();
});

test('of a device that several ports share the frames with the port’s tag are taken; IPv6 and ICMP are known', async () => {
  const tag = hear(UDP, 7);
  bed.send('far', udp(OUT, 53), tagged(udp(OUT, 53), 8), tagged(udp(OUT, 53), 7));
  await tag.until(1);
  assert.deepEqual(tag.sampler.counts(), { sent: 1, received: 0, lost: 0 });
  assert.equal(readPacket(tag.frames[0] ?? new Uint8Array(0))?.destinationPort, 53);
  tag.sampler.close();
  const six: Packet = { ...MACS, from: '2001:db8::1', to: '2001:db8::2' };
  const icmp = hear({ ...UDP, peer: six.to, protocol: 58, peerPort: null });
  bed.send('far', ping(six), udp(six, 53));
  await icmp.until(1);
  assert.deepEqual(icmp.sampler.counts(), { sent: 1, received: 0, lost: 0 });
  icmp.sampler.close();
});

test('a device that is not there is refused, and one that goes ends it', async () => {
  const missing = { object: OBJECT, ifindex: 999_999, vlan: 0, query: UDP, onFrame: () => {}, onError: () => {} };
  assert.throws(
    () => bed.within(() => openSampler(missing)),
    (err) => err instanceof NetlinkError && err.code === 'ENODEV',
  );
  bed.netns.ip('link', 'add', 'tap1', 'type', 'veth', 'peer', 'name', 'far1');
  bed.netns.ip('link', 'set', 'tap1', 'up');
  const ended = soon<Error>(
    () => 'the end',
    (resolve) => {
      bed.within(() => openSampler({ ...missing, ifindex: bed.indexOf('tap1'), onError: resolve }));
    },
  );
  bed.netns.ip('link', 'delete', 'tap1');
  assert.ok(await ended);
});
