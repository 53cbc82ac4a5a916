import { type Logger, type Loop, Repeats, sleep, startLoop } from '@cable/kit';
import type { Port } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import type { Arbiter } from '../engine/arbiter.ts';
import { NOVA_SINCE, NOVA_TELLER, novaKey, novaProtonKey } from '../keys.ts';
import type { TableChange, Tables } from '../tables.ts';
import { type EventOutcome, type NovaPost, type NovaUnavailableError, sendEvents } from './nova-api.ts';
import { Teller } from './teller.ts';
import {
  type Due,
  dueOf,
  type NovaEvent,
  type NovaEventName,
  novaServerOf,
  type PortFacts,
  type Told,
  toldOf,
} from './told.ts';

/** What comes within this time is told in one request. */
const GATHER_MS = 200;

/** Ports of which one request tells. */
const PORTS_A_REQUEST = 50;

/** When Nova is asked again about a server that it does not know, or that is on no host yet: the machine may just be made. */
const TRY_AGAIN_MS: readonly number[] = [2_000, 4_000, 8_000, 16_000];

export type NovaNotifierDeps = {
  readonly store: Pick<Store, 'get' | 'txn' | 'grantLease' | 'keepAlive' | 'revokeLease'>;
  readonly tables: Pick<Tables, 'any' | 'of' | 'has' | 'modRevision' | 'onChange' | 'waitFor'>;
  readonly server: string;
  readonly post: NovaPost;
  /** Ports of protons; absent: there are none. */
  readonly others?: { readonly current: Pick<Arbiter, 'known'> | undefined };
  readonly monotonicMs: () => number;
  /** How long after each try the next one comes, for a server that Nova does not know. Default: 2, 4, 8, 16 s. */
  readonly tryAgainMs?: readonly number[];
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** What was told since the server started, and what is due. For metrics and status. */
export type NovaCounts = {
  /** It is the one, and has looked at all that there is. */
  readonly isTeller: boolean;
  /** Events by name and what became of them. */
  readonly events: ReadonlyMap<string, number>;
  /** Ports that are to be looked at. */
  readonly pending: number;
  /** Why Nova was not reached last; null: it was. */
  readonly problem: string | null;
};

/** When a port at which Nova failed is told again; after so many of them Nova itself is taken for the cause. */
const FAULT_AGAIN_MS = 5_000;
const FAULTS = 5;

type Look = {
  readonly id: string;
  /** Where what was told of it stands: a server that knows no protons looks at what is of Neutron’s ports alone. */
  readonly kind: 'nova' | 'nova-proton';
  readonly due: Due;
  readonly told: number | undefined;
};
type Waiting = { readonly tries: number; readonly at: number };

/**
 * Tells Nova what is new of the ports of its servers (docs/design/nova.md): until it accepts, by whichever server has the lease. What was told stands in the store, so another
 * server goes on where this one stops.
 */
export class NovaNotifier {
  readonly #deps: NovaNotifierDeps;
  readonly #teller: Teller;
  readonly #loop: Loop;
  readonly #marked = new Set<string>();
  /** Ports whose server Nova did not know. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #events = new Map<string, number>();
  readonly #repeats: Repeats;
  /** Ports at which Nova failed, one after the other. */
  #faults = 0;
  /** Ports of which the next request tells: fewer after each that failed, so that one which Nova cannot bear holds up none but itself. */
  #size = PORTS_A_REQUEST;
  /** What there was before anything was told counts as told. */
  #hasBegun = false;
  /** All ports have been looked at since this server became the one. */
  #hasLooked = false;
  #problem: string | null = null;

  constructor(deps: NovaNotifierDeps) {
    this.#deps = deps;
    const { tables, log, signal, monotonicMs } = deps;
    this.#repeats = new Repeats(monotonicMs);
    this.#loop = startLoop({
      ...{ name: 'nova', log, signal, everyMs: 1000 },
      backoff: { minMs: 250, maxMs: 5_000 },
      run: () => this.#round(),
    });
    const stop = tables.onChange((_revision, changes) => this.#note(changes));
    signal.addEventListener('abort', stop, { once: true });
    this.#teller = new Teller({ ...deps, whom: 'nova', onHeld: () => this.#loop.trigger() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done.then(() => this.#teller.done);
  }

  get counts(): NovaCounts {
    return {
      isTeller: this.#teller.isHeld && this.#hasLooked,
      events: this.#events,
      pending: this.#marked.size + this.#waiting.size,
      problem: this.#problem,
    };
  }

  #note(changes: readonly TableChange[]): void {
    for (const { type, id, before, after } of changes) {
      if (type === 'port' || type === 'port_owner') this.#marked.add(id);
      else if (type === 'vif') this.#marked.add(String((after ?? before)?.['port_id']));
      else if (type === 'floatingip') {
        for (const row of [before, after]) {
          const port = row?.['port_id'];
          if (typeof port === 'string') this.#marked.add(port);
        }
      }
    }
    if (this.#marked.size > 0 && this.#teller.isHeld) this.#loop.trigger();
  }

  async #round(): Promise<void> {
    if (!this.#teller.isHeld) {
      // Who is the one looks at everything when it becomes it.
      this.#hasLooked = false;
      this.#marked.clear();
      this.#waiting.clear();
      return;
    }
    if (!this.#hasBegun) await this.#begin();
    this.#hasBegun = true;
    if (!this.#hasLooked) this.#markAll();
    this.#markWaiting();
    if (this.#marked.size > 0) await sleep(GATHER_MS, this.#deps.signal);
    while (this.#marked.size > 0 && this.#teller.isHeld && !this.#deps.signal.aborted) await this.#tellSome();
  }

  #markAll(): void {
    const { tables } = this.#deps;
    for (const type of ['port', 'port_owner']) for (const { id } of tables.any(type).values()) this.#marked.add(id);
    for (const kind of ['nova', 'nova-proton']) for (const { id } of tables.any(kind).values()) this.#marked.add(id);
    this.#hasLooked = true;
  }

  #markWaiting(): void {
    const now = this.#deps.monotonicMs();
    for (const [id, { at }] of this.#waiting) if (at <= now) this.#marked.add(id);
  }

  /** On a store that no server has told anything of yet, all that there is counts as told: Nova is not asked to take 250,000 events for what it knows. */
  async #begin(): Promise<void> {
    const { store, server, tables } = this.#deps;
    if ((await store.get(NOVA_SINCE)) !== undefined) return;
    let looks: Look[] = [];
    for (const { id } of [...tables.any('port').values(), ...tables.any('port_owner').values()]) {
      const { facts, told, kind } = this.#factsOf(id);
      const novaServer = facts.port === undefined ? undefined : novaServerOf(facts.port);
      if (facts.port === undefined || novaServer === undefined || told !== undefined) continue;
      looks.push({ id, kind, told, due: { events: [], told: toldOf(novaServer, facts.port, facts) } });
      if (looks.length < PORTS_A_REQUEST) continue;
      if (!(await this.#write(looks))) throw new Error('another server tells Nova now');
      looks = [];
    }
    if (!(await this.#write(looks))) throw new Error('another server tells Nova now');
    const compare: Compare = { kind: 'value', key: NOVA_TELLER, value: JSON.stringify({ server }) };
    await store.txn([compare], [{ kind: 'put', key: NOVA_SINCE, value: JSON.stringify({ server }) }]);
  }

  /** Looks at marked ports until a request is full, and tells. What Nova did not take is marked again. */
  async #tellSome(): Promise<void> {
    const looks: Look[] = [];
    for (const id of this.#marked) {
      if (looks.length >= this.#size) break;
      this.#marked.delete(id);
      const look = this.#look(id);
      if (look === undefined) {
        this.#waiting.set(id, { tries: 0, at: this.#deps.monotonicMs() + FAULT_AGAIN_MS });
        continue;
      }
      if (look.due.told === undefined) this.#waiting.delete(id);
      else looks.push(look);
    }
    if (looks.length === 0) return;
    const isOpen = new Set(looks);
    try {
      const { outcomes, failure } = await this.#send(looks.flatMap(({ due }) => due.events));
      const taken = looks.filter((look) => this.#isDone(look, outcomes));
      if (!(await this.#write(taken))) this.#teller.doubt();
      else for (const look of taken) isOpen.delete(look);
      for (const look of looks) if (this.#waiting.has(look.id)) isOpen.delete(look);
      if (failure === undefined) this.#passed();
      else this.#failed(failure, looks, isOpen);
    } finally {
      for (const { id } of isOpen) this.#marked.add(id);
    }
  }

  #passed(): void {
    this.#size = Math.min(PORTS_A_REQUEST, this.#size * 2);
    this.#faults = 0;
  }

  /** A request at which Nova fails is sent in smaller ones at once; the port at which it fails alone has to wait. Throws when Nova is not there, or fails at one port after the other. */
  #failed(failure: NovaUnavailableError, looks: readonly Look[], isOpen: Set<Look>): void {
    const [only, ...others] = looks;
    this.#size = Math.max(1, this.#size >> 1);
    this.#problem = failure.message;
    if (this.#repeats.isNews('nova', failure.message)) {
      this.#deps.log.warn({ err: failure }, 'Nova is not told what is new of some ports, and will be when it takes it');
    }
    if (only !== undefined && others.length === 0) {
      isOpen.delete(only);
      this.#waiting.set(only.id, { tries: 0, at: this.#deps.monotonicMs() + FAULT_AGAIN_MS });
      this.#faults += 1;
    }
    if (!failure.isAnswer || this.#faults >= FAULTS) throw failure;
  }

  /** Undefined: there is such a port, and this server does not know what it is. */
  #look(id: string): Look | undefined {
    const { tables } = this.#deps;
    const { facts, told, kind } = this.#factsOf(id);
    if (facts.port === undefined && tables.of('port_owner').get(id) !== undefined) return undefined;
    return { id, kind, due: dueOf(id, facts, tables.of(kind).get(id)), told };
  }

  #factsOf(id: string): Pick<Look, 'kind' | 'told'> & { readonly facts: PortFacts } {
    const { tables } = this.#deps;
    const port = tables.of('port').get(id) ?? this.#portOfProton(id);
    const up = new Map<string, number>();
    const owner = tables.of('port_owner').get(id);
    // What its controller says is the device's proof; of a port on the vrouter its host tells.
    if (owner?.phase === 'Bound' && owner.status === null) up.set(owner.host_id, owner.generation);
    for (const vif of tables.of('vif').by('port_id', id)) {
      if (vif.state === 'up') up.set(vif.host, tables.modRevision('vif', vif.id) ?? 0);
    }
    const floatingIps = port !== undefined && tables.has('floatingip') ? tables.of('floatingip').by('port_id', id) : [];
    const isOfProton = owner !== undefined || tables.of('nova-proton').get(id) !== undefined;
    const kind = isOfProton ? 'nova-proton' : 'nova';
    return { facts: { port, up, floatingIps }, kind, told: tables.modRevision(kind, id) };
  }

  #portOfProton(id: string): Port | undefined {
    return this.#deps.others?.current?.known(id) as Port | undefined;
  }

  async #send(events: readonly NovaEvent[]): Promise<{
    readonly outcomes: ReadonlyMap<NovaEvent, EventOutcome>;
    readonly failure?: NovaUnavailableError;
  }> {
    if (events.length === 0) return { outcomes: new Map() };
    const { outcomes, failure } = await sendEvents(this.#deps.post, events);
    for (const [index, { name }] of events.entries()) this.#count(name, outcomes[index] ?? 'unsent');
    const byEvent = new Map(events.map((event, index) => [event, outcomes[index] ?? 'unsent']));
    if (failure !== undefined) return { outcomes: byEvent, failure };
    if (this.#problem !== null) this.#deps.log.info({}, 'Nova answers again');
    this.#problem = null;
    this.#repeats.forget('nova');
    return { outcomes: byEvent };
  }

  #count(name: NovaEventName, outcome: EventOutcome): void {
    const key = `${name} ${outcome}`;
    this.#events.set(key, (this.#events.get(key) ?? 0) + 1);
  }

  /** False: it is told once more, later. A server that Nova does not know is most often one that is gone, but may be one that is just made. */
  #isDone({ id, due }: Look, outcomes: ReadonlyMap<NovaEvent, EventOutcome>): boolean {
    const { log, monotonicMs } = this.#deps;
    if (due.events.some((event) => outcomes.get(event) === 'unsent')) return false;
    const refused = due.events.filter((event) => outcomes.get(event) === 'refused');
    for (const event of refused) log.warn({ event }, 'Nova refuses an event; it is not told again');
    const unknown = due.events.filter((event) => outcomes.get(event) === 'unknown' && due.told !== null);
    const tries = (this.#waiting.get(id)?.tries ?? 0) + 1;
    this.#waiting.delete(id);
    const next = (this.#deps.tryAgainMs ?? TRY_AGAIN_MS)[tries - 1];
    if (unknown.length === 0 || next === undefined) return true;
    this.#waiting.set(id, { tries, at: monotonicMs() + next });
    return false;
  }

  /** False: somebody else tells now, or wrote a row. */
  async #write(looks: readonly Look[]): Promise<boolean> {
    if (looks.length === 0) return true;
    const { store, server, tables } = this.#deps;
    const compares: Compare[] = [{ kind: 'value', key: NOVA_TELLER, value: JSON.stringify({ server }) }];
    const ops: Op[] = [];
    for (const { id, kind, due, told } of looks) {
      const key = kind === 'nova' ? novaKey(id) : novaProtonKey(id);
      compares.push({ kind: 'modRevision', key, revision: told ?? 0 });
      ops.push(due.told === null ? { kind: 'delete', key } : { kind: 'put', key, value: textOf(due.told) });
    }
    const { ok, revision } = await store.txn(compares, ops);
    await tables.waitFor(revision);
    return ok;
  }
}

function textOf(told: Told | undefined): string {
  const { server, made, plugs, active, view } = told as Told;
  return JSON.stringify({ server, made, plugs, active, view });
}
