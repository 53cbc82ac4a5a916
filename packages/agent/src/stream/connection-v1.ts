import type { Client } from '@cable/api';
import { startLoop } from '@cable/kit';
import {
  type Connection,
  type ConnectionDeps,
  type Ending,
  hostPath,
  notUnderstood,
  SERVER_ENDED,
} from './connection.ts';
import { parseLineV1 } from './v1-lines.ts';

/** Time between heartbeats. */
const HEARTBEAT_MS = 5_000;

/** A connection of protocol 1: whole slices come, reports are posted. What is taken is the same state as with protocol 2. */
export class ConnectionV1 implements Connection {
  readonly #lines: AsyncIterable<string>;
  readonly #client: Pick<Client, 'request'>;
  readonly #deps: ConnectionDeps;
  #trigger: () => void = () => undefined;
  #synced = false;

  constructor(lines: AsyncIterable<string>, client: Pick<Client, 'request'>, deps: ConnectionDeps) {
    this.#lines = lines;
    this.#client = client;
    this.#deps = deps;
  }

  async run(): Promise<Ending> {
    const { state, reports, log, heard } = this.#deps;
    const stop = new AbortController();
    state.begin();
    reports.forget();
    const backoff = { minMs: 250, maxMs: HEARTBEAT_MS };
    const run = (): Promise<void> => this.#post();
    const loop = startLoop({
      name: 'status report',
      log,
      signal: stop.signal,
      run,
      everyMs: HEARTBEAT_MS,
      backoff,
    });
    this.#trigger = loop.trigger;
    try {
      for await (const text of this.#lines) {
        heard();
        if (text !== '' && !(await this.#take(text))) return notUnderstood(text);
      }
      return SERVER_ENDED;
    } finally {
      stop.abort();
    }
  }

  portsChanged(): void {
    this.#trigger();
  }

  /** A server of that age takes nothing of them. */
  membersChanged(): void {}

  programmed(): void {
    this.#trigger();
  }

  /** False: the line is not understood. */
  async #take(text: string): Promise<boolean> {
    const { state, onSync } = this.#deps;
    const line = parseLineV1(text, this.#synced);
    switch (line?.type) {
      case undefined:
        return false;
      case 'unknown':
        return true;
      case 'content':
        for (const one of line.lines) state.take(one);
        return true;
      case 'sync': {
        const keys = new Set(line.keys);
        for (const key of state.givenKeys()) if (!keys.has(key)) state.take({ type: 'drop', key });
        await this.#complete(line.revision);
        this.#synced = true;
        onSync();
        return true;
      }
      case 'bookmark':
        if (this.#synced) await this.#complete(line.revision);
        return true;
    }
  }

  /** Protocol 1 knows no histories. */
  async #complete(revision: number): Promise<void> {
    await this.#deps.state.complete({ revision, history: null });
  }

  async #post(): Promise<void> {
    const { host, reports, programmed } = this.#deps;
    const revision = programmed();
    try {
      for (const report of reports.take(this.#synced)) {
        await this.#client.request('POST', `${hostPath(host)}/status`, { ...report, revision });
      }
    } catch (err) {
      reports.forget();
      throw err;
    }
  }
}
