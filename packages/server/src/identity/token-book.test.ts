import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { KeystoneError, type TokenInfo } from '@cable/keystone';
import { silentLogger } from '@cable/kit';
import { TokenBook } from './token-book.ts';

const INFO: TokenInfo = {
  user: { id: 'u', name: 'u', domainId: 'd', domainName: 'D' },
  project: { id: 'p', name: 'p', domainId: 'd', domainName: 'D' },
  ...{ domain: null, isSystem: false, roles: ['member'], isAdminProject: true },
  ...{ issuedAtMs: 0, expiresAtMs: 600_000, auditIds: ['a'], accessRules: null },
};

type Answer = TokenInfo | null | KeystoneError;

/** A book whose Keystone answers what it is told to, at once or when it is let. */
function openBook(first: Answer = INFO, waitMs = 60_000, patienceMs = 60_000) {
  const state = {
    nowMs: 0,
    answer: first,
    /** Of one token, in turn; the last one stays. */
    answers: new Map<string, Answer[]>(),
    held: [] as (() => void)[],
    isHeld: false,
    asked: [] as boolean[],
    tokens: [] as string[],
    atOnce: 0,
    most: 0,
  };
  const book = new TokenBook({
    keystone: {
      get keystoneMs() {
        return state.nowMs;
      },
      validate: async (token, { allowExpired }) => {
        state.asked.push(allowExpired);
        state.tokens.push(token);
        state.atOnce += 1;
        state.most = Math.max(state.most, state.atOnce);
        if (state.isHeld) await new Promise<void>((resolve) => state.held.push(resolve));
        state.atOnce -= 1;
        const own = state.answers.get(token);
        const answer = (own !== undefined && own.length > 1 ? own.shift() : own?.[0]) ?? (own ? null : state.answer);
        if (answer instanceof KeystoneError) throw answer;
        return answer;
      },
    },
    ...{ freshMs: 60_000, monotonicMs: () => state.nowMs, log: silentLogger(), waitMs, patienceMs },
  });
  return { book, state };
}

