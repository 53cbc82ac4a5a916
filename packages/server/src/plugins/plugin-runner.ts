/**
 * Tells one plug-in what is to be: each object that it is to have, whole and as it is now, until it has taken it, in the order of the object's revisions; and asks it every
 * few seconds how it is. The server that has the lease does so; what was told stands in the store, so that another goes on where this one stops.
 *
 *   table changes ─> marked ─> due? (wanted, told) ─> create | update | delete ─> told
 *   health ─> Ready | Degraded;  another instance, or back again ─> sync ─> what it lacks is told anew
 */

import { type Logger, type Loop, startLoop, TOO_LARGE, TransportError } from '@cable/kit';
import type { AnyObject, Plugin } from '@cable/model';
import {
  createPluginClient,
  isFields,
  type PluginAnswer,
  type PluginClient,
  PluginUnreachable,
  parseLimits,
  parseUsage,
  RESOURCES,
  type ResourceName,
  textOr,
} from '@cable/plugin';
import type { Compare, Op, Store } from '@cable/store';
import { transact } from '../engine/commit.ts';
import type { EngineDeps } from '../engine/context.ts';
import { lookAt } from '../engine/plan.ts';
import { heardKey, objectKey, tellerKey, toldKey } from '../keys.ts';
import { Teller } from '../nova/teller.ts';
import type { ToldRow } from '../rows.ts';
import type { TableChange } from '../tables.ts';
import { backendOf } from './backends.ts';
import { hasFailedProbe, serverAsked, testPlugin, writePlugin } from './registering.ts';
import { toldObject } from './told-objects.ts';
import { isWanted, listedOf, type Ref, touchedBy, wantedOf } from './wanted.ts';

/** A call's time: less than the lease is known to hold. */
const CALL_MS = 8000;
const HEALTH_MS = 4000;

/** How often it is asked how it is, and after how long without a good answer it is Degraded. */
export type PluginTimes = { readonly beatMs: number; readonly lostMs: number };
const TIMES: PluginTimes = { beatMs: 5000, lostMs: 15_000 };

/** Hooks under way at a time, and how often what is known of it is written: what has not changed, and what has. */
const AT_ONCE = 8;
const HEARD_EVERY_MS = 15_000;
const HEARD_CHANGED_MS = 1000;

/** An object that it does not take is told again after this, twice as long each time. */
const AGAIN_MS = 1000;
const AGAIN_MAX_MS = 60_000;

/** How long it may hold a request for reports. */
const REPORTS_WAIT_SECONDS = 5;

export type PluginRunnerDeps = Omit<EngineDeps, 'store'> & {
  readonly store: Pick<Store, 'get' | 'txn' | 'listPages' | 'grantLease' | 'keepAlive' | 'revokeLease'>;
  /** Id of this server. */
  readonly server: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Default: every 5 s, and 15 s. */
  readonly times?: PluginTimes;
};

/** `since`: when it was refused last; `at`: when it is told again. */
type Waiting = {
  readonly ref: Ref;
  readonly tries: number;
  readonly since: number;
  readonly at: number;
  readonly reason: string;
};

export class PluginRunner {
  readonly #deps: PluginRunnerDeps;
  readonly #name: string;
  readonly #teller: Teller;
  readonly #telling: Loop;
  readonly #beating: Loop;
  readonly #reporting: Loop;
  readonly #noting: Loop;
  readonly #marked = new Map<string, Ref>();
  /** What it lacks, or has and is not to have, whatever it was told. */
  readonly #forced = new Set<string>();
  readonly #waiting = new Map<string, Waiting>();
  #client: { readonly of: Plugin; readonly client: PluginClient } | undefined;
  #isSynced = false;
  #instance = '';
  #heardAtMs: number;
  #wroteAtMs = Number.NEGATIVE_INFINITY;
  #wrote = '';
  #heardAt = '';
  /** A heartbeat was missed since everything was compared. */
  #hasMissed = false;
  #usage: Readonly<Record<string, number>> = {};
  #problem = '';
  #reportsFrom = 0;
  #hasReports = true;

