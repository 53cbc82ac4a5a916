import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Logger, silentLogger } from '@cable/kit';
import { bucketOf } from '@cable/model';
import { fakeHash } from '../testing/fake-server.ts';
import { HostState } from './host-state.ts';
import type { SliceWrite } from './slice-plan.ts';
import type { StateUpdate } from './slice-reader.ts';
import { SliceState } from './slice-state.ts';
import type { ContentLine, Held } from './staged-lines.ts';
import { NO_STANDING, type Standing } from './state-files.ts';
import { memoryState } from './testing/memory-state.ts';
import { seededRandom } from './testing/random.ts';

const HOST = 'host:h1';
const OTHERS = ['network:a', 'endpoints:a', 'policy:p', 'group:g', 'router:r', 'moon:x'];
const HISTORY = { cluster: 'c', mark: '1-m' };

function held(key: string, item: string | null, value: object): Held {
  return { hash: fakeHash(key, item, value), value };
}

/** A disk that never fails, and what it holds. */
class FakeDisk {
  readonly entries = new Map<string, SliceWrite>();
  standing: Standing = NO_STANDING;
  saves = 0;
  readonly status = { ok: true, reason: null, remedy: null, since: null };
  readonly agentId = 'agent-1';
  readonly previousSession = null;

  async save(writes: readonly SliceWrite[], standing: Standing): Promise<void> {
    this.saves += 1;
    this.standing = standing;
    for (const write of writes) {
      const name = JSON.stringify([write.key, write.item]);
      if (write.held === null) this.entries.delete(name);
      else this.entries.set(name, write);
    }
  }

  note(standing: Standing): void {
    this.standing = standing;
  }

  async saveSession(): Promise<void> {}
}

/** The state as an agent finds it at its start. */
function openOn(disk: FakeDisk, log: Logger = silentLogger()): { state: HostState; slices: SliceState } {
  const slices = new SliceState();
  for (const { key, item, held: one } of disk.entries.values()) if (one !== null) slices.load(key, item, one);
  const now = (): Date => new Date(0);
  return { slices, state: new HostState({ host: 'h1', slices, standing: disk.standing, disk, log, now }) };
}

/** One header (item `''`) or item as it must be. */
type Entry = { readonly value: string; readonly kept: boolean };

/** Whether the line voids what has this name. */
function isVoided(
  name: string,
  line: Extract<ContentLine, { readonly type: 'reset' | 'reset-buckets' | 'drop' }>,
): boolean {
  if (!name.startsWith(`${line.key} `)) return false;
  const item = name.slice(line.key.length + 1);
  return line.type !== 'reset-buckets' || (item !== '' && line.buckets.numbers.has(bucketOf(item, line.buckets.of)));
}

/** What a host must hold, worked out entry by entry and without haste. */
class Model {
  entries = new Map<string, Entry>();
  removal: { before: number } | null = null;

  /** Lines as one update. */
  complete(lines: readonly ContentLine[]): void {
    const next = new Map<string, Entry | 'deleted' | 'reset' | 'drop'>();
    for (const line of lines) {
      if (line.type === 'header' || line.type === 'put') {
        const item = line.type === 'put' ? line.item : '';
        next.set(`${line.key} ${item}`, { value: JSON.stringify(line.held.value), kept: false });
      } else if (line.type === 'delete') next.set(`${line.key} ${line.item}`, 'deleted');
      else {
        for (const name of new Set([...this.entries.keys(), ...next.keys()])) {
          if (!isVoided(name, line) || next.get(name) === 'deleted') continue;
          next.set(name, line.type === 'drop' ? 'drop' : 'reset');
        }
      }
    }
    const ports = [...this.entries].filter(([name]) => name.startsWith(`${HOST} `) && name !== `${HOST} `);
    const isVoid = (name: string): boolean => next.get(name) === 'reset' || next.get(name) === 'drop';
    const newlyAbsent = ports.filter(([name, one]) => !one.kept && isVoid(name)).length;
    const deleted = ports.filter(([name, one]) => one.kept && next.get(name) === 'deleted').length;
    const stillKept = ports.filter(([name, one]) => one.kept && (!next.has(name) || isVoid(name))).length;
    const live = ports.filter(([, one]) => !one.kept).length;
    const before = this.removal === null ? live : this.removal.before + newlyAbsent - deleted;
    const absent = stillKept + newlyAbsent;
    this.removal = absent >= 10 && absent * 2 > before ? { before } : null;
    const stays = (name: string, why: 'reset' | 'drop'): boolean =>
      this.removal !== null &&
      (newlyAbsent > 0
        ? why === 'drop' || /^(host|endpoints|group):/.test(name)
        : why === 'drop' && !name.startsWith('router:'));
    for (const [name, said] of next) {
      const old = this.entries.get(name);
      if (said === 'deleted') this.entries.delete(name);
      else if (typeof said === 'object') this.entries.set(name, said);
      else if (old !== undefined && !old.kept) {
        if (stays(name, said)) this.entries.set(name, { ...old, kept: true });
        else this.entries.delete(name);
      }
    }
    if (this.removal === null) this.release();
  }