const AWAY = new KeystoneError('away', 'away');
/** Lets what was begun beside a request end. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a token is asked for once while it is fresh, beside its use near the end, and then anew', async () => {
  const { book, state } = openBook();
  const found = await book.find('t');
  assert.equal(found?.info, INFO);
  state.nowMs = 40_000;
  assert.equal(await book.find('t'), found);
  assert.equal(state.asked.length, 1);
  state.nowMs = 50_000;
  assert.equal(await book.find('t'), found);
  await settle();
  assert.equal(state.asked.length, 2);
  state.nowMs = 90_000;
  assert.equal(await book.find('t'), found);
  assert.equal(state.asked.length, 2);
  state.nowMs = 170_000;
  state.answer = { ...INFO, roles: ['reader'] };
  assert.deepEqual((await book.find('t'))?.info.roles, ['reader']);
  state.nowMs = 240_000;
  state.answer = null;
  assert.equal(await book.find('t'), null);
});

test('who asks for one token at once shares a question', async () => {
  const { book, state } = openBook();
  state.isHeld = true;
  const found = Promise.all(Array.from({ length: 50 }, () => book.find('t')));
  await settle();
  assert.equal(state.held.length, 1);
  state.held[0]?.();
  assert.equal(new Set(await found).size, 1);
});

test('a token ends when Keystone’s clock says so, fresh or not', async () => {
  const { book, state } = openBook();
  await book.find('t');
  state.nowMs = 599_000;
  assert.ok(await book.find('t'));
  state.nowMs = 600_000;
  const asked = state.asked.length;
  assert.equal(await book.find('t'), null);
  assert.equal(state.asked.length, asked);
});

test('a token that is over is good for who brings a service’s, and for him alone', async () => {
  const { book, state } = openBook();
  await book.find('t');
  state.nowMs = 700_000;
  const asked = state.asked.length;
  assert.ok(await book.find('t', true));
  assert.deepEqual(state.asked.slice(asked), [true]);
  assert.equal(await book.find('t'), null);
  assert.ok(await book.find('t', true));
  assert.equal(state.asked.length, asked + 1);
  state.answer = null;
  state.nowMs = 770_000;
  assert.equal(await book.find('t', true), null);
});

test('a token that is none is asked for once in ten seconds', async () => {
  const { book, state } = openBook(null);
  for (let at = 0; at < 5; at += 1) assert.equal(await book.find('wrong'), null);
  assert.equal(state.asked.length, 1);
  state.nowMs = 11_000;
  assert.equal(await book.find('wrong'), null);
  assert.equal(state.asked.length, 2);
});

test('what cannot be a token is not asked for', async () => {
  const { book, state } = openBook();
  for (const text of ['', ' ', 'a b', 'a, b', 'ü', 'x'.repeat(4097), '\u0000'])
    assert.equal(await book.find(text), null, text);
  assert.equal(state.asked.length, 0);
});

test('while Keystone is away known tokens go on to their end, and others are told so', async () => {
  const { book, state } = openBook();
  const found = await book.find('t');
  state.answer = AWAY;
  for (const at of [61_000, 100_000, 599_000]) {
    state.nowMs = at;
    assert.equal(await book.find('t'), found, String(at));
  }
  await assert.rejects(book.find('other'), { kind: 'away' });
  state.nowMs = 601_000;
  assert.equal(await book.find('t'), null);
  state.answer = { ...INFO, expiresAtMs: 1_200_000 };
  state.nowMs = 603_000;
  assert.ok(await book.find('third'));
});

test('a stale token is not asked for by each request while Keystone is away', async () => {
  const { book, state } = openBook();
  await book.find('t');
  state.answer = AWAY;
  state.nowMs = 61_000;
  for (let at = 0; at < 100; at += 1) assert.ok(await book.find('t'));
  await settle();
  assert.ok(state.asked.length < 10, String(state.asked.length));
});

test('a Keystone that does not answer is left alone for a moment', async () => {
  const { book, state } = openBook(AWAY);
  for (let at = 0; at < 100; at += 1) await assert.rejects(book.find(`t${at}`));
  assert.equal(state.asked.length, 5);
  state.nowMs = 1500;
  state.answer = INFO;
  assert.ok(await book.find('t'));
  assert.ok(await book.find('another'));
});

/** As many find a place as there are. */
const strangerAt = (at: number) => (): string => `198.51.100.${at % 200}`;

test('a flood of tokens does not become one to Keystone', async () => {
  const { book, state } = openBook(null);
  state.isHeld = true;
  const all = Promise.allSettled(Array.from({ length: 2000 }, (_, at) => book.find(`t${at}`, false, strangerAt(at))));
  await settle();
  assert.equal(state.atOnce, 24);
  state.isHeld = false;
  for (const go of state.held.splice(0)) go();
  const answers = await all;
  assert.equal(state.most, 24);
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 24 + 512);
  assert.equal(state.asked.length, 24 + 512);
});

test('of one address a few tokens are asked for at once, and a few wait', async () => {
  const { book, state } = openBook(null);
  state.isHeld = true;
  const all = Promise.allSettled(Array.from({ length: 2000 }, (_, at) => book.find(`t${at}`)));
  await settle();
  assert.equal(state.atOnce, 8);
  state.isHeld = false;
  for (const go of state.held.splice(0)) go();
  const answers = await all;
  assert.equal(state.most, 8);
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 8 + 128);
});

