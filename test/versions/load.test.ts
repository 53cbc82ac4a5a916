/**
 * Agents that are killed, restarted, upgraded and downgraded while 100,000 packets a second go from one host's guest to the other's: prints how many are
 * lost. `VERSIONS_LOAD_ROUNDS`: how often each is done; default 1, with --all 2.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ofAll } from '@cable/kit/testing';
import type { BedHost } from './bed-host.ts';
import { addressOf, Cloud } from './cloud.ts';
import {
  BEFORE_DISPATCHERS,
  type BuiltVersion,
  buildOldVersion,
  CURRENT,
  whyNotBuildable,
} from './previous-version.ts';
import { VersionBed } from './version-bed.ts';

const ROUNDS = Number(process.env['VERSIONS_LOAD_ROUNDS'] ?? ofAll(1, 2));
const RATE = 100_000;
const PORT = '7777';
/** More than the rounds ever take; the load ends when they have ended. */
const SECONDS = '3600';

const dir = mkdtempSync(join(tmpdir(), `cable-load-${process.pid}-`));
const netbench = join(dir, 'netbench');
let older: BuiltVersion | undefined;

before(() => {
  const source = fileURLToPath(new URL('../../bench/netbench.c', import.meta.url));
  execFileSync('cc', ['-O2', '-o', netbench, source, '-pthread']);
  if (whyNotBuildable(BEFORE_DISPATCHERS) === undefined) older = buildOldVersion(BEFORE_DISPATCHERS);
});
after(() => {
  older?.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs it in the host's namespace. */
function start(host: BedHost, ...args: readonly string[]): ChildProcess {
  const words = [`--net=/run/netns/${host.name}`, netbench, ...args];
  return spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Datagrams that the host's sockets had no room for: they came. */
function refusedBySockets({ name }: BedHost): number {
  const text = execFileSync('nsenter', [`--net=/run/netns/${name}`, 'cat', '/proc/net/snmp'], { encoding: 'utf8' });
  const [names = [], values = []] = text
    .split('\n')
    .flatMap((line) => (line.startsWith('Udp: ') ? [line.split(' ')] : []));
  return Number(values[names.indexOf('RcvbufErrors')]);
}

/** Packets that this machine's CPUs had no time for, in any namespace. */
function refusedByCpus(): number {
  const lines = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(' ')[1] ?? '0', 16), 0);
}

for (const encapsulation of ['kernel', 'own'] as const) {
  const about = `agents with ${encapsulation} encapsulation come and go under 100,000 packets a second, and none is lost`;
  test(about, { timeout: 600_000 }, async (t) => {
    const bed = new VersionBed(`load-${encapsulation}`);
    t.after(() => bed.remove());
    await bed.start(CURRENT, CURRENT, CURRENT);
    for (const host of [bed.h1, bed.h2]) await host.replace(CURRENT, '--encapsulation', encapsulation);
    const cloud = await Cloud.create(bed.api);
    await cloud.allow('udp');
    await cloud.allow('tcp');
    const network = await cloud.createNetwork();
    const ports = [await cloud.createPort(bed.h1, network), await cloud.createPort(bed.h2, network)] as const;
    await cloud.active(...ports);
    const server = start(bed.h2, 'server', PORT);
    t.after(() => server.kill('SIGKILL'));
    assert.ok(server.stdout);
    await once(server.stdout, 'data');

    const refused = (): number => refusedBySockets(bed.h2) + refusedByCpus();
    const refusedBefore = refused();
    const load = start(bed.h1, 'udp', addressOf(ports[1]), PORT, SECONDS, '64', String(RATE));
    t.after(() => load.kill('SIGKILL'));
    const closed = once(load, 'close');
    let said = '';
    load.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    let starts = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (const version of [CURRENT, ...(older === undefined ? [] : [older]), CURRENT]) {
        for (const host of [bed.h1, bed.h2]) {
          await host.end(round % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
          await host.start(version, ...(version === CURRENT ? ['--encapsulation', encapsulation] : []));
          await host.inStep();
          starts += 1;
        }
      }
    }
    assert.equal(load.exitCode, null, 'the load went on all the while');
    load.kill('SIGINT');
    await closed;
    const { sent, count } = JSON.parse(said) as { readonly sent: number; readonly count: number };
    const excused = refused() - refusedBefore;
    t.diagnostic(
      `${starts} starts, ${sent} packets: ${sent - count} lost, of which ${excused} came and found no room or time`,
    );
    assert.ok(sent > 0);
    assert.ok(sent - count <= excused, 'lost on the way');
  });
}
