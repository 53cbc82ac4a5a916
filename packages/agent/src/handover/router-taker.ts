import type { Backoff, Logger } from '@cable/kit';
import { CB_CARRY_ROWS, type CbCarry } from '../bpf/abi.gen.ts';
import type { CarryPrograms, PutResult } from './carry-programs.ts';
import { type FlowLine, ROUTER } from './flow-lines.ts';
import { FlowSessions } from './flow-sessions.ts';
import { type PassedFlow, passedFlowOf, passedRow } from './passed-flow.ts';
import type { RouterMoves, RouterPlaces } from './router-places.ts';

export type RouterTakerDeps = {
  readonly carry: () => Pick<CarryPrograms, 'followRouter' | 'passOn' | 'dropOthers' | 'takeGateway' | 'leaveGateways'>;
  readonly places: Pick<RouterPlaces, 'get' | 'addresses' | 'hasAddress' | 'networks' | 'external'>;
  /** Lines that the host with this underlay address tells of what is behind `FLOWS_PATH`. */
  readonly ask: (host: string, path: string, signal: AbortSignal) => AsyncIterable<readonly string[]>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly waits?: () => Backoff;
  readonly session?: () => number;
};

/** For status: of all routers together since the start. */
export type TakenRouterFlows = PutResult & {
  /** Routers whose flows another host is asked for. */
  readonly routers: number;
  readonly ended: number;
  /** Connections of this host's own ports that are kept for the moment when it becomes the gateway's. */
  readonly waiting: number;
  /** Of these: have got the router's address, or have given it up. */
  readonly turned: number;
  readonly error: string | null;
};

/** Of all routers: what is more is not kept, and does not outlive its gateway. */
const MOST_WAITING = 65_536;
/** Of what this host knows itself: no session has that. */
const OF_THIS_HOST = 0;

type Waiting = { readonly flow: PassedFlow; readonly session: number };

/**
 * Takes over flows of routers that this host stands by for, from the host of the gateway, as long as that is another. Of this host's own ports the flow table knows the same
 * connections already, without the router's address: what is told of them waits until the gateway is here.
 */
export class RouterTaker {
  readonly #deps: RouterTakerDeps;
  readonly #sessions: FlowSessions;
  /** By router. */
  readonly #waiting = new Map<string, Map<string, Waiting>>();
  /** Numbers by which the programs know routers. */
  readonly #named = new Map<string, number>();
  #taken = { made: 0, renewed: 0, present: 0, refused: 0, ended: 0, waiting: 0, turned: 0 };