/** A Keystone that knows `fresh...` and none of what addresses invent, each with `count` under way all the time; it answers one question when it is told to. */
async function floodedBook(t: TestContext, addresses: number, count: number) {
  const { book, state } = openBook(null);
  state.isHeld = true;
  const flood = { isOver: false, invented: 0 };
  const invent = async (address: string): Promise<void> => {
    while (!flood.isOver) {
      flood.invented += 1;
      await book.find(`invented${flood.invented}`, false, () => address).catch(() => undefined);
      await settle();
    }
  };
  const loops = Array.from({ length: addresses * count }, (_, at) => invent(`198.51.100.${at % addresses}`));
  await settle();
  const answerOne = async (): Promise<void> => {
    state.held.shift()?.();
    await settle();
  };
  const fresh = Array.from({ length: 5 }, (_, at) => `fresh${at}`);
  for (const token of fresh) state.answers.set(token, [INFO]);
  t.after(async () => {
    flood.isOver = true;
    state.isHeld = false;
    for (const go of state.held.splice(0)) go();
    await Promise.all(loops);
  });
  const findFresh = (): Promise<unknown[]> =>
    Promise.all(fresh.map((token) => book.find(token, false, () => '203.0.113.1')));
  const askedOfFresh = (): number => state.tokens.filter((token) => token.startsWith('fresh')).length;
  return { answerOne, findFresh, askedOfFresh };
}

test('an address that sends invented tokens takes no turn of another’s', async (t) => {
  const { answerOne, findFresh, askedOfFresh } = await floodedBook(t, 1, 150);
  const first = findFresh();
  await settle();
  assert.equal(askedOfFresh(), 5, 'before anything is known of the address');
  for (let n = 0; n < 20; n += 1) await answerOne();
  assert.ok((await first).every((one) => one !== null));
});

test('addresses that send invented tokens come after one that does not', async (t) => {
  const { answerOne, findFresh, askedOfFresh } = await floodedBook(t, 200, 2);
  // Each has been told once that it knows none.
  for (let n = 0; n < 250; n += 1) await answerOne();
  const found = findFresh();
  await settle();
  assert.equal(askedOfFresh(), 5);
  for (let n = 0; n < 30; n += 1) await answerOne();
  assert.ok((await found).every((one) => one !== null));
});

test('turns go round between addresses of which nothing is known yet', async (t) => {
  const { answerOne, findFresh } = await floodedBook(t, 200, 2);
  const found = findFresh();
  let isFound = false;
  void found.then(() => {
    isFound = true;
  });
  let turns = 0;
  for (; !isFound && turns < 1000; turns += 1) await answerOne();
  assert.ok(turns <= 230, `after ${turns} turns`);
  assert.ok((await found).every((one) => one !== null));
});

/** A book that knows `count` tokens, all stale, with as many strangers’ before it as find a place, and none that Keystone answers. */
async function besiegedBook(count: number, waitMs?: number) {
  const { book, state } = openBook(INFO, waitMs);
  for (let at = 0; at < count; at += 1) await book.find(`known${at}`);
  state.nowMs = 61_000;
  state.isHeld = true;
  const strangers = Promise.allSettled(
    Array.from({ length: 2000 }, (_, at) => book.find(`stranger${at}`, false, strangerAt(at))),
  );
  await settle();
  const letGo = async (): Promise<void> => {
    state.isHeld = false;
    for (const go of state.held.splice(0)) go();
    await strangers;
  };
  return { book, state, letGo };
}

test('strangers do not put off that a token that was good is asked for anew', async () => {
  const { book, state, letGo } = await besiegedBook(1);
  state.tokens.length = 0;
  const found = book.find('known0');
  await settle();
  assert.deepEqual(state.tokens, ['known0']);
  state.answers.set('known0', [null]);
  state.held.at(-1)?.();
  assert.equal(await found, null);
  await letGo();
});

test('tokens that were good are asked for before those that wait and were not', async () => {
  const { book, state, letGo } = await besiegedBook(20);
  state.tokens.length = 0;
  const all = Array.from({ length: 20 }, (_, at) => book.find(`known${at}`));
  await settle();
  for (let at = 0; at < 12; at += 1) state.held.shift()?.();
  await settle();
  assert.deepEqual(
    state.tokens,
    Array.from({ length: 20 }, (_, at) => `known${at}`),
  );
  await letGo();
  assert.ok((await Promise.all(all)).every((one) => one !== null));
});