  release(): void {
    this.removal = null;
    for (const [name, one] of this.entries) if (one.kept) this.entries.delete(name);
  }

  /** As the server counts: without what it left out. */
  digest(): number {
    let digest = 0;
    for (const [name, { value, kept }] of this.entries) {
      const [key = '', item = ''] = name.split(' ');
      if (!kept) digest = (digest + fakeHash(key, item === '' ? null : item, JSON.parse(value) as object)) % 2 ** 48;
    }
    return digest;
  }

  keptPorts(): number {
    return [...this.entries].filter(([name, one]) => one.kept && name.startsWith(`${HOST} `) && name !== `${HOST} `)
      .length;
  }
}

function contentOf(slices: SliceState): Map<string, Entry> {
  return new Map(
    Array.from(slices.all(), ({ key, item, held: one }) => [
      `${key} ${item ?? ''}`,
      { value: JSON.stringify(one?.value), kept: one?.kept === true },
    ]),
  );
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What a server may say in one update: ports that come and go one by one, and slices that lose most, or all, at once. */
function randomLines(random: () => number): ContentLine[] {
  const pick = (count: number): number => Math.floor(random() * count);
  const value = (): object => ({ v: pick(3) });
  const put = (key: string, item: string, what = value()): ContentLine => ({
    type: 'put',
    key,
    item,
    held: held(key, item, what),
  });
  const whole = (key: string, items: number): ContentLine[] => {
    const header = value();
    return [
      { type: 'reset', key, deliberate: false },
      { type: 'header', key, held: held(key, null, header) },
      ...Array.from({ length: items }, (_, i) => put(key, `i${(i + pick(2)) % 24}`)),
    ];
  };
  const someBuckets = (key: string, items: number): ContentLine[] => {
    const of = 1 + pick(8);
    const buckets = { of, numbers: new Set(Array.from({ length: 1 + pick(of) }, () => pick(of))) };
    const inBuckets = Array.from({ length: items }, (_, i) => `i${i}`).filter((item) =>
      buckets.numbers.has(bucketOf(item, of)),
    );
    const header = value();
    return [
      { type: 'reset-buckets', key, buckets },
      { type: 'header', key, held: held(key, null, header) },
      ...inBuckets.filter(() => random() < 0.4).map((item) => put(key, item)),
    ];
  };
  const lines: ContentLine[] = [];
  const kind = random();
  if (kind < 0.2) lines.push(...whole(HOST, 24));
  else if (kind < 0.45) lines.push(...whole(HOST, pick(12)));
  else if (kind < 0.5) lines.push({ type: 'drop', key: HOST });
  else if (kind < 0.7) lines.push(...someBuckets(HOST, 24));
  for (let i = pick(6); i > 0; i -= 1) lines.push(put(HOST, `i${pick(24)}`));
  for (let i = pick(4); i > 0; i -= 1) lines.push({ type: 'delete', key: HOST, item: `i${pick(24)}` });
  for (const key of OTHERS) {
    const what = random();
    if (what < 0.12) lines.push({ type: 'drop', key });
    else if (what < 0.3) lines.push(...whole(key, pick(8)));
    else if (what < 0.4) lines.push({ type: 'delete', key, item: `i${pick(8)}` });
    else if (what < 0.6) lines.push(put(key, `i${pick(8)}`));
    else if (what < 0.75) lines.push(...someBuckets(key, 8));
  }
  return lines;
}

test('whatever a server says: what it leaves out with most ports is kept, all else counts; also over restarts and confirmations', async () => {
  const seen = { held: 0, ended: 0, confirmed: 0, restarted: 0 };
  for (let seed = 1; seed <= 80; seed += 1) {
    const random = seededRandom(seed);
    const disk = new FakeDisk();
    const model = new Model();
    let { state, slices } = openOn(disk);
    const updates: StateUpdate[] = [];
    state.follow((update) => updates.push(update));
    for (let revision = 1; revision <= 40; revision += 1) {
      const where = `seed ${seed} revision ${revision}`;
      if (random() < 0.1) {
        ({ state, slices } = openOn(disk));
        state.follow((update) => updates.push(update));
        seen.restarted += model.removal === null ? 0 : 1;
      }
      const shown = contentOf(slices);
      const wasHeld = model.removal !== null;
      if (random() < 0.08) {
        assert.equal(await state.confirmRemoval().then((answer) => answer?.absent ?? 0), model.keptPorts(), where);
        seen.confirmed += wasHeld ? 1 : 0;
        model.release();
      } else {
        const lines = randomLines(random);
        for (const line of lines) state.take(line);
        model.complete(lines);
        const outcome = await state.complete({ revision, history: HISTORY, digest: model.digest() });
        assert.equal(outcome.kind, 'applied', where);
        seen.held += !wasHeld && model.removal !== null ? 1 : 0;
        seen.ended += wasHeld && model.removal === null ? 1 : 0;
      }
      assert.deepEqual(sorted(contentOf(slices)), sorted(model.entries), where);
      const digest = Object.values(state.digests()).reduce((a, b) => (a + b) % 2 ** 48, 0);
      assert.equal(digest, model.digest(), where);
      const keys = [...model.entries].flatMap(([name, one]) => (one.kept ? [] : [name.split(' ')[0] ?? '']));
      assert.deepEqual(Object.keys(state.digests()).sort(), [...new Set(keys)].sort(), where);
      assert.deepEqual(
        [state.heldRemoval?.before, state.heldRemoval?.absent],
        model.removal === null ? [undefined, undefined] : [model.removal.before, model.keptPorts()],
        where,
      );
      const now = contentOf(slices);
      const changed = [...new Set([...shown.keys(), ...now.keys()])].filter(
        (name) => !name.startsWith('moon:') && shown.get(name)?.value !== now.get(name)?.value,
      );
      const told = updates.splice(0).flatMap((update) => update.changes);
      assert.deepEqual(told.map(({ key, item }) => `${key} ${item ?? ''}`).sort(), changed.sort(), where);
    }
  }
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 20, `${what}: ${count}`);
});

