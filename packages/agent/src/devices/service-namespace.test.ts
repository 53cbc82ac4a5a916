import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { heldNetnsPaths, openHeldNetns } from '../net/held-netns.ts';
import { deleteLinksAside, getLink } from '../net/link.ts';
import { type Netns, ownNetnsId } from '../net/netns.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { openFragmenterNamespace, removeFragmenterNamespace } from './fragmenter.ts';
import { ensureOwnLinks, type OwnLinks, removeFormerServiceLink } from './own-links.ts';
import { openServiceNamespace, removeServiceNamespace } from './service-namespace.ts';

/** A blank in it, as mounts' lists write it otherwise. */
const root = mkdtempSync(join(tmpdir(), `cable services ${process.pid} `));
const FILE = 'services.netns';
let socket: NetlinkSocket;

before(() => {
  enterOwnNamespace();
  socket = new NetlinkSocket();
});

afterEach(async () => {
  await deleteLinksAside(socket, ['cables1', 'cable0', 'cablef1']);
  for (const runDir of readdirSync(root)) {
    removeServiceNamespace(join(root, runDir));
    removeFragmenterNamespace(join(root, runDir));
    rmSync(join(root, runDir), { recursive: true });
  }
});

after(() => {
  socket.close();
  rmSync(root, { recursive: true, force: true });
});

const held = (): readonly string[] => heldNetnsPaths(FILE).filter((path) => path.startsWith(root));

/** As an agent does at its start; it lets go of the namespace as an agent that ends. */
async function start(runDir: string): Promise<{ readonly id: string; readonly own: OwnLinks }> {
  const netns = openServiceNamespace(join(root, runDir), socket);
  const fragments = openFragmenterNamespace(join(root, runDir), socket);
  try {
    return { id: netns.id, own: await ensureOwnLinks(socket, { mtuBytes: 1450, netns, fragments }) };
  } finally {
    fragments.close();
    netns.close();
  }
}

function linksIn(runDir: string): readonly string[] {
  const path = join(root, runDir, FILE);
  const text = execFileSync('nsenter', [`--net=${path}`, 'ip', '-br', 'link'], { encoding: 'utf8' });
  return text
    .trim()
    .split('\n')
    .map((line) => line.split('@')[0]?.split(' ')[0] ?? '')
    .sort();
}

function keep(runDir: string): Netns {
  const netns = openHeldNetns(join(root, runDir, FILE));
  assert.ok(netns);
  return netns;
}

test('it is made once, adopted with its link by each later start, and removed', async () => {
  const first = await start('run');
  assert.deepEqual(linksIn('run'), ['cables0', 'lo']);
  const second = await start('run');
  assert.equal(second.id, first.id);
  assert.deepEqual(
    [second.own.service.ifindex, second.own.servicePeer.ifindex, second.own.service.mac],
    [first.own.service.ifindex, first.own.servicePeer.ifindex, first.own.service.mac],
  );
  assert.deepEqual(held(), [join(root, 'run', FILE)]);
  assert.equal(removeServiceNamespace(join(root, 'run')), true);
  assert.equal(removeFragmenterNamespace(join(root, 'run')), true);
  assert.deepEqual([held(), readdirSync(join(root, 'run'))], [[], []]);
  assert.equal(removeServiceNamespace(join(root, 'run')), false);
});

test("nothing of it is in the agent's own namespace but the vrouter's end", async () => {
  const home = ownNetnsId();
  await start('run');
  assert.equal(ownNetnsId(), home);
  assert.equal(getLink(socket, 'cables0'), undefined);
  assert.doesNotMatch(ip('address show'), /198\.18\./);
  assert.doesNotMatch(ip('route show table all'), /198\.18\./);
});

test('what an agent that was killed before the mount left is taken', async () => {
  mkdirSync(join(root, 'run'));
  writeFileSync(join(root, 'run', FILE), '');
  await start('run');
  assert.deepEqual(linksIn('run'), ['cables0', 'lo']);
});

test('a namespace that lost its link gets a new one', async () => {
  const { id } = await start('run');
  ip('link delete cables1');
  assert.equal((await start('run')).id, id);
  assert.deepEqual(linksIn('run'), ['cables0', 'lo']);
});

test('under another run directory, as of a host with another name, the namespace that the link leads to is adopted', async () => {
  const old = await start('old');
  const renamed = await start('new');
  assert.equal(renamed.id, old.id);
  assert.equal(renamed.own.service.ifindex, old.own.service.ifindex);
  assert.deepEqual(held(), [join(root, 'new', FILE)]);
  rmSync(join(root, 'old'), { recursive: true });
});

test('a link whose namespace is not held any more is replaced', async () => {
  const { id } = await start('run');
  const elsewhere = keep('run');
  removeServiceNamespace(join(root, 'run'));
  assert.notEqual((await start('run')).id, id);
  assert.deepEqual(linksIn('run'), ['cables0', 'lo']);
  elsewhere.close();
});

test('the end of a link to another namespace, of an agent with the same run directory there, gives way', async () => {
  await start('run');
  const inside = keep('run');
  execFileSync('nsenter', [`--net=${inside.path}`, 'ip', 'link', 'delete', 'cables0']);
  execFileSync('nsenter', [
    `--net=${inside.path}`,
    'ip',
    'link',
    'add',
    'cables0',
    'type',
    'veth',
    'peer',
    'name',
    'x',
  ]);
  inside.close();
  await start('run');
  assert.deepEqual(linksIn('run'), ['cables0', 'lo']);
});

for (const [what, make] of [
  ['a tap', 'tuntap add cables1 mode tap'],
  ['a pair within the namespace', 'link add cables1 type veth peer name other'],
] as const) {
  test(`another's device of that name is refused, not removed: ${what}`, async () => {
    ip(make);
    await assert.rejects(start('run'), { code: 'EEXIST' });
    assert.ok(getLink(socket, 'cables1'));
  });
}

test("the agent's own namespace in its place is refused", async () => {
  mkdirSync(join(root, 'run'));
  writeFileSync(join(root, 'run', FILE), '');
  execFileSync('mount', ['--bind', `/proc/${process.pid}/ns/net`, join(root, 'run', FILE)]);
  await assert.rejects(start('run'), { code: 'EINVAL', message: /the agent itself runs in: umount/ });
});

test("the service link of builds before goes, with its address; others' devices of such names stay", async () => {
  ip('link add cable0 type veth peer name cable1');
  ip('address add 198.18.0.1/15 dev cable0');
  await start('run');
  await removeFormerServiceLink(socket);
  assert.deepEqual([getLink(socket, 'cable0'), getLink(socket, 'cable1')], [undefined, undefined]);
  ip('link add cable0 type veth peer name other');
  await removeFormerServiceLink(socket);
  assert.ok(getLink(socket, 'cable0'));
});

test('a file that is no directory is named', async () => {
  writeFileSync(join(root, 'file'), '');
  assert.throws(() => openServiceNamespace(join(root, 'file', 'run'), socket), /ENOTDIR/);
  rmSync(join(root, 'file'));
  assert.equal(existsSync(join(root, 'file')), false);
});
