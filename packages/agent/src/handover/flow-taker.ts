import { type Backoff, type Logger, sleep, startTurns } from '@cable/kit';
import type { CbCarry } from '../bpf/abi.gen.ts';
import { contains, parseMac, parsePrefix } from '../plan/address.ts';
import { sourcesOf } from '../plan/sources.ts';
import { createReconnectWaits } from '../stream/reconnect-waits.ts';
import type { CarryPrograms, PutResult } from './carry-programs.ts';
import { parseFlowLine } from './flow-lines.ts';
import { type FlowRecord, type RecordNumbers, rowOf } from './flow-record.ts';
import type { MovingPorts } from './moving-ports.ts';

export type FlowTakerDeps = {
  readonly carry: () => Pick<CarryPrograms, 'putIn' | 'sweep'>;
  readonly moving: Pick<MovingPorts, 'get'>;
  /** VIF number of a port that is programmed here; undefined: it is not, yet. */
  readonly vif: (portId: string) => number | undefined;
  readonly numbers: RecordNumbers;
  /** Lines that the host with this underlay address tells of a port. */
  readonly ask: (host: string, portId: string, signal: AbortSignal) => AsyncIterable<readonly string[]>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly waits?: () => Backoff;
  /** 16 bits, another each time. Default: random. */
  readonly session?: () => number;
};

/** For status: of all ports together since the start. */
export type TakenFlows = PutResult & {
  /** Ports whose flows another host is asked for. */
  readonly ports: number;
  /** Why it could not be asked, or what it said could not be used, the last time; null: it never happened. */
  readonly error: string | null;
};

type Session = { readonly from: string; readonly end: AbortController };

/** Put in at once: some milliseconds' work. */
const MOST_ROWS = 128;

/** Takes over the flows of ports that come here, from the host that has them, as long as the server says that they move. */
export class FlowTaker {
  readonly #deps: FlowTakerDeps;
  readonly #sessions = new Map<string, Session>();
  #taken: PutResult = { made: 0, renewed: 0, present: 0, refused: 0 };
  #error: string | null = null;

  constructor(deps: FlowTakerDeps) {
    this.#deps = deps;
  }

  get status(): TakenFlows {
    return { ports: this.#sessions.size, ...this.#taken, error: this.#error };
  }

  /** The port moves otherwise, or no more, or is programmed now. */
  check(portId: string): void {
    const { moving, vif, signal } = this.#deps;
    const from = vif(portId) === undefined ? null : (moving.get(portId)?.from ?? null);
    const session = this.#sessions.get(portId);
    if (session?.from === from) return;
    session?.end.abort();
    this.#sessions.delete(portId);
    if (from === null || signal.aborted) return;
    const end = new AbortController();
    this.#sessions.set(portId, { from, end });
    void this.#run(portId, from, AbortSignal.any([signal, end.signal]));
  }

  async #run(portId: string, from: string, signal: AbortSignal): Promise<void> {
    const waits = (this.#deps.waits ?? createReconnectWaits)();
    while (!signal.aborted) {
      try {
        await this.#follow(portId, from, signal, () => waits.reset());
      } catch (err) {
        if (signal.aborted) return;
        const reason = err instanceof Error ? err.message : String(err);
        if (reason !== this.#error)
          this.#deps.log.info({ portId, from, reason }, 'cannot take over the flows of a port');
        this.#error = reason;
      }
      await sleep(waits.next(), signal);
    }
  }

  /** One connection: what the host tells until it ends. */
  async #follow(portId: string, from: string, signal: AbortSignal, heard: () => void): Promise<void> {
    const { ask, session: draw = () => Math.floor(Math.random() * 0x10000) } = this.#deps;
    const session = draw();
    const turns = startTurns();
    for await (const lines of ask(from, portId, signal)) {
      let flows: FlowRecord[] = [];
      for (const text of lines) {
        const line = parseFlowLine(text);
        if (line === undefined) throw new Error(`what ${from} says is not understood: ${text.slice(0, 100)}`);
        if (line === 'other') continue;
        if (line.type === 'hello') heard();
        if (line.type === 'flow') flows.push(line.flow);
        if (line.type === 'whole' || flows.length === MOST_ROWS) {
          this.#put(portId, flows, session);
          flows = [];
          if (line.type === 'whole') this.#sweep(portId, session);
          if (turns.due()) await turns.next();
          if (signal.aborted) return;
        }
      }
      this.#put(portId, flows, session);
    }
  }

  #put(portId: string, flows: readonly FlowRecord[], session: number): void {
    const vif = this.#deps.vif(portId);
    const port = this.#deps.moving.get(portId)?.port;
    if (flows.length === 0 || vif === undefined || port === undefined) return;
    const mac = parseMac(port.macAddress);
    const sources = mac === undefined || !port.portSecurityEnabled ? [] : sourcesOf(port, mac);
    const prefixes = typeof sources === 'string' ? [] : sources.map(({ prefix }) => prefix);
    const mayUse = ({ own }: FlowRecord): boolean => {
      const address = parsePrefix(own.address);
      return !port.portSecurityEnabled || (address !== undefined && prefixes.some((one) => contains(one, address)));
    };
    const rows = flows.flatMap(
      (flow): CbCarry[] => (mayUse(flow) ? (rowOf(flow, vif, this.#deps.numbers) ?? []) : []) as CbCarry[],
    );
    const result = this.#deps.carry().putIn(rows, session);
    const { made, renewed, present, refused } = this.#taken;
    this.#taken = {
      made: made + result.made,
      renewed: renewed + result.renewed,
      present: present + result.present,
      refused: refused + result.refused + flows.length - rows.length,
    };
  }

  /** Not once the port is here: where it was its flows go with its device, which does not end them. */
  #sweep(portId: string, session: number): void {
    const vif = this.#deps.vif(portId);
    if (vif !== undefined && this.#deps.moving.get(portId)?.isHere === false) this.#deps.carry().sweep(vif, session);
  }
}
