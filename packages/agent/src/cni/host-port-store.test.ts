import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { sampleId } from '../plan/testing/sample.ts';
import { CniError } from './errors.ts';
import { HostPortStore, type KeptHostPorts, removeHostPorts } from './host-port-store.ts';

const root = mkdtempSync(join(tmpdir(), `cable-host-ports-${process.pid}-`));
after(() => rmSync(root, { recursive: true, force: true }));

const [A, B] = [sampleId('port', 1), sampleId('port', 2)];
const HTTP = { protocol: 'TCP', hostPort: 8080, containerPort: 80 } as const;

let made = 0;
function newDirectory(): string {
  made += 1;
  return join(root, String(made));
}

function kept(portId: string, containerId: string, more: Partial<KeptHostPorts> = {}): KeptHostPorts {
  return { portId, containerId, interfaceName: 'eth0', pod: 'shop/web', hostPorts: [HTTP], ...more };
}

function of(store: HostPortStore, portId: string, containerId: string) {
  const plugged = { containerId, interfaceName: 'eth0', networkMark: '', limits: {} };
  return store.of({ portId, plugged });
}

const always = (): boolean => true;
const never = (): boolean => false;

test('what an ADD wants is there for the next agent, until it is released', () => {
  const directory = newDirectory();
  const hostPorts = [HTTP, { ...HTTP, protocol: 'UDP', hostIp: '127.0.0.1' } as const];
  new HostPortStore(directory, silentLogger()).reserve(kept(A, 'c1', { hostPorts }), never);
  const next = new HostPortStore(directory, silentLogger());
  assert.deepEqual(of(next, A, 'c1'), hostPorts);
  assert.deepEqual([of(next, B, 'c1'), of(next, A, 'c2')], [[], []], 'of that port and container alone');
  next.release(kept(A, 'c1'));
  next.release(kept(A, 'c1'));
  assert.deepEqual([of(next, A, 'c1'), readdirSync(join(directory, 'host-ports'))], [[], []]);
});

test('a port of the host is one pod’s: the error names field, port, pod and what to do', () => {
  const store = new HostPortStore(newDirectory(), silentLogger());
  store.reserve(kept(A, 'c1'), never);
  const other = kept(B, 'c2', {
    hostPorts: [
      { ...HTTP, hostPort: 9 },
      { ...HTTP, hostIp: '192.0.2.1' },
    ],
  });
  const says =
    /^runtimeConfig\.portMappings\[1\]\.hostPort: port 8080\/TCP of any address of this host is that of pod shop\/web \(container c1\)$/;
  const refused = (err: unknown): boolean =>
    err instanceof CniError && err.code === 11 && says.test(err.message) && /another hostPort/.test(err.remedy);
  assert.throws(() => store.reserve(other, never), refused, 'while the first is in the making');
  store.settle(kept(A, 'c1'));
  assert.throws(() => store.reserve(other, always), refused, 'while it has its link');
  assert.deepEqual(of(store, B, 'c2'), []);
  store.reserve(other, never);
  assert.deepEqual([of(store, A, 'c1'), of(store, B, 'c2').length], [[], 2], 'whose link is gone is in nobody’s way');
});

test('another container of a pod has what the one before has, and its end does not touch that', () => {
  const store = new HostPortStore(newDirectory(), silentLogger());
  store.reserve(kept(A, 'c1'), never);
  store.settle(kept(A, 'c1'));
  store.reserve(kept(A, 'c2'), always);
  store.settle(kept(A, 'c2'));
  store.release(kept(A, 'c1'));
  assert.deepEqual(of(store, A, 'c2'), [HTTP]);
  assert.throws(() => store.reserve(kept(B, 'c3'), always), CniError);
});

test('a container that is made anew without host ports has none', () => {
  const store = new HostPortStore(newDirectory(), silentLogger());
  store.reserve(kept(A, 'c1'), never);
  store.reserve(kept(A, 'c1', { hostPorts: [] }), never);
  assert.deepEqual([...store.all], []);
});

test('what no link keeps is forgotten, but for what is in the making', () => {
  const store = new HostPortStore(newDirectory(), silentLogger());
  store.reserve(kept(A, 'c1'), never);
  store.settle(kept(A, 'c1'));
  store.reserve(kept(B, 'c2', { hostPorts: [{ ...HTTP, hostPort: 9 }] }), never);
  store.prune(never);
  assert.deepEqual(
    [...store.all].map(({ containerId }) => containerId),
    ['c2'],
  );
});

test('a file that says nothing is removed, and teardown leaves none', () => {
  const directory = newDirectory();
  const files = join(directory, 'host-ports');
  new HostPortStore(directory, silentLogger()).reserve(kept(A, 'c1'), never);
  writeFileSync(join(files, `${'0'.repeat(32)}.json`), '{');
  writeFileSync(join(files, `${'1'.repeat(32)}.json`), JSON.stringify({ ...kept(A, 'c1'), portMappings: [] }));
  writeFileSync(join(files, `${'2'.repeat(32)}.json.new`), '{');
  const store = new HostPortStore(directory, silentLogger());
  assert.deepEqual([readdirSync(files).length, of(store, A, 'c1')], [1, [HTTP]]);
  assert.deepEqual([removeHostPorts(directory), removeHostPorts(directory)], [true, false]);
  assert.throws(() => readdirSync(files), /ENOENT/);
});
