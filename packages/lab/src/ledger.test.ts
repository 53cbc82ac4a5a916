import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLedger, openLedger, processStart } from './ledger.ts';
import { adoptProcess, logFile } from './processes.ts';

const base = mkdtempSync(join(tmpdir(), 'cable-ledger-'));
after(() => rmSync(base, { recursive: true }));

test('a second lab of the same name is refused', () => {
  assert.ok(createLedger(`${base}/one`));
  assert.equal(createLedger(`${base}/one`), undefined);
});

test('a ledger is read back in order, without a torn last line', () => {
  const ledger = createLedger(`${base}/two`);
  ledger?.add({ kind: 'namespace', name: 'a' });
  ledger?.add({ kind: 'host', name: 'new', netns: 'a' });
  ledger?.add({ kind: 'process', name: 'b', pid: 7, startedAt: '8' });
  appendFileSync(`${base}/two/ledger`, '{"kind":"namesp');
  assert.deepEqual(openLedger(`${base}/two`).entries(), [
    { kind: 'namespace', name: 'a' },
    { kind: 'host', name: 'new', netns: 'a' },
    { kind: 'process', name: 'b', pid: 7, startedAt: '8' },
  ]);
});

test('a closed ledger takes nothing more', () => {
  const ledger = createLedger(`${base}/three`);
  ledger?.close();
  assert.throws(() => ledger?.add({ kind: 'namespace', name: 'late' }), /being removed/);
  assert.deepEqual(ledger?.entries(), []);
});

test('a process with the same number but another start time is left alone', async () => {
  const child = spawn('sleep', ['30']);
  const pid = child.pid ?? 0;
  const stranger = adoptProcess('sleep', pid, logFile(''), '1');
  assert.equal(stranger.alive(), false);
  await stranger.stop();
  assert.ok(processStart(pid));
  const own = adoptProcess('sleep', pid, logFile(''));
  assert.equal(own.alive(), true);
  await own.stop();
  assert.equal(own.alive(), false);
});
