import { type Backoff, type Logger, sleep, startTurns } from '@cable/kit';
import { createReconnectWaits } from '../stream/reconnect-waits.ts';
import { type FlowLine, parseFlowLine } from './flow-lines.ts';

export type FlowSessionsDeps = {
  /** Of what: for the log. */
  readonly what: string;
  /** Lines that the host with this underlay address tells of a subject. */
  readonly ask: (host: string, id: string, signal: AbortSignal) => AsyncIterable<readonly string[]>;
  /** Of the subject: flows, a few, and what its guest has joined. */
  readonly put: (id: string, lines: readonly FlowLine[], session: number) => void;
  /** All that there were have come. `isEmpty`: none was. */
  readonly whole: (id: string, session: number, isEmpty: boolean) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly waits?: (() => Backoff) | undefined;
  /** 16 bits, not 0, another each time. Default: random. */
  readonly session?: (() => number) | undefined;
};

/** `isWhole`: all that there were when it began have come once. */
type Session = { readonly from: string; readonly end: AbortController; isWhole: boolean };

/** Put in at once: some milliseconds' work. */
const MOST_ROWS = 128;

/** Follows the flows of subjects, each on the host that has them, and begins anew when that breaks. */
export class FlowSessions {
  readonly #deps: FlowSessionsDeps;
  readonly #sessions = new Map<string, Session>();
  #error: string | null = null;

  constructor(deps: FlowSessionsDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Whether all flows that the subject had when its host was first asked are here. */
  isWhole(id: string): boolean {
    return this.#sessions.get(id)?.isWhole ?? false;
  }

  /** Why some host could not be asked, or what it said could not be used, the last time; null: it never happened. */
  get error(): string | null {
    return this.#error;
  }

  /** The subject's flows are on this host; null: nobody is to be asked. */
  set(id: string, from: string | null): void {
    const { signal } = this.#deps;
    const session = this.#sessions.get(id);
    if ((session?.from ?? null) === from) return;
    session?.end.abort();
    this.#sessions.delete(id);
    if (from === null || signal.aborted) return;
    const end = new AbortController();
    const begun: Session = { from, end, isWhole: false };
    this.#sessions.set(id, begun);
    void this.#run(id, begun, AbortSignal.any([signal, end.signal]));
  }

  async #run(id: string, session: Session, signal: AbortSignal): Promise<void> {
    const { from } = session;
    const waits = (this.#deps.waits ?? createReconnectWaits)();
    while (!signal.aborted) {
      try {
        await this.#follow(id, session, signal, () => waits.reset());
      } catch (err) {
        if (signal.aborted) return;
        const reason = err instanceof Error ? err.message : String(err);
        const { what, log } = this.#deps;
        if (reason !== this.#error) log.info({ [what]: id, from, reason }, `cannot take over the flows of a ${what}`);
        this.#error = reason;
      }
      await sleep(waits.next(), signal);
    }
  }

  async #follow(id: string, session: Session, signal: AbortSignal, heard: () => void): Promise<void> {
    const { ask, put, whole, session: draw = () => 1 + Math.floor(Math.random() * 0xffff) } = this.#deps;
    const { from } = session;
    const number = draw();
    const turns = startTurns();
    let isEmpty = true;
    for await (const lines of ask(from, id, signal)) {
      let flows: FlowLine[] = [];
      for (const text of lines) {
        const line = parseFlowLine(text);
        if (line === undefined) throw new Error(`what ${from} says is not understood: ${text.slice(0, 100)}`);
        if (line === 'other') continue;
        if (line.type === 'hello') heard();
        if (line.type === 'flow' || line.type === 'passed') isEmpty = false;
        if (line.type !== 'hello' && line.type !== 'whole' && line.type !== 'beat') flows.push(line);
        if (line.type === 'whole' || flows.length === MOST_ROWS) {
          put(id, flows, number);
          flows = [];
          if (line.type === 'whole') {
            session.isWhole = true;
            whole(id, number, isEmpty);
          }
          if (turns.due()) await turns.next();
          if (signal.aborted) return;
        }
      }
      put(id, flows, number);
    }
  }
}
