import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Asking, Gate, type Leave } from './gate.ts';

type Case = {
  readonly gate: Gate;
  readonly clock: { now: number };
  ask(more?: Partial<Asking>): Promise<Leave | string>;
};

function clientOf(): { readonly client: Asking['client']; leave(): void } {
  const listeners: (() => void)[] = [];
  const client = { isClosed: false, onClose: (listener: () => void) => void listeners.push(listener) };
  const leave = (): void => {
    client.isClosed = true;
    for (const listener of listeners) listener();
  };
  return { client, leave };
}

function gateOf(limits: Partial<ConstructorParameters<typeof Gate>[0]> = {}): Case {
  const clock = { now: 0 };
  const gate = new Gate({ running: 2, waiting: 2, waitMs: 10_000, ...limits }, () => clock.now);
  const ask: Case['ask'] = (more) =>
    gate.enter({ weight: 1, deadlineMs: Number.POSITIVE_INFINITY, client: clientOf().client, cut: () => {}, ...more });
  return { gate, clock, ask };
}

function isIn(answer: Leave | string): asserts answer is Leave {
  assert.equal(typeof answer, 'function', String(answer));
}

test('as many as fit are let in, as many more wait in their order, others are refused at once', async () => {
  const { gate, ask } = gateOf();
  const [first, second] = [await ask(), await ask()];
  isIn(first);
  isIn(second);
  const order: string[] = [];
  const [third, fourth] = [ask(), ask()];
  void third.then(() => order.push('third'));
  void fourth.then(() => order.push('fourth'));
  assert.equal(gate.isFull, true);
  assert.equal(await ask(), 'full');
  first();
  first();
  isIn(await third);
  await Promise.resolve();
  assert.deepEqual(order, ['third']);
  second();
  isIn(await fourth);
  assert.deepEqual([gate.running, gate.waiting], [2, 0]);
});

test('one that waits too long, or longer than its deadline, is refused', async () => {
  for (const more of [{ waitMs: 10 }, {}]) {
    const { ask, gate } = gateOf({ running: 1, ...more });
    isIn(await ask());
    assert.equal(await ask({ deadlineMs: 10 }), 'full');
    assert.equal(gate.waiting, 0);
  }
});

test('one whose client has left is not let in, and makes room in the queue', async () => {
  const { ask, gate } = gateOf({ running: 1, waiting: 1 });
  const leave = await ask();
  isIn(leave);
  const client = clientOf();
  const waits = ask({ client: client.client });
  assert.equal(await ask(), 'full');
  client.leave();
  assert.equal(await waits, 'gone');
  assert.equal(await ask({ client: client.client }), 'gone');
  const next = ask();
  leave();
  isIn(await next);
  assert.equal(gate.running, 1);
});

test('a heavy one waits until all of it fits; when it gives up, those behind it go on', async () => {
  const { ask } = gateOf({ running: 4, waiting: 4, waitMs: 20 });
  isIn(await ask());
  const heavy = ask({ weight: 4 });
  const light = ask();
  assert.equal(await heavy, 'full');
  isIn(await light);
});

test('one that has had its time is cut when another waits, and not before', async () => {
  const { ask, clock } = gateOf({ running: 1 });
  let cuts = 0;
  const leave = await ask({
    deadlineMs: 100,
    cut: () => {
      cuts += 1;
      isIn(leave);
      leave();
    },
  });
  isIn(leave);
  const early = ask();
  assert.equal(cuts, 0);
  clock.now = 100;
  const late = ask();
  assert.equal(cuts, 1);
  const next = await early;
  isIn(next);
  next();
  isIn(await late);
});
