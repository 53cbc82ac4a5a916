/**
 * 1,000 TCP connections between two hosts, half of them idle, under 100,000 packets a second: they outlive the upgrade of both agents from a build with
 * other maps, and agents that are killed, restarted and replaced, also while there is no server. The rules let nobody in but to the server's port, so
 * only the flows let answers pass.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';
import type { BedHost } from './bed-host.ts';
import { addressOf, Cloud, linkOf } from './cloud.ts';
import type { Report } from './held-connections.ts';
import {
  BEFORE_DISPATCHERS,
  type BuiltVersion,
  buildOldVersion,
  CURRENT,
  whyNotBuildable,
} from './previous-version.ts';
import { eventually } from './program.ts';
import { VersionBed } from './version-bed.ts';

const COUNT = 1_000;
const RATE = '100000';
const LOAD_PORT = '7777';
const PORT = 7_778;
const skip = whyNotBuildable(BEFORE_DISPATCHERS) ?? false;
const dir = mkdtempSync(join(tmpdir(), `cable-connections-${process.pid}-`));
const netbench = join(dir, 'netbench');
const program = fileURLToPath(new URL('held-connections.ts', import.meta.url));
let older: BuiltVersion | undefined;

before(() => {
  const source = fileURLToPath(new URL('../../bench/netbench.c', import.meta.url));
  execFileSync('cc', ['-O2', '-o', netbench, source, '-pthread']);
  if (skip === false) older = buildOldVersion(BEFORE_DISPATCHERS);
});
after(() => {
  older?.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs it in the host's namespace; its end kills it. */
function startOn({ name }: BedHost, ...command: readonly string[]): ChildProcess {
  return spawn('nsenter', [`--net=/run/netns/${name}`, ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** One end of the connections. */
class Holder {
  readonly child: ChildProcess;

  constructor(host: BedHost, ...args: readonly string[]) {
    this.child = startOn(host, process.execPath, ...sourceProgram(program), ...args);
  }

  /** What it says next. */
  async line(): Promise<string> {
    assert.ok(this.child.stdout);
    const [chunk] = await once(this.child.stdout, 'data');
    return String(chunk).trim();
  }

  say(word: string): void {
    this.child.stdin?.write(`${word}\n`);
  }

  async report(): Promise<Report> {
    const line = this.line();
    this.say('report');
    return JSON.parse(await line) as Report;
  }
}

test(`${COUNT} connections outlive an upgrade and restarts of agents under load, also without a server`, {
  skip,
  timeout: 280_000,
}, async (t) => {
  assert.ok(older);
  const bed = new VersionBed('conn');
  t.after(() => bed.remove());
  await bed.start(CURRENT, older, older);
  const cloud = await Cloud.create(bed.api);
  await cloud.allow('tcp', PORT);
  await cloud.allow('udp', Number(LOAD_PORT));
  await cloud.allowPing();
  const network = await cloud.createNetwork();
  const ports = [await cloud.createPort(bed.h1, network), await cloud.createPort(bed.h2, network)] as const;
  // The client that asks for a lease reads all that its device receives: beside 100,000 packets a second it misses its answers.
  const quiet = await cloud.createPort(bed.h2, await cloud.createNetwork());
  await cloud.active(...ports, quiet);
  const there = addressOf(ports[1]);
  const end = (child: ChildProcess): void => {
    t.after(() => child.kill('SIGKILL'));
  };

  const server = new Holder(bed.h2, 'server', there, String(PORT));
  end(server.child);
  assert.equal(await server.line(), 'ready');
  const client = new Holder(bed.h1, 'client', there, String(PORT), String(COUNT));
  end(client.child);
  assert.equal(await client.line(), 'ready');
  const sink = startOn(bed.h2, netbench, 'server', LOAD_PORT);
  end(sink);
  assert.ok(sink.stdout);
  await once(sink.stdout, 'data');
  end(startOn(bed.h1, netbench, 'udp', there, LOAD_PORT, '600', '64', RATE));

  const hosts = [bed.h1, bed.h2];
  const assertOpen = async (after: string): Promise<void> => {
    const { open, echoes } = await client.report();
    assert.equal(open, COUNT, `open after ${after}`);
    const more = async (): Promise<boolean> => (await client.report()).echoes > echoes + COUNT / 2;
    await eventually(`bytes come back after ${after}`, more);
  };
  await assertOpen('the beginning');
  for (const host of hosts) await host.replace(CURRENT);
  await assertOpen('the upgrade');
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    for (const host of hosts) {
      await host.end(signal);
      await host.start(CURRENT);
      await host.inStep();
    }
    await assertOpen(`restarts after ${signal}`);
  }
  await bed.stopServer();
  for (const host of hosts) {
    await host.end('SIGKILL');
    await host.start(CURRENT);
  }
  await assertOpen('restarts without a server');
  assert.equal(bed.h1.answersFrom(there), 5, 'new flows without a server');
  assert.ok(bed.h2.getsLease(linkOf(quiet)), 'a lease without a server');

  server.say('speak');
  await eventually('the client hears the server on all', async () => (await client.report()).whole === COUNT);
  await eventually('the server hears the answers on all', async () => (await server.report()).whole === COUNT);
  t.diagnostic(`${COUNT} of ${COUNT} connections whole, half of them idle until the server spoke`);
});
