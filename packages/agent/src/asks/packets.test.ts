import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { cbFlow, cbTuple, cbTupleKey } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { parseAddress } from '../plan/address.ts';
import { type Packet, ping, tcpSyn, udp } from '../testing/raw-frames.ts';
import { FlowFinder, type ReadPacket, readPacket } from './packets.ts';

const MACS = { fromMac: '02:00:00:00:00:01', toMac: '02:00:00:00:00:02' };
const V4: Packet = { ...MACS, from: '10.0.0.1', to: '10.0.0.2' };
const V6: Packet = { ...MACS, from: '2001:db8::1', to: '2001:db8::2' };

function read(frame: Uint8Array): ReadPacket {
  const packet = readPacket(frame);
  assert.ok(packet !== undefined);
  return packet;
}

test('packets are read by family and protocol', () => {
  for (const of of [V4, V6]) {
    const bytes = (frame: Buffer): number => frame.length - 14;
    const { key, ...syn } = read(tcpSyn(of, 80));
    assert.deepEqual(syn, {
      ...{ kind: 'packet', protocol: 6, source: of.from, destination: of.to, sourcePort: 40_000, destinationPort: 80 },
      ...{ icmpType: null, tcpFlags: 2, bytes: bytes(tcpSyn(of, 80)) },
    });
    assert.deepEqual(key, {
      ...{ src: Buffer.from(parseAddress(of.from) ?? []), dst: Buffer.from(parseAddress(of.to) ?? []) },
      ...{ sportBe: 40_000, dportBe: 80 },
    });
    const long = udp(of, 53, Buffer.alloc(900));
    assert.deepEqual([read(long.subarray(0, 128)).bytes, read(long).tcpFlags], [bytes(long), null]);
    const echo = read(ping(of));
    const type = of === V4 ? 8 : 128;
    assert.deepEqual([echo.icmpType, echo.sourcePort, echo.key.sportBe, echo.key.dportBe], [type, null, 7, type << 8]);
    const reply = ping(of);
    reply[of === V4 ? 34 : 54] = of === V4 ? 0 : 129;
    assert.deepEqual([read(reply).key.sportBe, read(reply).key.dportBe], [type << 8, 7], 'an answer is the reverse');
  }
});

test('whatever is heard is read or passed over', () => {
  const random = seededRandom(5);
  for (let n = 0; n < 20_000; n += 1) {
    const frame = Buffer.from(tcpSyn(n % 2 === 0 ? V4 : V6, 80));
    for (let at = 0; at < 3; at += 1) frame[Math.floor(random() * frame.length)] = Math.floor(random() * 256);
    readPacket(frame.subarray(0, Math.floor(random() * (frame.length + 1))));
  }
});

test('the flow is that of the packet, or, of one that the port is given, of its answer', () => {
  const key = { src: parseAddress('10.0.0.1'), dst: parseAddress('10.0.0.2'), sportBe: 40_000, dportBe: 80 };
  const tuple = { ...key, src: key.src ?? new Uint8Array(16), dst: key.dst ?? new Uint8Array(16), net: 3, protocol: 6 };
  const answered = { ...tuple, src: tuple.dst, dst: tuple.src, sportBe: 80, dportBe: 40_000 };
  const blank = cbFlow.decode(new Uint8Array(cbFlow.size));
  const flow = { ...blank, life: (5n << 2n) | 1n, owner: [4, 9], tuple: [tuple, answered], member: 1, rule: 0xabcd };
  let row: Uint8Array | undefined = cbFlow.encode(flow);
  const finder = new FlowFinder({
    plane: {
      readEntry: (map, bytes) => {
        if (map === 'cb_flow_2') return arrayIndex.decode(bytes) === 77 ? row : undefined;
        const isOurs = Buffer.compare(bytes, cbTupleKey.encode(tuple)) === 0;
        return isOurs ? cbTuple.encode({ flow: 77, direction: 0 }) : undefined;
      },
    },
    numbers: () => ({
      ...{ port: (vif) => `port ${vif}`, network: (net) => `network ${net}`, router: () => null },
      ...{ underlay: () => null, mirror: () => null, peering: () => null },
    }),
    net: (id) => (id === 'n' ? 3 : undefined),
    nowNs: () => 0n,
  });
  const of = { vif: 4, networkId: 'n' };
  const found = finder.find(of, read(tcpSyn(V4, 80)), true);
  assert.deepEqual(
    [found?.flow, found?.isBegun, found?.peerPortId, found?.networkId, found?.rule, found?.isBalanced, found?.becomes],
    [77, true, 'port 9', 'network 3', '0000abcd', true, null],
  );
  const back = tcpSyn({ ...V4, from: V4.to, to: V4.from }, 40_000);
  back.writeUInt16BE(80, 34);
  assert.equal(finder.find(of, read(back), false)?.flow, 77);
  assert.equal(finder.find(of, read(back), true), null);
  assert.equal(finder.find({ ...of, vif: 5 }, read(tcpSyn(V4, 80)), true), null, 'another VIF’s');
  assert.equal(finder.find({ ...of, networkId: 'm' }, read(tcpSyn(V4, 80)), true), null);
  row = cbFlow.encode({ ...flow, life: 5n << 2n });
  assert.equal(finder.find(of, read(tcpSyn(V4, 80)), true), null, 'it has ended');
});
