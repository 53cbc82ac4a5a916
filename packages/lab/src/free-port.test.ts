import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { choosePort } from './free-port.ts';

async function withTaken<T>(port: number, work: () => Promise<T>): Promise<T> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  try {
    return await work();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

const lab = `t${process.pid}`;

test('the wanted port is taken when it is free, and another when it is not', async () => {
  const wanted = await choosePort(lab, 'wanted');
  assert.equal(await choosePort(lab, 'other', wanted), wanted);
  assert.notEqual(await withTaken(wanted, () => choosePort(lab, 'other', wanted)), wanted);
});

test('a lab gets the same port again, other labs and other uses get others', async () => {
  const port = await choosePort(lab, 'server');
  assert.equal(await choosePort(lab, 'server'), port);
  assert.notEqual(await choosePort(lab, 'etcd'), port);
  assert.notEqual(await choosePort(`${lab}x`, 'server'), port);
  assert.equal(await withTaken(port, () => choosePort(lab, 'server')), port + 1);
});

test('no outgoing connection is given such a port by the kernel', async () => {
  const [first = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t').map(Number);
  assert.ok((await choosePort(lab, 'server')) < first);
});
