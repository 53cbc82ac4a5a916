import { createSocket } from 'node:dgram';
import type { Logger } from '@cable/kit';
import { type FlowRecord, isExported } from './flow-record.ts';
import { type Delta, encodeLoss, encodeMessage, encodeRecord, setOf, TEMPLATE, templateSets } from './ipfix.ts';

/** Where a collector is. */
export type CollectorPlace = { readonly address: string; readonly port: number };

/** Sends one datagram; `done` is told how it went. */
export type SendDatagram = (bytes: Uint8Array, done: (err: Error | null) => void) => void;

export type FlowCollectorDeps = {
  readonly host: string;
  /** Which of a collector's exporters this is, 1..2^32-1. */
  readonly domain: number;
  readonly send: SendDatagram;
  /** What was lost before it came here, since the agent runs. */
  readonly lost: () => number;
  readonly after: (ms: number, call: () => void) => () => void;
  readonly nowMs: () => number;
  readonly log: Logger;
};

export type CollectorCounters = {
  readonly flow_records_sent: number;
  readonly flow_records_unsent: number;
};

/** Longest message: it fits a datagram that no underlay cuts. */
const MESSAGE_BYTES = 1300;
const OVERHEAD_BYTES = 20;
/** A record waits so long at the most for others. */
const FLUSH_MS = 500;
/** RFC 7011 8.4: over UDP templates are told again and again. */
const TEMPLATES_MS = 60_000;
/** Flows of which it is kept what was told of them. */
const MAX_TOLD = 131_072;
const NOTHING: Delta = { packets: [0n, 0n], bytes: [0n, 0n] };

/** Tells a collector of flows by IPFIX over UDP. A collector that is not there harms nothing: what is sent to it is lost. */
export class FlowCollector {
  readonly #deps: FlowCollectorDeps;
  /** What was told of flows that go on, by number. */
  readonly #told = new Map<number, Delta & { readonly life: bigint }>();
  #waiting: { readonly template: number; readonly bytes: Buffer }[] = [];
  #bytes = 0;
  #cancel: (() => void) | undefined;
  #templatesAt = Number.NEGATIVE_INFINITY;
  #sequence = 0;
  #unsent = 0;
  #isFailing = false;

  constructor(deps: FlowCollectorDeps) {
    this.#deps = deps;
  }

  get counters(): CollectorCounters {
    return { flow_records_sent: this.#sequence - this.#unsent, flow_records_unsent: this.#unsent };
  }

  /** Takes what the flow has carried until now for told. */
  note({ flow, life, packets, bytes }: FlowRecord): void {
    if (this.#told.size >= MAX_TOLD && !this.#told.has(flow)) return;
    this.#told.set(flow, { life, packets, bytes });
  }

  /** Tells of it, if it is one of those that a port exports. An update without news is not told. */
  add(record: FlowRecord): void {
    if (!isExported(record)) return;
    const delta = this.#deltaOf(record);
    if (record.kind === 'update') {
      if (delta.packets[0] === 0n && delta.packets[1] === 0n) return;
      this.note(record);
    } else if (record.kind === 'end') this.#told.delete(record.flow);
    const { host } = this.#deps;
    const encoded = encodeRecord(record, delta, host);
    if (this.#bytes + encoded.bytes.length + OVERHEAD_BYTES > MESSAGE_BYTES) this.flush();
    this.#waiting.push(encoded);
    this.#bytes += encoded.bytes.length + OVERHEAD_BYTES;
    this.#cancel ??= this.#deps.after(FLUSH_MS, () => this.flush());
  }

  /** Sends what waits. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#bytes = 0;
    const { nowMs } = this.#deps;
    if (nowMs() - this.#templatesAt >= TEMPLATES_MS) this.#sendTemplates();
    const sets: Buffer[] = [];
    for (const template of [TEMPLATE.ipv4, TEMPLATE.ipv6]) {
      const records = waiting.flatMap((one) => (one.template === template ? [one.bytes] : []));
      if (records.length > 0) sets.push(setOf(template, records));
    }
    this.#send(sets, waiting.length);
  }

  #sendTemplates(): void {
    const { lost, domain, nowMs } = this.#deps;
    this.#templatesAt = nowMs();
    const loss = setOf(TEMPLATE.loss, [encodeLoss(domain, this.#sequence, lost() + this.#unsent)]);
    this.#send([...templateSets(), loss], 1);
  }

  #send(sets: readonly Buffer[], records: number): void {
    const { domain, send, nowMs, log } = this.#deps;
    const message = encodeMessage(sets, { seconds: Math.floor(nowMs() / 1000), sequence: this.#sequence, domain });
    this.#sequence += records;
    send(message, (err) => {
      if (err !== null) this.#unsent += records;
      if ((err !== null) !== this.#isFailing) {
        this.#isFailing = err !== null;
        if (err === null) log.info({}, 'flow records are sent again');
        else log.warn({ err }, 'flow records cannot be sent; they are lost');
      }
    });
  }

  #deltaOf({ kind, flow, life, packets, bytes }: FlowRecord): Delta {
    if (kind === 'begin' || kind === 'drop') return { packets, bytes };
    const told = this.#told.get(flow);
    const before = told?.life === life ? told : NOTHING;
    return { packets: less(packets, before.packets), bytes: less(bytes, before.bytes) };
  }
}

function less(now: readonly [bigint, bigint], before: readonly [bigint, bigint]): readonly [bigint, bigint] {
  return [now[0] - before[0], now[1] - before[1]];
}

/** A socket to the collector; `close` ends it. */
export function openCollector({ address, port }: CollectorPlace): { readonly send: SendDatagram; close(): void } {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => undefined);
  socket.unref();
  return {
    send: (bytes, done) => socket.send(bytes, port, address, (err) => done(err ?? null)),
    close: () => socket.close(),
  };
}
