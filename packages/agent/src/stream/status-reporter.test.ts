import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { HostStatusReport, VifStatus } from '@cable/model';
import { type HostStatus, makeReports, startStatusReporter } from './status-reporter.ts';

const up = (portId: string): VifStatus => ({ portId, state: 'up', reason: null });
const byId = (...vifs: VifStatus[]): Map<string, VifStatus> => new Map(vifs.map((vif) => [vif.portId, vif]));

test('a report names what changed, and everything when a VIF is gone or nothing is known', () => {
  const status: HostStatus = { revision: 7, vifs: [up('a'), up('b')] };
  const cases: [Map<string, VifStatus> | undefined, boolean, string[]][] = [
    [undefined, true, ['a', 'b']],
    [byId(up('a'), up('b')), false, []],
    [byId(up('a')), false, ['b']],
    [byId({ portId: 'a', state: 'down', reason: 'x' }, up('b')), false, ['a']],
    [byId(up('a'), up('b'), up('c')), true, ['a', 'b']],
  ];
  for (const [before, full, vifs] of cases) {
    const reports = makeReports(status, before);
    assert.deepEqual(
      reports.map((one) => [one.revision, one.full, one.vifs.map((vif) => vif.portId)]),
      [[7, full, vifs]],
    );
  }
});

test('many VIFs are several reports, of which the first alone is full; long reasons are cut', () => {
  const vifs = Array.from(
    { length: 9000 },
    (_, i): VifStatus => ({ portId: `p${i}`, state: 'error', reason: 'x'.repeat(999) }),
  );
  const reports = makeReports({ revision: 1, vifs }, undefined);
  assert.deepEqual(
    reports.map((one) => [one.full, one.vifs.length]),
    [
      [true, 4096],
      [false, 4096],
      [false, 808],
    ],
  );
  assert.equal(reports[0]?.vifs[0]?.reason?.length, 256);
});

test('after a report that was not accepted everything is sent again', async () => {
  const stop = new AbortController();
  const sent: HostStatusReport[] = [];
  let fail = false;
  let status: HostStatus = { revision: 1, vifs: [up('a')] };
  const client = {
    request: async (_method: string, _path: string, body?: unknown): Promise<unknown> => {
      if (fail) throw new Error('no server');
      sent.push(body as HostStatusReport);
      return undefined;
    },
  };
  const options = { host: 'h1', status: () => status, everyMs: 60_000 };
  const reporter = startStatusReporter(options, { client, log: silentLogger(), signal: stop.signal });
  const wait = async (count: number): Promise<void> => {
    while (sent.length < count) await sleep(5);
  };
  await wait(1);
  status = { revision: 2, vifs: [up('a')] };
  reporter.trigger();
  await wait(2);
  fail = true;
  reporter.trigger();
  await sleep(50);
  fail = false;
  await wait(3);
  reporter.resend();
  await wait(4);
  stop.abort();
  await reporter.done;
  assert.deepEqual(
    sent.map((one) => [one.revision, one.full, one.vifs.length]),
    [
      [1, true, 1],
      [2, false, 0],
      [2, true, 1],
      [2, true, 1],
    ],
  );
});

test('what the server may have forgotten during a report is sent again', async () => {
  const stop = new AbortController();
  const sent: HostStatusReport[] = [];
  let answer: (() => void) | undefined;
  const client = {
    request: (_method: string, _path: string, body?: unknown): Promise<unknown> => {
      sent.push(body as HostStatusReport);
      return new Promise<unknown>((resolve) => {
        answer = () => resolve(undefined);
      });
    },
  };
  const options = { host: 'h1', status: () => ({ revision: 1, vifs: [up('a')] }), everyMs: 60_000 };
  const reporter = startStatusReporter(options, { client, log: silentLogger(), signal: stop.signal });
  const waitFor = async (count: number): Promise<void> => {
    while (sent.length < count) await sleep(5);
  };
  await waitFor(1);
  reporter.resend();
  answer?.();
  await waitFor(2);
  assert.deepEqual(sent[1], { revision: 1, full: true, vifs: [up('a')] });
  stop.abort();
  answer?.();
  await reporter.done;
});
