import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { acceptAll } from './accept-all.ts';

test('all connections that wait are accepted in one round, and served', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-accept-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const place of [{ port: 0, host: '127.0.0.1' }, { path: join(directory, 's.sock') }]) {
    const server = createServer((_request, reply) => reply.end('served'));
    server.listen({ ...place, backlog: 200 });
    await once(server, 'listening');
    acceptAll(server);
    let accepted = 0;
    server.on('connection', () => {
      accepted += 1;
    });
    const first = once(server, 'connection');
    const where = 'path' in place ? place : { ...place, port: (server.address() as AddressInfo).port };
    const clients = Array.from({ length: 100 }, () => connect(where));
    await first;
    assert.equal(accepted, clients.length);
    for (const client of clients) client.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const texts = await Promise.all(clients.map(async (client) => String((await once(client, 'data'))[0])));
    assert.ok(texts.every((text) => text.endsWith('served')));
    server.close();
  }
});