  constructor(deps: PluginRunnerDeps, name: string) {
    this.#deps = deps;
    this.#name = name;
    this.#heardAtMs = deps.monotonicMs();
    const { log, signal, tables, times = TIMES } = deps;
    const loop = { log, signal };
    this.#telling = startLoop({
      ...{ ...loop, name: `plugin ${name}`, everyMs: AGAIN_MS, backoff: { minMs: 200, maxMs: 5000 } },
      run: () => this.#tell(),
    });
    this.#beating = startLoop({
      ...{ ...loop, name: `plugin ${name} health`, everyMs: times.beatMs },
      run: () => this.#beat(),
    });
    this.#reporting = startLoop({
      ...{ ...loop, name: `plugin ${name} reports`, everyMs: AGAIN_MS, backoff: { minMs: 500, maxMs: 5000 } },
      run: () => this.#report(),
    });
    this.#noting = startLoop({
      ...{ ...loop, name: `plugin ${name} noting`, everyMs: HEARD_CHANGED_MS },
      run: () => this.#writeHeard(),
    });
    const stop = tables.onChange((_revision, changes) => this.#note(changes));
    signal.addEventListener('abort', stop, { once: true });
    this.#teller = new Teller({ ...deps, whom: `plugin-${name}`, onHeld: () => this.#held() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    const loops = [this.#telling, this.#beating, this.#reporting, this.#noting].map((loop) => loop.done);
    return Promise.all([...loops, this.#teller.done]).then(() => this.#client?.client.close());
  }

  #held(): void {
    if (this.#isSynced || this.#deps.signal.aborted) return;
    this.#beating.trigger();
  }

  #row(): Plugin | undefined {
    return this.#deps.tables.of('plugin').get(this.#name);
  }

  #note(changes: readonly TableChange[]): void {
    const { tables } = this.#deps;
    if (changes.some(({ type, id }) => type === 'plugin' && id === this.#name)) this.#beating.trigger();
    if (!this.#teller.isHeld) return;
    for (const change of changes) for (const ref of touchedBy(tables, change)) this.#mark(ref);
    if (this.#marked.size > 0) this.#telling.trigger();
  }

  #mark(ref: Ref): void {
    this.#marked.set(keyOf(ref), ref);
  }

  #ask(verb: string, body: object, timeoutMs: number): Promise<PluginAnswer> {
    const row = this.#row();
    if (row === undefined) throw new PluginUnreachable('it is not registered any more');
    const known = this.#client;
    const isSame = (['endpoint', 'secret', 'authorities'] as const).every((name) => known?.of[name] === row[name]);
    if (!isSame || known === undefined) {
      known?.client.close();
      this.#client = { of: row, client: createPluginClient(row) };
    }
    const { client } = this.#client as { readonly client: PluginClient };
    return client.call(verb, body, { timeoutMs, signal: this.#deps.signal });
  }

  async #beat(): Promise<void> {
    const { signal, monotonicMs } = this.#deps;
    const row = this.#row();
    if (row === undefined) return;
    if (!this.#teller.isHeld) {
      // Who becomes the one gives it time to answer, and looks at everything.
      this.#isSynced = false;
      this.#heardAtMs = monotonicMs();
      return;
    }
    if (row.state === 'Registering') await testPlugin(this.#deps, row, { signal });
    else if (row.state !== 'Refused') await this.#askHealth(row);
    this.#telling.trigger();
  }

  async #askHealth(row: Plugin): Promise<void> {
    const { monotonicMs, now, signal, times = TIMES } = this.#deps;
    const problem = await this.#healthProblem();
    const before = this.#problem;
    this.#problem = problem;
    if (problem === '') {
      this.#heardAtMs = monotonicMs();
      this.#heardAt = now().toISOString();
      // What it missed, and what it has lost, shows when all is compared.
      if (this.#hasMissed) this.#isSynced = false;
      this.#hasMissed = false;
      if (row.state === 'Degraded' && !hasFailedProbe(row))
        await writePlugin(this.#deps, signal, row, ({ state }) =>
          state === 'Degraded' ? { state: 'Ready', problem: null } : {},
        );
      return;
    }
    if (before === '') this.#deps.log.warn({ plugin: this.#name, problem }, 'a plug-in is not well');
    if (row.state !== 'Ready' || monotonicMs() - this.#heardAtMs < times.lostMs) return;
    await writePlugin(this.#deps, signal, row, ({ state }) =>
      state === 'Ready' ? { state: 'Degraded', problem: problem.slice(0, 500) } : {},
    );
  }

  /** Empty: it is well. One that answers at all is compared with when it began anew. */
  async #healthProblem(): Promise<string> {
    try {
      const { status, body, problem } = await this.#ask('health', {}, HEALTH_MS);
      if (status >= 300) throw new PluginUnreachable(`health: ${problem}`);
      const said = isFields(body) ? body : {};
      const instance = textOr(said['instance'], '');
      if (instance !== this.#instance) {
        this.#isSynced = false;
        this.#reportsFrom = 0;
      }
      this.#instance = instance;
      const usage = await this.#ask('usage', {}, HEALTH_MS);
      if (usage.status < 300 && isFields(usage.body)) this.#usage = parseUsage(usage.body['used']);
      await this.#askLimits();
      return said['ok'] === true ? '' : `it says that it is not well: ${textOr(said['reason'], 'without a reason')}`;
    } catch (err) {
      if (!(err instanceof PluginUnreachable)) throw err;
      this.#hasMissed = true;
      return err.message;
    }
  }

  /** A limit counts from when it is said. */
  async #askLimits(): Promise<void> {
    const { status, body } = await this.#ask('limits', {}, HEALTH_MS);
    const row = this.#row();
    if (row === undefined || status >= 300 || !isFields(body) || !isFields(body['limits'])) return;
    const limits = parseLimits(body['limits']);
    if (JSON.stringify(limits) === JSON.stringify(row.limits)) return;
    await writePlugin(this.#deps, this.#deps.signal, row, () => ({ limits }));
  }

  /** What is known of it, when that has changed, and now and then. */
  async #writeHeard(): Promise<void> {
    const { store, monotonicMs, server, tables } = this.#deps;
    if (!this.#teller.isHeld || this.#row() === undefined) return;
    const refusal = this.#refusal();
    const undelivered = new Set([...this.#marked.keys(), ...this.#waiting.keys()]).size;
    const said = JSON.stringify([undelivered, refusal]);
    if (monotonicMs() - this.#wroteAtMs < HEARD_EVERY_MS && said === this.#wrote) return;
    const at = this.#heardAt || (tables.of('heard').get(this.#name)?.at ?? '');
    const value = JSON.stringify({ at, usage: this.#usage, undelivered, ...(refusal === '' ? {} : { refusal }) });
    const { ok } = await store.txn(this.#mayWrite(server), [{ kind: 'put', key: heardKey(this.#name), value }]);
    if (!ok) return this.#teller.doubt();
    this.#wroteAtMs = monotonicMs();
    this.#wrote = said;
  }

  /** What it does not take, and why: the object that it refused last. */
  #refusal(): string {
    let last: Waiting | undefined;
    for (const one of this.#waiting.values()) if (last === undefined || one.since > last.since) last = one;
    if (last === undefined) return '';
    const { ref, reason } = last;
    return `it does not take ${ref.resource} ${ref.id}: ${reason}`.slice(0, 500);
  }

  /** This server is the one, and the plug-in is there: what is known of it goes with it. */
  #mayWrite(server: string): Compare[] {
    return [
      { kind: 'value', key: tellerKey(`plugin-${this.#name}`), value: JSON.stringify({ server }) },
      { kind: 'exists', key: objectKey('plugin', this.#name) },
    ];
  }

  async #tell(): Promise<void> {
    const { signal, monotonicMs } = this.#deps;
    const row = this.#row();
    const backend = row === undefined ? null : backendOf(row);
    if (!this.#teller.isHeld || backend === null || row?.state === 'Refused') {
      this.#marked.clear();
      this.#waiting.clear();
      this.#isSynced = false;
      return;
    }
    const resources = RESOURCES.filter((name) => backend.capabilities.resources[name] !== undefined);
    if (!this.#isSynced) await this.#sync(resources);
    for (const { ref, at } of this.#waiting.values()) if (at <= monotonicMs()) this.#mark(ref);
    while (this.#marked.size > 0 && this.#teller.isHeld && !signal.aborted) await this.#tellMarked(resources);
  }

  /** Compares wholes: what it lacks or has of before is told anew, what it alone has is to go. */
  async #sync(resources: readonly ResourceName[]): Promise<void> {
    const { tables } = this.#deps;
    this.#forced.clear();
    this.#waiting.clear();
    for (const resource of resources) {
      const objects = listedOf(tables, this.#name, resource);
      for (const id of await this.#differing(resource, objects)) {
        this.#forced.add(keyOf({ resource, id }));
        this.#mark({ resource, id });
      }
    }
    for (const ref of wantedOf(tables, this.#name)) this.#mark(ref);
    for (const { id } of tables.of('told').by('plugin', this.#name)) this.#mark(refOf(id));
    this.#isSynced = true;
  }

  async #differing(
    resource: ResourceName,
    objects: readonly { readonly id: string; readonly revision: number }[],
  ): Promise<readonly string[]> {
    try {
      const { status, body, problem } = await this.#ask('sync', { resource, objects }, CALL_MS);
      if (status >= 300) throw new PluginUnreachable(`sync: ${problem}`);
      const { missing, stale, unknown } = isFields(body) ? body : {};
      const ids = [missing, stale, unknown].flatMap((one) => (Array.isArray(one) ? (one as unknown[]) : []));
      return ids.filter((id): id is string => typeof id === 'string' && id.length <= 64);
    } catch (err) {
      // It lacks more than it may say: then it is told all.
      const isTooLarge = err instanceof PluginUnreachable && err.cause instanceof TransportError;
      if (isTooLarge && (err.cause as TransportError).code === TOO_LARGE) return objects.map(({ id }) => id);
      throw err;
    }
  }

  /** Deletes first, in the other order. What is not taken waits by itself and holds nothing else up. */
  async #tellMarked(resources: readonly ResourceName[]): Promise<void> {
    const { tables } = this.#deps;
    const all = [...this.#marked.values()].filter(({ resource }) => resources.includes(resource));
    this.#marked.clear();
    const isGone = (ref: Ref): boolean => !isWanted(tables, this.#name, ref);
    const rank = ({ resource }: Ref): number => RESOURCES.indexOf(resource);
    const gone = all.filter(isGone).sort((a, b) => rank(b) - rank(a));
    const there = all.filter((ref) => !isGone(ref)).sort((a, b) => rank(a) - rank(b));
    const queue = [...gone, ...there];
    while (queue.length > 0) {
      if (!this.#teller.isHeld || this.#deps.signal.aborted) return;
      const [first] = queue as [Ref, ...Ref[]];
      const isAlike = (ref: Ref): boolean => ref.resource === first.resource && isGone(ref) === isGone(first);
      const end = queue.findIndex((ref) => !isAlike(ref));
      const some = queue.splice(0, Math.min(AT_ONCE, end < 0 ? queue.length : end));
      try {
        await this.#tellSome(some);
      } catch (err) {
        for (const ref of [...some, ...queue]) this.#mark(ref);
        throw err;
      }
    }
  }

  async #tellSome(some: readonly Ref[]): Promise<void> {
    const outcomes = await Promise.allSettled(some.map((ref) => this.#tellOne(ref)));
    const done = outcomes.flatMap((one) => (one.status === 'fulfilled' && one.value !== undefined ? [one.value] : []));
    await this.#writeTold(done);
    for (const { ref, status } of done) if (status !== undefined) await this.#setStatus(ref.id, status);
    const failed = outcomes.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Undefined: nothing is due, or it did not take it. Throws when it does not answer. */
  async #tellOne(ref: Ref): Promise<Done | undefined> {
    const { tables } = this.#deps;
    const { resource, id } = ref;
    const key = keyOf(ref);
    const told = tables.of('told').get(`${this.#name}/${key}`);
    const toldAt = tables.modRevision('told', `${this.#name}/${key}`) ?? 0;
    const row = isWanted(tables, this.#name, ref) ? tables.any(resource).get(id) : undefined;
    const revision = tables.modRevision(resource, id) ?? 0;
    if (row === undefined) {
      if (told === undefined && !this.#forced.has(key)) return this.#forget(key);
      const answer = await this.#ask('delete', { resource, id, revision: told?.revision ?? 0 }, CALL_MS);
      return this.#taken(ref, answer) ? { ref, toldAt, revision: undefined, host: '', status: undefined } : undefined;
    }
    if (told?.revision === revision && !this.#forced.has(key)) return this.#forget(key);
    const object = toldObject(this.#deps, lookAt(this.#deps), resource, row);
    const host = resource === 'port' ? String(row['binding:host_id'] ?? '') : '';
    if (told !== undefined && told.host !== '' && told.host !== host)
      await this.#ask('unbind', { port: object, host: told.host }, CALL_MS);
    const verb = told === undefined ? 'create' : 'update';
    const answer = await this.#ask(verb, { resource, object, revision }, CALL_MS);
    if (!this.#taken(ref, answer)) return undefined;
    return { ref, toldAt, revision, host, status: resource === 'port' ? statusOf(answer.body) : undefined };
  }

  #forget(key: string): undefined {
    this.#waiting.delete(key);
    return undefined;
  }

  #taken(ref: Ref, { status, problem }: PluginAnswer): boolean {
    const key = keyOf(ref);
    if (status < 300) {
      this.#waiting.delete(key);
      return true;
    }
    const tries = (this.#waiting.get(key)?.tries ?? 0) + 1;
    const since = this.#deps.monotonicMs();
    const at = since + Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** tries);
    if (tries === 1) this.#deps.log.warn({ plugin: this.#name, ...ref, problem }, 'a plug-in does not take an object');
    this.#waiting.set(key, { ref, tries, since, at, reason: problem });
    return false;
  }

  async #writeTold(done: readonly Done[]): Promise<void> {
    if (done.length === 0) return;
    const { store, server, tables } = this.#deps;
    const compares = this.#mayWrite(server);
    const ops: Op[] = [];
    for (const { ref, toldAt, revision, host } of done) {
      const key = toldKey(this.#name, ref.resource, ref.id);
      compares.push({ kind: 'modRevision', key, revision: toldAt });
      if (revision === undefined) ops.push({ kind: 'delete', key });
      else ops.push({ kind: 'put', key, value: JSON.stringify({ revision, ...(host === '' ? {} : { host }) }) });
    }
    const result = await store.txn(compares, ops);
    await tables.waitFor(result.revision);
    if (!result.ok) {
      for (const { ref } of done) this.#mark(ref);
      this.#teller.doubt();
      return;
    }
    for (const { ref } of done) this.#forced.delete(keyOf(ref));
  }

  /** What it says of ports by itself, if it has `reports`. */
  async #report(): Promise<void> {
    if (!this.#teller.isHeld || !this.#isSynced || !this.#hasReports || this.#row()?.state !== 'Ready') return;
    const since = this.#reportsFrom;
    const { status, body } = await this.#ask('reports', { since, wait_seconds: REPORTS_WAIT_SECONDS }, CALL_MS);
    if (status === 404) this.#hasReports = false;
    if (status >= 300 || !isFields(body)) return;
    const { next, reports } = body;
    for (const [id, status] of statusesOf(reports)) await this.#setStatus(id, status);
    if (Number.isSafeInteger(next)) this.#reportsFrom = Number(next);
    if (Number.isSafeInteger(next) && Number(next) > since) this.#reporting.trigger();
  }

  async #setStatus(portId: string, status: 'ACTIVE' | 'DOWN'): Promise<void> {
    const { signal } = this.#deps;
    await transact(this.#deps, serverAsked(this.#deps, signal), ({ plan }) => {
      const port = plan.get('port', portId);
      if (port?.['cable:backend'] !== this.#name || port.status === status) return;
      plan.replace('port', { ...port, status } as unknown as AnyObject);
    });
  }
}

/** What was told and taken. `revision` undefined: it is gone there. */
type Done = {
  readonly ref: Ref;
  readonly toldAt: number;
  readonly revision: number | undefined;
  readonly host: string;
  readonly status: 'ACTIVE' | 'DOWN' | undefined;
};

function statusOf(body: unknown): 'ACTIVE' | 'DOWN' | undefined {
  const status = isFields(body) ? body['status'] : undefined;
  return status === 'ACTIVE' || status === 'DOWN' ? status : undefined;
}

/** Of each port that is reported, what was said last. */
function statusesOf(reports: unknown): ReadonlyMap<string, 'ACTIVE' | 'DOWN'> {
  const found = new Map<string, 'ACTIVE' | 'DOWN'>();
  for (const one of Array.isArray(reports) ? (reports as unknown[]) : []) {
    const { resource, id } = isFields(one) ? one : {};
    const status = statusOf(one);
    if (resource === 'port' && typeof id === 'string' && status !== undefined) found.set(id, status);
  }
  return found;
}

function keyOf({ resource, id }: Ref): string {
  return `${resource}/${id}`;
}

/** Of a told row's id. */
function refOf(id: ToldRow['id']): Ref {
  const [, resource = '', object = ''] = id.split('/');
  return { resource: resource as ResourceName, id: object };
}