test('a revocation and a new port are not held up by ports that are kept, and are on disk with them', async () => {
  const errors: object[] = [];
  const log = { ...silentLogger(), error: (fields: object) => void errors.push(fields) };
  const disk = new FakeDisk();
  const { state, slices } = openOn(disk, log);
  const value = {};
  const put = (key: string, item: string): void => state.take({ type: 'put', key, item, held: held(key, item, value) });
  for (let n = 0; n < 20; n += 1) put(HOST, `port${n}`);
  put('policy:live', 'rule');
  put('policy:gone', 'rule');
  await state.complete({ revision: 1, history: HISTORY });
  state.take({ type: 'reset', key: HOST, deliberate: false });
  put(HOST, 'port0');
  put(HOST, 'new');
  state.take({ type: 'drop', key: 'policy:gone' });
  state.take({ type: 'delete', key: 'policy:live', item: 'rule' });
  assert.equal((await state.complete({ revision: 2, history: HISTORY })).kind, 'applied');
  assert.deepEqual(state.heldRemoval, { absent: 19, before: 20, since: new Date(0).toISOString() });
  assert.deepEqual([slices.size(HOST), slices.size('policy:gone'), slices.size('policy:live')], [21, 1, 0]);
  assert.deepEqual([disk.standing.position.revision, disk.entries.size], [2, 22]);
  assert.equal(Object.keys(state.digests()).join(), HOST);
  assert.equal(errors.length, 1);
  const again = openOn(disk);
  assert.deepEqual(again.state.heldRemoval, state.heldRemoval);
  state.take({ type: 'put', key: HOST, item: 'newer', held: held(HOST, 'newer', value) });
  await state.complete({ revision: 3, history: HISTORY });
  assert.deepEqual([state.heldRemoval?.before, slices.size(HOST), errors.length], [20, 22, 1]);
});

