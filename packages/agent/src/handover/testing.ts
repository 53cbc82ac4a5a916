import { CB_CARRY_ROWS, type CbCarry } from '../bpf/abi.gen.ts';
import type { CarryPrograms, Follow, Walk } from './carry-programs.ts';
import { type FlowRecord, rowOf } from './flow-record.ts';
import type { PassedFlow } from './passed-flow.ts';

export const NETWORK = 'a0000000-0000-4000-8000-000000000001';
const COUNT = { packets: 10, bytes: 1000, fin: false, end: 4_000_000_000, ack: 2, window: 3 };

/** A flow that a port at 10.0.0.1 began. */
export const EXAMPLE: FlowRecord = {
  begun: true,
  protocol: 6,
  own: { address: '10.0.0.1', port: 1000 },
  peer: { address: '10.0.0.2', port: 443 },
  peerNetworkId: NETWORK,
  state: 'established',
  expiresMs: 432_000_000,
  sent: COUNT,
  received: { ...COUNT, fin: true, ack: null },
  member: null,
  floating: null,
};

/** A flow from 10.0.0.1 that a router's gateway passes. */
export const PASSED_EXAMPLE: PassedFlow = {
  begun: true,
  protocol: 6,
  inside: { address: '10.0.0.1', port: 1000 },
  outside: { address: '203.0.113.2', port: 2000 },
  peer: { address: '198.51.100.7', port: 443 },
  state: 'established',
  expiresMs: 432_000_000,
  sent: { packets: 10, bytes: 1000, fin: false },
  received: { packets: 9, bytes: 900, fin: true },
};

export const MEMBER_EXAMPLE: FlowRecord = {
  ...EXAMPLE,
  member: {
    id: 'd0000000-0000-4000-8000-000000000001',
    at: { address: '10.0.0.9', port: 8080 },
    sees: { address: '10.0.0.1', port: 1000 },
  },
};

/** For tests: a flow table without a kernel, as the programs see it. */
export class FakeTable implements CarryPrograms {
  /** Flows by source port of the example, as they are. */
  readonly flows: Map<number, { readonly vif: number; readonly packets: number; readonly state?: 'new' }> = new Map();
  /** What was put in, by source port, with its session. */
  readonly taken: Map<number, number> = new Map();
  readonly followed: Map<number, Follow> = new Map();
  readonly #seen = new Map<number, number>();

  follow(vif: number, what: Follow): void {
    if (what === 'nothing') this.followed.delete(vif);
    else this.followed.set(vif, what);
  }

  takeOut({ first, walk = 'whole' }: { readonly first: number; readonly walk?: Walk }): {
    readonly rows: readonly CbCarry[];
    readonly next: number;
  } {
    const rows: CbCarry[] = [];
    for (const [port, { vif, packets, state = EXAMPLE.state }] of [...this.flows].sort(([a], [b]) => a - b)) {
      const follow = this.followed.get(vif);
      if (port < first || follow === undefined) continue;
      const isOfFirst = state !== 'new';
      if (walk !== 'whole' && isOfFirst !== (walk === 'answered')) continue;
      if (follow === 'changes' && this.#seen.get(port) === packets) continue;
      if (rows.length === CB_CARRY_ROWS) return { rows, next: port };
      this.#seen.set(port, packets);
      const flow = { ...EXAMPLE, state, own: { ...EXAMPLE.own, port }, sent: { ...EXAMPLE.sent, packets } };
      const row = rowOf(flow, vif, { network: () => 0, member: () => 0 });
      if (row !== undefined) rows.push(row);
    }
    return { rows, next: 0 };
  }

  putIn(rows: readonly CbCarry[], session: number): ReturnType<CarryPrograms['putIn']> {
    let made = 0;
    for (const { tuple } of rows) {
      const port = tuple[0]?.sportBe ?? 0;
      if (!this.taken.has(port)) made += 1;
      this.taken.set(port, session);
    }
    return { made, renewed: rows.length - made, present: 0, refused: 0 };
  }

  followRouter(): void {}

  passOn(rows: readonly CbCarry[]): ReturnType<CarryPrograms['passOn']> {
    return { made: rows.length, renewed: 0, present: 0, refused: 0, ended: 0, here: [], unready: 0 };
  }

  dropOthers(): number {
    return 0;
  }

  takeGateway(): number {
    return 0;
  }

  leaveGateways(): readonly CbCarry[] {
    return [];
  }

  sweep(_vif: number, session: number): number {
    const before = this.taken.size;
    for (const [port, other] of this.taken) if (other !== session) this.taken.delete(port);
    return before - this.taken.size;
  }

  close(): void {}
}
