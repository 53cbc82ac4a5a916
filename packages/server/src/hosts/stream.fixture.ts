/** What tests of streams share: connections whose other end reads when it is let, clients on them, and a store with streams. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import type { TableChange } from '@cable/compiler';
import { silentLogger, startTurns, type Turns } from '@cable/kit';
import type { AgentLine, HostStatusReport, MemberReport, ServerLine, SliceKey, StoreHistory } from '@cable/model';
import { lineReader, SliceClient } from '../slices/slice-client.fixture.ts';
import { SliceStore } from '../slices/slice-store.ts';
import { createWorld, failOnError, type World } from '../slices/world.fixture.ts';
import type { Resume } from './host-stream.ts';
import { Streams } from './streams.ts';

export const HISTORY: StoreHistory = { cluster: 'c', mark: '1-a' };

/** A connection. The other end takes what is written in the next turn, or when it is let. */
export class TestSocket extends Duplex {
  readonly #onData: (chunk: Buffer) => void;
  readonly #held: { readonly chunk: Buffer; readonly done: () => void }[] = [];
  #takes: boolean;
  writes: number = 0;

  constructor(onData: (chunk: Buffer) => void, takes: boolean = true) {
    super();
    this.#onData = onData;
    this.#takes = takes;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes += 1;
    this.#held.push({ chunk, done });
    if (this.#takes) setImmediate(() => this.deliver());
  }

  /** The other end takes so many of the pieces that wait. */
  deliver(count: number = this.#held.length): void {
    for (const { chunk, done } of this.#held.splice(0, count)) {
      if (this.destroyed) return;
      this.#onData(chunk);
      done();
    }
  }

  /** Whether the other end takes what is written. */
  setTaking(takes: boolean): void {
    this.#takes = takes;
    if (takes) this.deliver();
  }

  say(line: AgentLine | string): void {
    this.push(typeof line === 'string' ? line : `${JSON.stringify(line)}\n`);
  }
}

export type Reported = { readonly host: string; readonly session: string; readonly report: HostStatusReport };

export type StreamRig = {
  /** The store's mark. */
  mark: string;
  readonly world: World;
  readonly store: SliceStore;
  readonly streams: Streams;
  readonly sent: { readonly host: string; readonly revision: number }[];
  readonly reported: Reported[];
  /** Of members of pools. */
  readonly told: { readonly host: string; readonly session: string; readonly report: MemberReport }[];
  /** What the rest of the plane says to a client; may be replaced. */
  admit: (host: string, resume: Resume) => Promise<StoreHistory>;
  report: (host: string) => Promise<void>;
  /** Takes changes as the next revision. */
  change(...changes: (TableChange | undefined)[]): number;
  /** Resolves when everything taken is compiled and was given to the streams. */
  settled(): Promise<void>;
  stop(): Promise<void>;
};

export type RigOptions = {
  readonly keepaliveMs?: number;
  readonly stalledMs?: number;
  readonly turns?: () => Turns;
  /** What another server holds too; default: nothing yet. */
  readonly world?: World;
};

export function createRig(options: RigOptions = {}): StreamRig {
  const world = options.world ?? createWorld();
  const store = new SliceStore({ tables: world.tables, onError: failOnError, turns: options.turns ?? startTurns });
  const rig: Pick<StreamRig, 'sent' | 'reported' | 'told' | 'admit' | 'report' | 'mark'> = {
    sent: [],
    reported: [],
    told: [],
    admit: async () => HISTORY,
    report: async () => {},
    mark: HISTORY.mark,
  };
  const streams = new Streams({
    store,
    tables: world.tables,
    log: silentLogger(),
    keepaliveMs: options.keepaliveMs ?? 60_000,
    stalledMs: options.stalledMs ?? 60_000,
    turns: options.turns ?? startTurns,
    plane: {
      admit: (host, resume) => rig.admit(host, resume),
      report: (host, session, report) => {
        rig.reported.push({ host, session, report });
        return rig.report(host);
      },
      health: async (host, session, report) => {
        rig.told.push({ host, session, report });
      },
      ackWithinMs: () => 7,
      sent: (host, revision) => rig.sent.push({ host, revision }),
      mark: () => rig.mark,
    },
  });
  let revision = 0;
  return Object.assign(rig, {
    world,
    store,
    streams,
    change: (...changes: (TableChange | undefined)[]) => {
      revision += 1;
      store.take(
        revision,
        changes.filter((change) => change !== undefined),
      );
      return revision;
    },
    settled: async () => {
      while (store.revision < store.taken || !store.isSettled) await new Promise(setImmediate);
    },
    stop: async () => {
      streams.stop('test is over');
      await store.stop();
    },
  });
}

export type ConnectOptions = {
  readonly takes?: boolean;
  readonly resumes?: boolean;
  readonly compares?: boolean;
  readonly rig?: StreamRig;
};

/** An agent that holds slices over connections that come and go. */
export class StreamClient {
  readonly host: string;
  readonly slices: SliceClient = new SliceClient();
  readonly lines: ServerLine[] = [];
  /** False: to `compare` nothing is said. */
  answers: boolean = true;
  #rig: StreamRig;
  #socket: TestSocket | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(rig: StreamRig, host: string) {
    this.#rig = rig;
    this.host = host;
  }

  get socket(): TestSocket {
    assert.ok(this.#socket !== undefined);
    return this.#socket;
  }

  get isConnected(): boolean {
    return this.#socket?.destroyed === false;
  }

  /** Opens a connection, to this server from now on, and says what is held unless `resumes` is false. `compares` false: as agents that cannot. */
  connect({ takes = true, resumes = true, compares = true, rig = this.#rig }: ConnectOptions = {}): void {
    this.disconnect();
    this.#rig = rig;
    const read = lineReader((line) => this.#take(line));
    const socket = new TestSocket(read, takes);
    this.#socket = socket;
    this.#rig.streams.open(this.host, socket);
    if (!resumes) return;
    const since = this.slices.revision;
    const resume = { type: 'resume', session: 's', since, history: HISTORY, slices: this.slices.digests() } as const;
    socket.say(compares ? { ...resume, compares } : resume);
  }

  /** Says what is held of the slice. */
  answer(key: SliceKey, of: number): void {
    this.socket.say({ type: 'buckets', key, digests: this.slices.bucketDigests(key, of) });
  }

  disconnect(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.slices.disconnect();
    this.lines.length = 0;
  }

  /** Resolves when the condition holds, which is looked at after each line. */
  async until(condition: () => boolean): Promise<void> {
    await within(
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (!condition()) return;
          this.#waiters.delete(look);
          resolve();
        };
        this.#waiters.add(look);
        look();
      }),
      `client ${this.host}`,
    );
  }

  /** Resolves when a `sync` or bookmark of the revision has come on this connection. */
  reached(revision: number): Promise<void> {
    return this.until(() =>
      this.lines.some((line) => (line.type === 'sync' || line.type === 'bookmark') && line.revision >= revision),
    );
  }

  /** Types of the lines of this connection, `hello` and the last bookmark excepted. */
  types(): string[] {
    return this.lines.slice(1, -1).map((line) => line.type);
  }

  #take(line: ServerLine): void {
    this.lines.push(line);
    this.slices.take(line);
    if (line.type === 'compare' && this.answers) this.answer(line.key, line.of);
    for (const look of [...this.#waiters]) look();
  }
}

/** Fails when the promise takes longer than a test may. */
export async function within<T>(promise: Promise<T>, what: string, ms: number = 60_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: waited ${ms} ms in vain`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