  constructor(deps: RouterTakerDeps) {
    this.#deps = deps;
    const { log, signal, waits, session } = deps;
    this.#sessions = new FlowSessions({
      what: 'router',
      ...{ log, signal, waits, session },
      ask: (host, routerId, until) => deps.ask(host, `${ROUTER}${routerId}`, until),
      put: (routerId, lines, number) => this.#put(routerId, lines, number),
      whole: (routerId, number) => this.#whole(routerId, number),
    });
  }

  get status(): TakenRouterFlows {
    return { routers: this.#sessions.size, ...this.#taken, error: this.#sessions.error };
  }

  /** Before anything of it is in the maps. */
  take({ came, left, changed }: RouterMoves): void {
    for (const id of came) this.#come(id);
    this.#leave(left);
    for (const id of changed) {
      const place = this.#deps.places.get(id);
      this.#sessions.set(id, place?.from ?? null);
      if (place === undefined) this.#forget(id);
    }
  }

  #put(id: string, lines: readonly FlowLine[], session: number): void {
    const { places, carry } = this.#deps;
    const place = places.get(id);
    if (place === undefined) return;
    const flows = lines.flatMap((line) => (line.type === 'passed' ? line.flow : []));
    const rows: CbCarry[] = [];
    const of: PassedFlow[] = [];
    for (const flow of flows) {
      const networks = places.networks(id, flow.inside.address);
      if (networks === undefined) throw new Error('the router is not planned yet');
      if (!places.hasAddress(id, flow.outside.address)) continue;
      rows.push(passedRow(flow, networks));
      of.push(flow);
    }
    if (flows.length === 0) return;
    const result = carry().passOn(rows, { session, standsBy: !place.isHere });
    if (result.unready > 0) throw new Error('the router is not programmed yet');
    const here = result.here.flatMap((at) => of[at] ?? []);
    if (place.isHere) this.#turn(id, here);
    else for (const flow of here) this.#wait(id, { flow, session });
    const taken = this.#taken;
    for (const count of ['made', 'renewed', 'present', 'ended'] as const) taken[count] += result[count];
    taken.refused += result.refused + flows.length - rows.length;
  }

  #wait(id: string, { flow, session }: Waiting): void {
    const known = this.#waiting.get(id) ?? new Map<string, Waiting>();
    this.#waiting.set(id, known);
    const key = keyOf(flow);
    if (known.delete(key)) this.#taken.waiting -= 1;
    if (flow.state === 'closed' || flow.expiresMs === 0 || this.#taken.waiting >= MOST_WAITING) return;
    known.set(key, { flow, session });
    this.#taken.waiting += 1;
  }

  #whole(id: string, session: number): void {
    const { places, carry } = this.#deps;
    const place = places.get(id);
    if (place === undefined || place.isHere) return;
    this.#name(id, place.number);
    this.#taken.ended += carry().dropOthers(place.number, session);
    for (const [key, waiting] of this.#waiting.get(id) ?? []) {
      if (waiting.session === session) continue;
      this.#waiting.get(id)?.delete(key);
      this.#taken.waiting -= 1;
    }
  }

  #come(id: string): void {
    const waiting = [...(this.#waiting.get(id)?.values() ?? [])].map(({ flow }) => flow);
    this.#dropWaiting(id);
    this.#turn(id, waiting);
  }

  #turn(id: string, flows: readonly PassedFlow[]): void {
    const { places, carry } = this.#deps;
    const rows = flows.flatMap((flow) => {
      const networks = places.networks(id, flow.inside.address);
      return networks === undefined || flow.state === 'closed' ? [] : [passedRow(flow, networks)];
    });
    for (let at = 0; at < rows.length; at += CB_CARRY_ROWS) {
      this.#taken.turned += carry().takeGateway(rows.slice(at, at + CB_CARRY_ROWS));
    }
  }

  /** What they were waits again: the gateway may come back before the other host has told anything. Once that has told all, only what it has told counts. */
  #leave(ids: readonly string[]): void {
    if (ids.length === 0) return;
    const { places, carry } = this.#deps;
    const byNumber = new Map<number, string>();
    for (const id of ids) {
      const place = places.get(id);
      if (place === undefined) continue;
      this.#name(id, place.number);
      byNumber.set(place.number, id);
    }
    const rows = carry().leaveGateways([...byNumber.keys()]);
    this.#taken.turned += rows.length;
    for (const row of rows) {
      const id = byNumber.get(row.router) ?? '';
      const external = places.external(id);
      const flow = external === undefined ? undefined : passedFlowOf(row, external);
      if (flow !== undefined) this.#wait(id, { flow, session: OF_THIS_HOST });
    }
  }

  #name(id: string, number: number): void {
    const { places, carry } = this.#deps;
    carry().followRouter(number, places.addresses(id));
    this.#named.set(id, number);
  }

  #forget(id: string): void {
    this.#dropWaiting(id);
    const number = this.#named.get(id);
    if (number !== undefined) this.#deps.carry().followRouter(number, [], 'nothing');
    this.#named.delete(id);
  }

  #dropWaiting(id: string): void {
    this.#taken.waiting -= this.#waiting.get(id)?.size ?? 0;
    this.#waiting.delete(id);
  }
}

function keyOf({ protocol, inside, peer }: PassedFlow): string {
  return `${protocol} ${inside.address} ${inside.port} ${peer.address} ${peer.port}`;
}
