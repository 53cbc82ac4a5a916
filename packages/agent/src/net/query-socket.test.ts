import assert from 'node:assert/strict';
import { test } from 'node:test';
import { igmpQuery, mldQuery } from '../guest/group-query.ts';
import { openCaptureSocket } from './capture-socket.ts';
import { inNetns, openNetns } from './netns.ts';
import { openQuerySocket } from './query-socket.ts';
import { createNetns } from './testing.ts';

/** What leaves `q0` of a namespace of its own: 192.0.2.1 and 2001:db8::1, whose neighbours' MACs are known. */
async function sent(version: 4 | 6, bytes: Uint8Array, to: string): Promise<Buffer> {
  const netns = createNetns();
  const stop = new AbortController();
  try {
    netns.ip('link', 'add', 'q0', 'up', 'type', 'veth', 'peer', 'name', 'q1');
    netns.ip('link', 'set', 'q1', 'up');
    netns.ip('address', 'add', '192.0.2.1/24', 'dev', 'q0');
    netns.ip('address', 'add', '2001:db8::1/64', 'dev', 'q0', 'nodad');
    for (const address of ['192.0.2.9', '2001:db8::9'])
      netns.ip('neighbour', 'add', address, 'lladdr', '02:00:00:00:00:09', 'dev', 'q0');
    const ifindex = Number(/^(\d+):/.exec(netns.ip('-o', 'link', 'show', 'q0'))?.[1]);
    const inside = openNetns(netns.path);
    try {
      return await new Promise((resolve, reject) => {
        const capture = inNetns(netns.path, () =>
          openCaptureSocket({
            ifindex,
            onFrame: (frame) => {
              if (Buffer.from(frame).readUIntBE(0, 6) !== 0x02_00_00_00_00_09) return;
              capture.close();
              resolve(Buffer.from(frame));
            },
            onError: reject,
          }),
        );
        const address = version === 4 ? '192.0.2.1' : '2001:db8::1';
        const socket = openQuerySocket({ version, address, netns: netns.path, signal: stop.signal });
        assert.equal(socket.send(bytes, to), true);
      });
    } finally {
      inside.close();
    }
  } finally {
    stop.abort();
    netns.remove();
  }
}

test('a query of IGMP has a TTL of 1, and a router alert', async () => {
  const frame = await sent(4, igmpQuery(10), '192.0.2.9');
  assert.equal(frame[14 + 8], 1);
  assert.equal(frame[14 + 9], 2, 'IGMP');
  assert.equal(frame.toString('hex', 34, 38), '94040000');
  assert.equal(frame.toString('hex', 38), Buffer.from(igmpQuery(10)).toString('hex'));
});

test('a query of MLD has a hop limit of 1, and a router alert in front', async () => {
  const frame = await sent(6, mldQuery(10), '2001:db8::9');
  assert.equal(frame[14 + 7], 1);
  assert.equal(frame.toString('hex', 54, 62), '3a00050200000100');
  const message = frame.subarray(62);
  assert.equal(message[0], 130);
  assert.notEqual(message.readUInt16BE(2), 0, 'with a checksum');
  assert.equal(message.toString('hex', 4), Buffer.from(mldQuery(10)).toString('hex', 4));
});
