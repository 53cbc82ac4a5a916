import { type Logger, type Loop, startLoop } from '@cable/kit';
import {
  type AnyObject,
  type LeaseUse,
  MAX_BLOCKS_A_LEASE,
  type Port,
  SNAT_BLOCK_PORTS,
  type SnatLease,
} from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { refuseBehind } from '../engine/loaded-types.ts';
import { Plan } from '../engine/plan.ts';
import { acknowledgedRevision } from '../hosts/acknowledgements.ts';
import { SNAT_LOG, snatLogKey } from '../keys.ts';
import type { TableChange } from '../tables.ts';
import { egressFor, inMatchingOrder } from './router-egress.ts';
import { SnatForgotten } from './snat-forgotten.ts';
import { blocksOf } from './snat-lease.ts';
import { recordsOf, type SnatRecord } from './snat-log.ts';
import { type Sender, sendersOf, snatAddresses } from './snat-senders.ts';

export type SnatKeeperDeps = EngineDeps & { readonly signal: AbortSignal; readonly log: Logger };

/** What nobody tells of is looked at so often. */
const LOOK_EVERY_MS = 5000;
const ALL_EVERY_MS = 30_000;

/** So long a block rests before somebody else gets it (RFC 6888, REQ-8). */
const REST_MS = 120_000;

/** Records whose end is longer ago are deleted, and how often that is looked at. */
const KEEP_RECORDS_MS = 90 * 86_400_000;
const SWEEP_EVERY_MS = 6 * 3_600_000;

/** Leases changed in one transaction. */
const LEASES_A_TXN = 20;

/** Transactions for one router in a row: others have their turn. */
const ROUNDS = 100;

/** Ports below are nobody's. */
const FIRST_PORT = 1024;

/** Blocks that a port gets while there are many. */
const BLOCKS_A_PORT = 4;
const BLOCKS = (65_536 - FIRST_PORT) / SNAT_BLOCK_PORTS;

/** Of an address of which so much is leased nobody gets more blocks than one: who comes later is to have one, too. */
const SPARE = (BLOCKS * 3) / 4;

/** What a host says of a lease's use counts so long. */
const USE_MS = 15_000;

/** What is to be written of one router. */
type Step = { readonly lease?: SnatLease; readonly becomes?: SnatLease; readonly records: readonly Entry[] };
type Entry = { readonly key: string; readonly record: SnatRecord };

/**
 * Sees to it that each port behind a router whose ports are leased has blocks of them, that its lease names the host by which it leaves, and that what nobody has any more is given to others,
 * but not before it has rested and no host has it any more. Every server does so: the claims of blocks let one of them win.
 */
export class SnatKeeper {
  readonly #deps: SnatKeeperDeps;
  readonly #loop: Loop;
  readonly #dirty = new Set<string>();
  readonly #forgotten: SnatForgotten;
  /** Since when each resting block is known here to rest, by lease and first port. The clock of records may go to and fro, and other servers have others. */
  readonly #resting = new Map<string, number>();
  readonly #full = new Set<string>();
  /** What hosts say of leases, by lease. */
  readonly #uses = new Map<string, { readonly use: LeaseUse; readonly atMs: number }>();
  #turn: Promise<void> = Promise.resolve();
  #allAt = Number.NEGATIVE_INFINITY;
  #sweptAt: number;

