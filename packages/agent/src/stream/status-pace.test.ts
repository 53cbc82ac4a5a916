import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { StatusPace } from './status-pace.ts';

/** A pace with the test's clock; `sent` has time and revision of each report. */
function bed(t: TestContext, random: () => number = () => 0.5) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
  let now = 0;
  let programmed = 0;
  const sent: (readonly [atMs: number, revision: number])[] = [];
  const pace = new StatusPace({
    send: () => {
      sent.push([now, programmed]);
      return programmed;
    },
    programmed: () => programmed,
    now: () => now,
    random,
  });
  t.after(() => pace.stop());
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i += 1) {
      now += 1;
      t.mock.timers.tick(1);
    }
  };
  const program = (revision: number): void => {
    programmed = revision;
    pace.programmed();
  };
  return { pace, sent, pass, program };
}

test('a report goes out at the start and then every 5 s', (t) => {
  const { pace, sent, pass } = bed(t);
  pace.start();
  pass(12_000);
  assert.deepEqual(
    sent.map(([at]) => at),
    [0, 5000, 10_000],
  );
});

test('ports that change in one turn are one report, at once, and the heartbeat waits anew', (t) => {
  const { pace, sent, pass } = bed(t);
  pace.start();
  pass(3000);
  for (let i = 0; i < 10; i += 1) pace.portsChanged();
  pass(1);
  pass(6000);
  assert.deepEqual(
    sent.map(([at]) => at),
    [0, 3001, 8001],
  );
});

test('a revision is acknowledged after a random part of the time, once it is in the kernel', (t) => {
  const { pace, sent, pass, program } = bed(t);
  pace.start();
  pace.asked(7, 1000);
  program(7);
  pass(600);
  assert.deepEqual(sent, [
    [0, 0],
    [500, 7],
  ]);
});

test('a revision that is programmed late is acknowledged at once then', (t) => {
  const { pace, sent, pass, program } = bed(t);
  pace.start();
  pace.asked(7, 1000);
  pass(2000);
  program(7);
  assert.deepEqual(sent.at(-1), [2000, 7]);
});

test('bookmarks that follow one another are one acknowledgement, and it is not put off by them', (t) => {
  const { pace, sent, pass, program } = bed(t);
  pace.start();
  for (let revision = 1; revision <= 100; revision += 1) {
    pace.asked(revision, 1000);
    program(revision);
    pass(10);
  }
  pass(600);
  assert.deepEqual(
    sent.map(([at]) => at),
    [0, 500, 1000],
  );
  assert.equal(sent.at(-1)?.[1], 100);
});

test('a host that lags acknowledges what it has, not more often than it is asked to', (t) => {
  const { pace, sent, pass, program } = bed(t);
  pace.start();
  pace.asked(1000, 1000);
  for (let revision = 1; revision <= 200; revision += 1) {
    program(revision);
    pass(10);
  }
  assert.deepEqual(
    sent.map(([at]) => at),
    [0, 500, 1000, 1500, 2000],
  );
});

test('what any report has told is not acknowledged again', (t) => {
  const { pace, sent, pass, program } = bed(t);
  pace.start();
  pace.asked(7, 1000);
  program(7);
  pace.portsChanged();
  pass(1);
  pass(3000);
  pace.asked(6, 0);
  pass(1000);
  assert.deepEqual(sent, [
    [0, 0],
    [1, 7],
  ]);
});
