import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Logger, silentLogger } from '@cable/kit';
import { makeGuard } from './devices/guard.ts';
import { enterOwnNamespace, ip } from './guest/testing/own-namespace.ts';
import { createHeldNetns } from './net/held-netns.ts';
import { NETLINK, NetlinkSocket } from './net/socket.ts';
import { teardown } from './teardown.ts';

const root = mkdtempSync(join(tmpdir(), `cable-teardown-${process.pid}-`));

before(() => enterOwnNamespace());
after(() => rmSync(root, { recursive: true, force: true }));

function write(directory: string, ...names: readonly string[]): void {
  mkdirSync(directory, { recursive: true });
  for (const name of names) writeFileSync(join(directory, name), '');
}

function options(stateDir: string, runDir: string): Parameters<typeof teardown>[0] {
  return { host: 'h', pinDir: join(root, 'pins/h'), stateDir: join(root, stateDir), runDir: join(root, runDir) };
}

test("directories that hold others' files too lose only the agent's", async () => {
  write(join(root, 'run'), 'agent.sock', 'docker.sock');
  write(join(root, 'lib'), 'state.json', '.draft', 'others');
  write(join(root, 'lib/state'), 'data.mdb', 'lock.mdb', 'others');
  await teardown(options('lib', 'run'), silentLogger());
  assert.deepEqual(readdirSync(join(root, 'run')), ['docker.sock']);
  assert.deepEqual(readdirSync(join(root, 'lib')).sort(), ['others', 'state']);
  assert.deepEqual(readdirSync(join(root, 'lib/state')), ['others']);
});

test('directories of the agent alone go with what is in them; absent ones are no error', async () => {
  write(join(root, 'own-run'), 'agent.sock');
  for (const name of ['state', 'state.unusable']) write(join(root, 'own-lib', name), 'data.mdb', 'lock.mdb', 'loading');
  await teardown(options('own-lib', 'own-run'), silentLogger());
  assert.deepEqual([existsSync(join(root, 'own-run')), existsSync(join(root, 'own-lib'))], [false, false]);
  await teardown(options('own-lib', 'own-run'), silentLogger());
});

test("the directory of all hosts' pins goes with the last of them", async () => {
  for (const host of ['h', 'other']) mkdirSync(join(root, 'pins', host), { recursive: true });
  await teardown(options('none', 'none'), silentLogger());
  assert.deepEqual(readdirSync(join(root, 'pins')), ['other']);
  await teardown({ ...options('none', 'none'), pinDir: join(root, 'pins/other') }, silentLogger());
  assert.equal(existsSync(join(root, 'pins')), false);
});

test('what was removed is told from what was not there', async () => {
  const said: string[] = [];
  const note = (_fields: object, message: string): void => void said.push(message);
  const log: Logger = { ...silentLogger(), info: note, warn: note };
  const nothing = 'nothing of this host is here: nothing was removed';
  const everything = 'removed everything of this host';
  await teardown(options('none', 'none'), log);
  assert.deepEqual(said.splice(0), [nothing]);
  const making: readonly (() => void)[] = [
    () => write(join(root, 'told-run'), 'agent.sock'),
    () => write(join(root, 'told-lib', 'state'), 'data.mdb'),
    () => write(join(root, 'told-lib'), 'state.json'),
    () => mkdirSync(join(root, 'pins/h'), { recursive: true }),
    () => ip('link add cable0 type veth peer name cable1'),
    () => ip('link add cables1 type veth peer name inner'),
    () => ip('link add cbr01234567-89 type bridge'),
    () => createHeldNetns(join(root, 'told-run', 'services.netns')).close(),
    () => {
      using socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
      makeGuard(socket, { tunnelDevices: undefined });
    },
  ];
  for (const make of making) {
    make();
    await teardown(options('told-lib', 'told-run'), log);
    await teardown(options('told-lib', 'told-run'), log);
    assert.deepEqual(said.splice(0), [everything, nothing], String(make));
  }
});

test("the agent's links go, others' of such names stay", async () => {
  for (const name of ['cable0', 'cables1', 'cv0123456789a', 'cb0123456789a', 'cn-0123456789', 'other']) {
    ip(`link add ${name} type veth peer name p${name.slice(0, 6)}`);
  }
  ip('link add cablevx type vxlan external dstport 4789');
  for (const name of ['cb-mine', 'tap01234567-89']) ip(`tuntap add ${name} mode tap`);
  await teardown(options('none', 'none'), silentLogger());
  const names = JSON.parse(ip('-j link show')).map((one: { readonly ifname: string }) => one.ifname);
  assert.deepEqual(names.sort(), ['cb-mine', 'lo', 'other', 'pother', 'tap01234567-89']);
});
