import type { Backoff, Logger } from '@cable/kit';
import type { CbCarry } from '../bpf/abi.gen.ts';
import type { GroupPlaces } from '../guest/joined-groups.ts';
import { contains, parseMac, parsePrefix } from '../plan/address.ts';
import { sourcesOf } from '../plan/sources.ts';
import type { CarryPrograms, PutResult } from './carry-programs.ts';
import type { FlowLine } from './flow-lines.ts';
import { type FlowRecord, type RecordNumbers, rowOf } from './flow-record.ts';
import { FlowSessions } from './flow-sessions.ts';
import type { MovingPorts } from './moving-ports.ts';

export type FlowTakerDeps = {
  readonly carry: () => Pick<CarryPrograms, 'putIn' | 'sweep'>;
  readonly moving: Pick<MovingPorts, 'get'>;
  /** VIF number of a port that is programmed here; undefined: it is not, yet. */
  readonly vif: (portId: string) => number | undefined;
  readonly numbers: RecordNumbers;
  /** Where what guests have joined is kept; undefined: nobody asks them. */
  readonly groups?: Pick<GroupPlaces, 'write'> | undefined;
  /** Lines that the host with this underlay address tells of a port. */
  readonly ask: (host: string, portId: string, signal: AbortSignal) => AsyncIterable<readonly string[]>;
  /** Whether the port's flows are here is otherwise than it was. */
  readonly onChange: (portId: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly waits?: () => Backoff;
  /** 16 bits, not 0, another each time. Default: random. */
  readonly session?: () => number;
};

/** For status: of all ports together since the start. */
export type TakenFlows = PutResult & {
  /** Ports whose flows another host is asked for. */
  readonly ports: number;
  /** Why it could not be asked, or what it said could not be used, the last time; null: it never happened. */
  readonly error: string | null;
};

/** Takes over the flows of ports that come here, from the host that has them, as long as the server says that they move. */
export class FlowTaker {
  readonly #deps: FlowTakerDeps;
  readonly #sessions: FlowSessions;
  #taken: PutResult = { made: 0, renewed: 0, present: 0, refused: 0 };

  constructor(deps: FlowTakerDeps) {
    this.#deps = deps;
    const { ask, log, signal, waits, session } = deps;
    this.#sessions = new FlowSessions({
      what: 'port',
      ...{ ask, log, signal, waits, session },
      put: (portId, lines, number) => {
        this.#putGroups(portId, lines);
        this.#put(
          portId,
          lines.flatMap((line) => (line.type === 'flow' ? line.flow : [])),
          number,
        );
      },
      whole: (portId, number, isEmpty) => {
        if (!isEmpty) this.#sweep(portId, number);
        this.#deps.onChange(portId);
      },
    });
  }

  get status(): TakenFlows {
    return { ports: this.#sessions.size, ...this.#taken, error: this.#sessions.error };
  }

  /** The port moves otherwise, or no more, or is programmed now. */
  check(portId: string): void {
    const { moving, vif, onChange } = this.#deps;
    const hadFlows = this.hasFlows(portId);
    this.#sessions.set(portId, vif(portId) === undefined ? null : (moving.get(portId)?.from ?? null));
    if (hadFlows !== this.hasFlows(portId)) onChange(portId);
  }

  /** Whether the port comes from another host, and all flows that it had there when that was asked are here. */
  hasFlows(portId: string): boolean {
    return this.#sessions.isWhole(portId);
  }

  #putGroups(portId: string, lines: readonly FlowLine[]): void {
    const { vif, groups } = this.#deps;
    const number = vif(portId);
    const last = lines.findLast((line) => line.type === 'groups');
    if (last?.type === 'groups' && number !== undefined) groups?.write(number, portId, last.joined);
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

  /**
   * Not once the port is here, and not by a source that has none: where it was its flows go with its device, which does not end them. Whoever was started a moment ago knows the
   * second before the first.
   */
  #sweep(portId: string, session: number): void {
    const vif = this.#deps.vif(portId);
    if (vif !== undefined && this.#deps.moving.get(portId)?.isHere === false) this.#deps.carry().sweep(vif, session);
  }
}
