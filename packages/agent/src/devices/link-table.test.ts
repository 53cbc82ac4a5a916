import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NetlinkSocket } from '../net/socket.ts';
import { LinkReader } from './link-table.ts';

test('a look that the kernel refused is made again', () => {
  const socket = new NetlinkSocket();
  let refuse = true;
  const flaky: Pick<NetlinkSocket, 'dump' | 'get'> = {
    dump: (request) => {
      if (refuse) throw new Error('ENOBUFS');
      return socket.dump(request);
    },
    get: (request) => {
      if (refuse) throw new Error('ENOBUFS');
      return socket.get(request);
    },
  };
  const reader = new LinkReader(flaky as NetlinkSocket);
  assert.throws(() => reader.read(), /ENOBUFS/);
  refuse = false;
  assert.ok(reader.read().has('lo'));
  reader.note({ kind: 'links', names: new Set(['lo']) });
  refuse = true;
  assert.throws(() => reader.read(), /ENOBUFS/);
  assert.throws(() => reader.read(), /ENOBUFS/, 'still to be looked at');
  socket.close();
});
