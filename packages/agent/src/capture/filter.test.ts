import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { parseFrameFilter } from '@cable/model';
import { arpRequest, ethernet, ping, tcpSyn, udp } from '../testing/raw-frames.ts';
import { createMatcher, wholeBytes } from './filter.ts';

const ENDS = { fromMac: '02:00:00:00:00:01', toMac: '02:00:00:00:00:02' };
const V4 = { ...ENDS, from: '10.0.0.1', to: '10.0.0.2' };
const V6 = { ...ENDS, from: '2001:db8::1', to: '2001:db8::2' };
const later = Buffer.from(tcpSyn(V4, 80));
later.writeUInt16BE(8, 20);
const FRAMES: Readonly<Record<string, Uint8Array>> = {
  arp: arpRequest(V4),
  ping: ping(V4),
  ping6: ping(V6),
  tcp: tcpSyn(V4, 80),
  tcp6: tcpSyn(V6, 443),
  udp: udp(V4, 53),
  fragment: later,
  lldp: ethernet(ENDS, 0x88cc, Buffer.alloc(50)),
};

function matcher(text: string): (frame: Uint8Array) => boolean {
  const filter = parseFrameFilter(text);
  assert.ok(typeof filter !== 'string', String(filter));
  return createMatcher(filter);
}

function passed(text: string): readonly string[] {
  const filter = matcher(text);
  return Object.keys(FRAMES).filter((name) => filter(FRAMES[name] ?? new Uint8Array(0)));
}

test('conditions are those of tcpdump', () => {
  for (const [text, names] of [
    ['', Object.keys(FRAMES)],
    ['arp', ['arp']],
    ['ip6', ['ping6', 'tcp6']],
    ['icmp', ['ping']],
    ['icmp6', ['ping6']],
    ['tcp', ['tcp', 'tcp6', 'fragment']],
    ['udp and port 53', ['udp']],
    ['port 80', ['tcp']],
    ['port 40000', ['tcp', 'tcp6', 'udp']],
    ['host 10.0.0.1', ['arp', 'ping', 'tcp', 'udp', 'fragment']],
    ['host 2001:db8:0::2 and tcp', ['tcp6']],
    ['host 10.0.0.3', []],
    [' ip  and host 10.0.0.2  and   port 53 ', ['udp']],
  ] as const) {
    assert.deepEqual(passed(text), names, text);
  }
});

test('frames of any bytes and length are looked at without harm', () => {
  const random = seededRandom(3);
  const filters = ['arp', 'tcp and port 80', 'host 10.0.0.1', 'host ::1 and port 1', 'icmp6'].map(matcher);
  const seeds = Object.values(FRAMES);
  for (let n = 0; n < 20_000; n += 1) {
    const frame = Buffer.from(seeds[n % seeds.length] ?? []);
    for (let k = 0; k < 4 && frame.length > 0; k += 1)
      frame[Math.floor(random() * frame.length)] = Math.floor(random() * 256);
    const cut = frame.subarray(0, Math.floor(random() * (frame.length + 1)));
    for (const filter of filters) assert.equal(typeof filter(cut), 'boolean');
    const bytes = wholeBytes(cut);
    assert.ok(bytes >= cut.length && bytes <= Math.max(cut.length, 54 + 65_535), `${bytes} of ${cut.length}`);
  }
});

test('of a frame that was cut it is known how long it was', () => {
  const [four, six] = [udp(V4, 53, Buffer.alloc(900)), udp(V6, 53, Buffer.alloc(900))];
  for (const frame of [four, six, FRAMES['tcp'], FRAMES['arp']] as const) {
    assert.ok(frame !== undefined);
    assert.deepEqual([wholeBytes(frame.subarray(0, 64)), wholeBytes(frame)], [frame.length, frame.length]);
  }
});