test('a token whose turn does not come goes on for as long again as it was fresh, and not further', async () => {
  const { book, state, letGo } = await besiegedBook(40, 5);
  const all = Promise.allSettled(Array.from({ length: 40 }, (_, at) => book.find(`known${at}`)));
  await settle();
  assert.equal(state.atOnce, 32);
  // Eight wait for Keystone; the others have no turn.
  assert.ok(await book.find('known39'));
  for (const at of [70_000, 90_000, 119_000]) {
    state.nowMs = at;
    assert.ok(await book.find('known39'), String(at));
  }
  // While Keystone says nothing at all, a token goes on. What was asked beside it has no turn.
  await new Promise((resolve) => setTimeout(resolve, 50));
  // Now Keystone answers, and another takes the place.
  state.nowMs = 135_000;
  state.held.splice(24, 1)[0]?.();
  await settle();
  const other = book.find('known38');
  await settle();
  assert.equal(state.atOnce, 32);
  await assert.rejects(book.find('known39'), { name: 'TooManyTokensError' });
  await letGo();
  assert.ok(await book.find('known39'));
  assert.ok(await other);
  await all;
});

test('known tokens leave a few places to those of new logins', async () => {
  const { book, state, letGo } = await besiegedBook(60);
  const all = Promise.all(Array.from({ length: 60 }, (_, at) => book.find(`known${at}`)));
  await settle();
  // Whoever leaves, of the strangers that have waited some get their turn.
  for (let n = 0; n < 40; n += 1) {
    state.held.shift()?.();
    await settle();
  }
  const strangers = state.tokens.filter((token) => token.startsWith('stranger')).length;
  assert.ok(strangers > 24, `${strangers} strangers were asked for`);
  assert.equal(state.atOnce, 32);
  await letGo();
  await all;
});

test('a token that a service vouches for is no stranger’s, and goes on like others when it has no answer', async () => {
  const { book, state } = openBook(INFO, 5);
  await book.find('over');
  state.nowMs = 700_000;
  state.isHeld = true;
  const strangers = Promise.allSettled(
    Array.from({ length: 2000 }, (_, at) => book.find(`stranger${at}`, false, strangerAt(at))),
  );
  await settle();
  const vouched = book.find('over', true);
  await settle();
  assert.equal(state.tokens.at(-1), 'over');
  state.held.at(-1)?.();
  assert.ok(await vouched);
  state.isHeld = false;
  for (const go of state.held.splice(0)) go();
  await strangers;
  state.answer = AWAY;
  state.nowMs = 770_000;
  assert.ok(await book.find('over', true), 'Keystone is away');
});

test('what strangers ask in vain does not put off that a token that was good is asked for anew', async () => {
  const { book, state } = openBook();
  await book.find('known');
  state.answer = AWAY;
  state.answers.set('known', [null]);
  state.nowMs = 61_000;
  for (let at = 0; at < 100; at += 1) await assert.rejects(book.find(`stranger${at}`));
  assert.equal(await book.find('known'), null);
});

test('tokens that an event is about are asked for anew', async () => {
  const { book, state } = openBook();
  await book.find('t');
  book.revoke([{ audit_id: 'other', issued_before: new Date(1000).toISOString() }]);
  await book.find('t');
  assert.equal(state.asked.length, 1);
  book.revoke([{ audit_id: 'a', issued_before: new Date(1000).toISOString() }]);
  state.answer = AWAY;
  await assert.rejects(book.find('t'), { kind: 'away' });
  state.answer = null;
  assert.equal(await book.find('t'), null);
});