test('ports that are deleted and deliberate resets are no absence; what is kept outlasts a deliberate reset', async () => {
  const state = memoryState();
  const fill = (count: number, first = 0): void => {
    for (let n = first; n < first + count; n += 1) {
      state.take({ type: 'put', key: HOST, item: `port${n}`, held: held(HOST, `port${n}`, {}) });
    }
  };
  fill(30);
  await state.complete({ revision: 1, history: null });
  for (let n = 0; n < 15; n += 1) state.take({ type: 'delete', key: HOST, item: `port${n}` });
  state.take({ type: 'reset', key: HOST, deliberate: false });
  fill(15, 15);
  await state.complete({ revision: 2, history: null });
  assert.deepEqual([state.slices.size(HOST), state.heldRemoval], [15, null], 'what was deleted before the reset');
  state.take({ type: 'reset', key: HOST, deliberate: false });
  fill(3);
  await state.complete({ revision: 3, history: null });
  assert.deepEqual([state.slices.size(HOST), state.heldRemoval?.absent], [18, 15]);
  state.take({ type: 'reset', key: HOST, deliberate: true });
  fill(1);
  await state.complete({ revision: 4, history: null });
  assert.deepEqual([state.slices.size(HOST), state.heldRemoval?.absent], [16, 15]);
});

test('a revision without content is no commit, but for one of another store; the number of the content stands still', async () => {
  const disk = new FakeDisk();
  const { state } = openOn(disk);
  const commits: number[] = [];
  state.follow((update) => commits.push(update.commit));
  state.take({ type: 'put', key: HOST, item: 'a', held: held(HOST, 'a', {}) });
  await state.complete({ revision: 1, history: HISTORY });
  for (let revision = 2; revision <= 50; revision += 1) await state.complete({ revision, history: HISTORY });
  assert.deepEqual([disk.saves, state.position.revision, commits.at(-1)], [1, 50, 1]);
  await state.forgetHistory();
  assert.deepEqual([disk.saves, disk.standing.position.history], [2, null]);
  await state.complete({ revision: 3, history: { cluster: 'other', mark: '1-x' } });
  assert.deepEqual([disk.saves, commits.at(-1)], [3, 1]);
});

test('a host that holds nothing, or gave its history up, may follow any store', async () => {
  const state = memoryState();
  assert.deepEqual(state.followed, { since: 0, history: null });
  state.take({ type: 'put', key: HOST, item: 'a', held: held(HOST, 'a', {}) });
  await state.complete({ revision: 7, history: HISTORY });
  assert.deepEqual(state.followed, { since: 7, history: HISTORY });
  state.take({ type: 'delete', key: HOST, item: 'a' });
  await state.complete({ revision: 8, history: HISTORY });
  assert.deepEqual(state.followed, { since: 0, history: null });
  state.take({ type: 'put', key: HOST, item: 'a', held: held(HOST, 'a', {}) });
  await state.complete({ revision: 9, history: HISTORY });
  await state.forgetHistory();
  assert.deepEqual(state.followed, { since: 0, history: null });
});