  constructor(deps: SnatKeeperDeps) {
    this.#deps = deps;
    const { log, signal, tables } = deps;
    this.#forgotten = new SnatForgotten({ ...deps, acknowledged: (host) => acknowledgedRevision(tables, host) ?? 0 });
    this.#sweptAt = deps.monotonicMs();
    const stop = tables.onChange((revision, changes) => this.#take(revision, changes));
    signal.addEventListener('abort', stop, { once: true });
    this.#loop = startLoop({ name: 'snat', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Looks at each router of which something may have changed. One round at a time. */
  round(): Promise<void> {
    const round = this.#turn.then(() => this.#round());
    this.#turn = round.catch(() => undefined);
    return round;
  }

  /** A host says how its guests use their blocks: of leases that it has. */
  takeUses(host: string, uses: readonly LeaseUse[]): void {
    const { tables, monotonicMs } = this.#deps;
    for (const use of uses) {
      const lease = tables.of('snat_lease').get(use.leaseId);
      if (lease?.host_id !== host || lease.first_ports.length !== use.blocks) continue;
      this.#uses.set(lease.id, { use, atMs: monotonicMs() });
      this.#dirty.add(lease.router_id);
      this.#loop.trigger();
    }
  }

  async #round(): Promise<void> {
    const { tables, signal, monotonicMs } = this.#deps;
    if (monotonicMs() - this.#allAt >= ALL_EVERY_MS) {
      this.#allAt = monotonicMs();
      for (const id of this.#leasing()) this.#dirty.add(id);
    }
    const resting = new Set<string>();
    for (const lease of tables.of('snat_lease').values()) {
      for (const { first_port: first } of lease.resting) resting.add(restKey(lease, first));
      if (lease.resting.length > 0) this.#dirty.add(lease.router_id);
    }
    for (const key of this.#resting.keys()) if (!resting.has(key)) this.#resting.delete(key);
    for (const id of this.#dirty) {
      if (signal.aborted) return;
      this.#dirty.delete(id);
      for (let n = 0; n < ROUNDS && (await this.#settle(id)); n += 1) if (signal.aborted) return;
    }
    if (monotonicMs() - this.#sweptAt >= SWEEP_EVERY_MS) {
      this.#sweptAt = monotonicMs();
      await this.#sweep();
    }
  }

  #leasing(): ReadonlySet<string> {
    const { tables } = this.#deps;
    const ids = new Set([...tables.of('snat_lease').values()].map((lease) => lease.router_id));
    for (const kind of ['leased', 'distributed']) {
      for (const { id } of tables.any('router').by('cable:snat', kind)) ids.add(id);
    }
    for (const { router_id: id } of tables.of('router_egress').values()) ids.add(id);
    return ids;
  }

  #take(revision: number, changes: readonly TableChange[]): void {
    const { tables } = this.#deps;
    const before = this.#dirty.size;
    for (const { type, id, ...change } of changes) {
      if (type === 'router') this.#dirty.add(id);
      else if (type === 'router_egress') for (const one of rowsOf(change)) this.#dirty.add(String(one['router_id']));
      else if (type === 'host') for (const one of this.#leasing()) this.#dirty.add(one);
      else if (type === 'port') this.#forgotten.take(revision, change);
      if (type !== 'port') continue;
      const isElsewhere = !isSamePlace(change);
      if (!isElsewhere && isSameToEgresses(change)) continue;
      for (const row of [change.before, change.after] as readonly (Port | undefined)[]) {
        if (row === undefined) continue;
        if (row.device_owner.startsWith('network:router')) this.#dirty.add(row.device_id);
        for (const leg of tables.any('router_interface').by('network_id', row.network_id)) {
          const router = String(leg['device_id']);
          if (isElsewhere || this.#leavesOtherwise(router, change)) this.#dirty.add(router);
        }
      }
    }
    if (this.#dirty.size > before) this.#loop.trigger();
  }

  /** Does the port come under another egress of the router by what was changed? Most routers have none, and labels change often. */
  #leavesOtherwise(routerId: string, { before, after }: Pick<TableChange, 'before' | 'after'>): boolean {
    const egresses = inMatchingOrder(this.#deps.tables.of('router_egress').by('router_id', routerId));
    if (egresses.length === 0) return false;
    const [one, other] = [before, after].map((port) => egressFor(egresses, port as unknown as Port));
    return one !== other;
  }

  /** Does a part of what is to be done for a router. Returns whether there may be more. */
  async #settle(routerId: string): Promise<boolean> {
    const { tables, store, changeover, now, log } = this.#deps;
    const steps = await this.#steps(routerId);
    if (steps.length === 0) return false;
    const leave = await changeover.enter();
    const plan = new Plan(this.#deps, `${now().toISOString().slice(0, 19)}Z`);
    try {
      refuseBehind(this.#deps);
      for (const { lease, becomes, records } of steps.slice(0, LEASES_A_TXN)) {
        if (lease !== undefined && becomes?.id !== lease.id) plan.delete('snat_lease', lease.id);
        if (becomes !== undefined && becomes.id === lease?.id) plan.replace('snat_lease', becomes);
        for (const { key, record } of records) plan.put(key, JSON.stringify(record));
      }
      for (const { lease, becomes } of steps.slice(0, LEASES_A_TXN)) {
        if (becomes !== undefined && becomes.id !== lease?.id) plan.create('snat_lease', becomes);
      }
      const { compares, ops } = plan.transaction();
      const { ok, revision } = await store.txn(compares, ops);
      await tables.waitFor(revision, LOOK_EVERY_MS);
      if (ok)
        for (const { records } of steps.slice(0, LEASES_A_TXN))
          for (const { record } of records) log.info(record, 'block');
      return !ok || steps.length > LEASES_A_TXN;
    } finally {
      plan.dispose();
      leave();
    }
  }

  async #steps(routerId: string): Promise<readonly Step[]> {
    const { tables } = this.#deps;
    const router = tables.of('router').get(routerId);
    const leases = tables.of('snat_lease').by('router_id', routerId);
    const wanted = router === undefined ? new Map<string, Sender>() : new Map(sendersOf(tables, router));
    if (leases.length === 0 && wanted.size === 0) return [];
    const addresses = router === undefined ? undefined : snatAddresses(tables, router);
    const steps: Step[] = [];
    for (const lease of leases) {
      if (steps.length > LEASES_A_TXN) return steps;
      const sender = lease.first_ports.length === 0 ? undefined : wanted.get(lease.port_id);
      const isFit = addresses?.networkId === lease.network_id && sender?.ips.includes(lease.external_address);
      if (sender !== undefined && isFit) {
        wanted.delete(lease.port_id);
        const step = (await this.#keep(lease, sender)) ?? this.#resize(lease, sender, steps);
        if (step !== undefined) steps.push(step);
      } else if (lease.first_ports.length > 0) steps.push(this.#release(lease, lease.first_ports));
      else steps.push(...(await this.#end(lease)));
    }
    if (addresses === undefined) return steps;
    const without: Sender[] = [];
    const full = new Set<string>();
    for (const [, sender] of wanted) {
      if (steps.length > LEASES_A_TXN) return steps;
      const where = sender.ips.join();
      const step = full.has(where) ? undefined : this.#lease(routerId, addresses.networkId, sender, steps);
      if (step !== undefined) steps.push(step);
      else {
        full.add(where);
        without.push(sender);
      }
    }
    if (without.length > 0) this.#tellFull(routerId, without);
    else this.#full.delete(routerId);
    return steps;
  }

  #tellFull(routerId: string, without: readonly Sender[]): void {
    if (this.#full.has(routerId)) return;
    this.#full.add(routerId);
    this.#deps.log.warn(
      { router: routerId, senders: without.length, addresses: [...new Set(without.flatMap(({ ips }) => ips))] },
      'all ports of the external addresses by which some of a router’s guests may leave are leased: give it another address',
    );
  }

  /** A port gets its blocks; undefined: none is free. */
  #lease(routerId: string, networkId: string, { port, host, ips }: Sender, steps: readonly Step[]): Step | undefined {
    const free = this.#free(networkId, ips, steps);
    if (free === undefined) return undefined;
    const becomes: SnatLease = {
      id: this.#deps.newId(),
      router_id: routerId,
      network_id: networkId,
      external_address: free.address,
      port_id: port.id,
      host_id: host,
      first_ports: free.firstPorts,
      resting: [],
      leased_at: this.#nowText(),
      released_at: null,
    };
    return { becomes, records: free.firstPorts.map((first) => this.#begin(becomes, port, first)) };
  }

  /** Blocks that nobody has, anywhere at random: so two servers seldom choose the same. Of an address of which more than half is leased one alone, else some. */
  #free(
    networkId: string,
    ips: readonly string[],
    steps: readonly Step[],
  ): { readonly address: string; readonly firstPorts: readonly number[] } | undefined {
    for (const address of ips) {
      const taken = this.#taken(networkId, address, steps);
      const firstPorts = this.#choose(taken, taken.size < BLOCKS / 2 ? BLOCKS_A_PORT : 1);
      if (firstPorts.length > 0) return { address, firstPorts };
    }
    return undefined;
  }

  /** Blocks of the address that somebody has. */
  #taken(networkId: string, address: string, steps: readonly Step[]): ReadonlySet<number> {
    const leases = [
      ...this.#deps.tables.of('snat_lease').by('external_address', address),
      ...steps.flatMap(({ becomes }) => becomes ?? []),
    ].filter((lease) => lease.network_id === networkId && lease.external_address === address);
    return new Set(leases.flatMap(blocksOf));
  }

  #choose(taken: ReadonlySet<number>, most: number): readonly number[] {
    const start = Math.floor(this.#deps.random() * BLOCKS);
    const firstPorts: number[] = [];
    for (let n = 0; n < BLOCKS && firstPorts.length < most; n += 1) {
      const firstPort = FIRST_PORT + ((start + n) % BLOCKS) * SNAT_BLOCK_PORTS;
      if (!taken.has(firstPort)) firstPorts.push(firstPort);
    }
    return firstPorts;
  }

  /** As its host says that it is used, a lease gets as many blocks again, or gives back those that nothing uses. */
  #resize(lease: SnatLease, { port }: Sender, steps: readonly Step[]): Step | undefined {
    const said = this.#uses.get(lease.id);
    this.#uses.delete(lease.id);
    const held = lease.first_ports.length;
    if (said === undefined || said.use.blocks !== held || this.#deps.monotonicMs() - said.atMs > USE_MS)
      return undefined;
    const taken = this.#taken(lease.network_id, lease.external_address, steps);
    if (said.use.wanted) {
      const most = taken.size < BLOCKS / 2 ? held : taken.size < SPARE ? 1 : 0;
      const more = this.#choose(taken, Math.min(most, MAX_BLOCKS_A_LEASE - held));
      if (more.length === 0) return undefined;
      const becomes = { ...lease, first_ports: [...lease.first_ports, ...more] };
      return { lease, becomes, records: more.map((first) => this.#begin(becomes, port, first)) };
    }
    const kept = taken.size < BLOCKS / 2 ? BLOCKS_A_PORT : 1;
    // The host notes by the first that the guest runs short.
    const idle = lease.first_ports.slice(1).filter((first) => said.use.idle.includes(first ?? 0));
    const gone = idle.slice(0, Math.max(0, held - kept));
    return gone.length === 0 ? undefined : this.#release(lease, gone);
  }

  /** A lease that stays: it may have another host. */
  async #keep(lease: SnatLease, { port, host }: Sender): Promise<Step | undefined> {
    if (lease.host_id !== host) {
      const becomes = { ...lease, host_id: host, leased_at: this.#nowText() };
      const ended = await Promise.all(lease.first_ports.map((first) => this.#ended(lease, first)));
      const begun = lease.first_ports.map((first) => this.#begin(becomes, port, first));
      return { lease, becomes, records: [...ended.flat(), ...begun] };
    }
    return lease.resting.length === 0 ? undefined : (await this.#end(lease))[0];
  }

  /** Blocks are taken back: their host is told, and they rest. */
  #release(lease: SnatLease, gone: readonly number[]): Step {
    const released = this.#nowText();
    const resting = [...lease.resting, ...gone.map((first) => ({ first_port: first, released_at: released }))];
    const left = lease.first_ports.filter((first) => !gone.includes(first));
    const becomes = { ...lease, first_ports: left, resting, released_at: left.length === 0 ? released : null };
    return { lease, becomes, records: [] };
  }

  /** What has rested, and is in force nowhere any more, is free. */
  async #end(lease: SnatLease): Promise<readonly Step[]> {
    const over = lease.resting.filter(({ first_port: first }) => this.#hasRested(restKey(lease, first)));
    if (!this.#forgotten.isForgotten(lease)) return [];
    if (over.length === 0 && lease.resting.length > 0) return [];
    const records = (await Promise.all(over.map((one) => this.#ended(lease, one.first_port ?? 0)))).flat();
    const resting = lease.resting.filter((one) => !over.includes(one));
    const isOver = resting.length === 0 && lease.first_ports.length === 0;
    return [isOver ? { lease, records } : { lease, becomes: { ...lease, resting }, records }];
  }

  #hasRested(key: string): boolean {
    const now = this.#deps.monotonicMs();
    const since = this.#resting.get(key) ?? now;
    this.#resting.set(key, since);
    return now - since >= REST_MS;
  }

  #begin(lease: SnatLease, port: Port, firstPort: number): Entry {
    const from = this.#deps.now();
    const key = snatLogKey(lease.external_address, firstPort, lease.id, from.getTime());
    const record: SnatRecord = {
      external_address: lease.external_address,
      first_port: firstPort,
      last_port: firstPort + SNAT_BLOCK_PORTS - 1,
      network_id: lease.network_id,
      router_id: lease.router_id,
      port_id: port.id,
      project_id: port.project_id,
      device_id: port.device_id,
      mac_address: port.mac_address,
      fixed_ips: port.fixed_ips.map((fixed) => fixed.ip_address),
      host_id: lease.host_id,
      from: from.toISOString(),
      to: null,
    };
    return { key, record };
  }

  async #ended(lease: SnatLease, firstPort: number): Promise<readonly Entry[]> {
    const { store, now } = this.#deps;
    const to = now().toISOString();
    const found = await recordsOf(store, lease.external_address, firstPort);
    const mine = found.filter(({ record: { to: end, network_id: net } }) => end === null && net === lease.network_id);
    // A clock that has gone back ends nothing before it began: nobody would find it.
    return mine.map(({ key, record }) => ({ key, record: { ...record, to: to > record.from ? to : record.from } }));
  }

  async #sweep(): Promise<void> {
    const { store, now } = this.#deps;
    const before = new Date(now().getTime() - KEEP_RECORDS_MS).toISOString();
    for await (const { kvs } of store.listPages(SNAT_LOG)) {
      const old = kvs.filter(({ value }) => isOlder(JSON.parse(value) as SnatRecord, before));
      for (let at = 0; at < old.length; at += LEASES_A_TXN) {
        const some = old.slice(at, at + LEASES_A_TXN);
        await store.txn(
          [],
          some.map(({ key }) => ({ kind: 'delete', key })),
        );
      }
    }
  }

  #nowText(): string {
    return `${this.#deps.now().toISOString().slice(0, 19)}Z`;
  }
}

function restKey({ id }: SnatLease, firstPort: number | undefined): string {
  return `${id}/${firstPort}`;
}

function isOlder({ to }: SnatRecord, before: string): boolean {
  return to !== null && to < before;
}

function rowsOf({ before, after }: Pick<TableChange, 'before' | 'after'>): readonly AnyObject[] {
  return [before, after].flatMap((row) => row ?? []);
}

/** True for a change of a port that concerns no lease, as that of its status. */
function isSamePlace({ before, after }: Pick<TableChange, 'before' | 'after'>): boolean {
  if (before === undefined || after === undefined) return false;
  const [one, other] = [before, after] as unknown as readonly [Port, Port];
  return (
    one['binding:host_id'] === other['binding:host_id'] &&
    one.device_id === other.device_id &&
    one.device_owner === other.device_owner &&
    JSON.stringify(one.fixed_ips) === JSON.stringify(other.fixed_ips)
  );
}

/** The same of what egresses select ports by besides their subnets. */
function isSameToEgresses({ before, after }: Pick<TableChange, 'before' | 'after'>): boolean {
  const [one, other] = [before, after] as unknown as readonly [Port, Port];
  return (
    one['cable:namespace'] === other['cable:namespace'] &&
    JSON.stringify(one['cable:labels']) === JSON.stringify(other['cable:labels'])
  );
}