test('a token that an event is about is asked for anew when the answer was under way', async () => {
  const { book, state } = openBook();
  for (const isVouched of [false, true]) {
    for (const isKnown of [false, true]) {
      const name = `${isVouched} ${isKnown}`.replace(' ', '-');
      state.nowMs = 0;
      state.answer = isVouched ? { ...INFO, expiresAtMs: -1 } : INFO;
      if (isKnown) await book.find(name, isVouched);
      state.nowMs = 61_000;
      state.isHeld = true;
      const asked = state.asked.length;
      const found = book.find(name, isVouched);
      await settle();
      const issued_before = new Date(1000).toISOString();
      book.revoke([{ audit_id: 'other', issued_before }]);
      book.revoke([{ audit_id: 'a', issued_before }]);
      // What it says first it had found before that.
      state.answers.set(name, [state.answer, null]);
      state.isHeld = false;
      state.held.shift()?.();
      await settle();
      assert.equal(state.asked.length, asked + 2, name);
      assert.equal(await found, null, name);
      assert.equal(await book.find(name, isVouched), null, name);
    }
  }
});

test('an answer under way counts where events are about other tokens', async () => {
  const { book, state } = openBook();
  state.isHeld = true;
  const found = book.find('t');
  await settle();
  book.revoke([{ audit_id: 'other', issued_before: new Date(1000).toISOString() }]);
  state.held.shift()?.();
  assert.ok(await found);
  assert.equal(state.asked.length, 1);
});

test('a Keystone that hangs makes a known token wait once and shortly, and is asked beside its requests from then on', async () => {
  const { book, state } = openBook(INFO, 60_000, 1);
  const found = await book.find('t');
  await book.find('rare');
  state.answer = AWAY;
  state.isHeld = true;
  state.nowMs = 61_000;
  assert.equal(await book.find('t'), found);
  assert.equal(state.asked.length, 3);
  // From now on nobody waits: with patience a minute long this would not end.
  const { book: patient, state: other } = openBook();
  const known = [await patient.find('t'), await patient.find('rare')];
  other.isHeld = true;
  other.answer = AWAY;
  other.nowMs = 59_000;
  assert.equal(await patient.find('t'), known[0], 'asked for beside it');
  for (let second = 60; second < 120; second += 1) {
    other.nowMs = second * 1000;
    assert.equal(await patient.find('t'), known[0], `${second} s`);
    assert.equal(await patient.find('rare'), known[1], `${second} s`);
    // It fails after five seconds.
    if (second % 5 === 0) for (const go of other.held.splice(0)) go();
    await settle();
  }
  assert.ok(other.asked.length < 40, `${other.asked.length} questions`);
  other.nowMs = 600_000;
  assert.equal(await patient.find('t'), null, 'it is over');
  for (const go of [...state.held, ...other.held]) go();
});

test('when a Keystone that hung says something, what is stale waits for its word again', async () => {
  const { book, state } = openBook();
  for (const token of ['t', 'revoked']) await book.find(token);
  state.isHeld = true;
  state.nowMs = 59_000;
  await book.find('t');
  state.nowMs = 61_000;
  assert.ok(await book.find('t'));
  state.isHeld = false;
  for (const go of state.held.splice(0)) go();
  await settle();
  state.answers.set('revoked', [null]);
  assert.equal(await book.find('revoked'), null);
});

test('what Keystone says later than a request waits counts for the next one', async () => {
  const { book, state } = openBook(INFO, 60_000, 1);
  await book.find('t');
  state.isHeld = true;
  state.nowMs = 61_000;
  assert.ok(await book.find('t'));
  state.answer = null;
  for (const go of state.held.splice(0)) go();
  await settle();
  assert.equal(await book.find('t'), null);
});

test('a token that is revoked while a question about it hangs does not go on', async () => {
  const { book, state } = openBook(INFO, 60_000, 1);
  await book.find('t');
  state.isHeld = true;
  state.nowMs = 61_000;
  const found = book.find('t');
  book.revoke([{ audit_id: 'a', issued_before: new Date(1000).toISOString() }]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  state.answer = null;
  state.isHeld = false;
  for (const go of state.held.splice(0)) go();
  assert.equal(await found, null);
});
