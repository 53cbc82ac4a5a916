/**
 * One simulated agent: registers, opens the stream, takes every line, acknowledges as it is asked to, and reports the devices of its own ports as up. It
 * does not plan or program anything. Lines are read without parsing their JSON, so that a process carries thousands of agents without being the bottleneck.
 */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import {
  type AgentLine,
  HOST_PROTOCOL,
  HOST_UPGRADE,
  type HostWelcome,
  type ServerLine,
  type StoreHistory,
} from '@cable/model';
import { untilListens } from './reachable.ts';
import type { Renewal, SharedSlices } from './shared-slices.ts';

const HEARTBEAT_MS = 5000;
const RETRY_MS = { least: 100, most: 1000 };
const MODULUS = 2 ** 48;

export type SimulatedAgentOptions = {
  readonly host: string;
  readonly underlay: string;
  /** Servers in the order in which they are tried. */
  readonly servers: readonly string[];
  readonly slices: SharedSlices;
  /** True: slices that other agents of this process hold, this one holds from the first. */
  readonly warm: boolean;
  readonly observer: Observer;
};

/** What happens to an agent; times are of the monotonic clock of the machine, in ms. */
export type Observer = {
  /** In sync. `fits`: its digest was that of the server. */
  synced(host: string, tookMs: number, bytes: number, fits: boolean): void;
  lost(host: string, reason: string): void;
  /** An item of an `endpoints` slice came or went after the first sync. */
  endpoint(item: string, deleted: boolean, atMs: number): void;
  bytes(count: number): void;
  acknowledged(): void;
};

const keepAlive = new Agent({ keepAlive: true, maxSockets: 64 });

/** Milliseconds of a clock that all processes of the machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class SimulatedAgent {
  readonly #options: SimulatedAgentOptions;
  readonly #agentId = randomUUID();
  readonly #session = randomUUID();
  readonly #keys = new Set<string>();
  /** Slices that this agent is being sent whole and that nobody else of the process holds as a whole. */
  readonly #feeding = new Set<string>();
  /** Slices of which some buckets are being sent. */
  readonly #renewals = new Map<string, Renewal>();
  readonly #newPorts: string[] = [];
  #socket: Socket | undefined;
  #rest: Buffer | undefined;
  #history: StoreHistory | null = null;
  #revision = 0;
  #synced = false;
  #startedAt = 0;
  #bytes = 0;
  #server = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #ack: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: SimulatedAgentOptions) {
    this.#options = options;
  }

  get isSynced(): boolean {
    return this.#synced;
  }

  /** Connects, and again after each loss, until `stop`. */
  start(): void {
    this.#startedAt = monotonicMs();
    this.#connect().catch((err: unknown) => this.#lost(err instanceof Error ? err.message : String(err)));
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#ack);
    this.#socket?.destroy();
  }

  /** Ends the connection; the agent comes back by itself with what it holds, or with nothing. */
  cut(options: { readonly forget: boolean }): void {
    if (options.forget) {
      this.#keys.clear();
      this.#revision = 0;
    }
    this.#socket?.destroy();
  }

  async #connect(): Promise<void> {
    const { host, underlay, servers, warm, slices } = this.#options;
    const server = servers[this.#server % servers.length] ?? '';
    // Of several servers the next may be up.
    if (servers.length === 1 && (await untilListens(server))) await wait(Math.random() * RETRY_MS.most);
    if (this.#stopped) return;
    const path = `/cable/v1/hosts/${host}`;
    const registration = { underlay, agentVersion: 'bench', agentId: this.#agentId, session: this.#session };
    const welcome = await put(server + path, { ...registration, protocol: HOST_PROTOCOL });
    if (this.#stopped) return;
    const socket = await upgrade(`${server}${path}/watch`);
    this.#socket = socket;
    this.#rest = undefined;
    this.#renewals.clear();
    this.#synced = false;
    this.#bytes = 0;
    if (warm && this.#revision === 0) for (const key of slices.keys()) this.#keys.add(key);
    const held = [...this.#keys];
    const resume: AgentLine = {
      type: 'resume',
      session: this.#session,
      since: warm && this.#revision === 0 ? 1 : this.#revision,
      history: this.#history ?? welcome.history,
      slices: Object.fromEntries(held.map((key) => [key, slices.digest(key)])),
      compares: true,
    };
    socket.write(`${JSON.stringify(resume)}\n`);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#lost('connection closed'));
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => this.#report(), HEARTBEAT_MS * (0.9 + Math.random() * 0.2));
  }

  #lost(reason: string): void {
    this.#socket = undefined;
    this.#synced = false;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#ack);
    this.#ack = undefined;
    if (this.#stopped) return;
    this.#options.observer.lost(this.#options.host, reason);
    this.#startedAt = monotonicMs();
    this.#server += 1;
    setTimeout(() => this.start(), RETRY_MS.least + Math.random() * (RETRY_MS.most - RETRY_MS.least)).unref();
  }

  #take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#options.observer.bytes(chunk.length);
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const part = chunk.subarray(from, end);
      const line = this.#rest === undefined ? part : Buffer.concat([this.#rest, part]);
      this.#rest = undefined;
      from = end + 1;
      if (line.length > 0) this.#line(line);
    }
    if (from < chunk.length) {
      const tail = chunk.subarray(from);
      this.#rest = this.#rest === undefined ? Buffer.from(tail) : Buffer.concat([this.#rest, tail]);
    }
  }

  #line(line: Buffer): void {
    const head = line.toString('latin1', 0, Math.min(line.length, 400));
    const type = head.slice(9, head.indexOf('"', 9));
    switch (type) {
      case 'put':
        this.#put(head);
        break;
      case 'delete':
        this.#delete(head);
        break;
      case 'header':
        this.#header(head);
        break;
      case 'reset':
        this.#reset(textAfter(head, '"key":"'));
        break;
      case 'drop':
        this.#keys.delete(textAfter(head, '"key":"'));
        break;
      case 'compare':
        this.#compare(textAfter(head, '"key":"'), numberAfter(head, '"of":'));
        break;
      case 'reset-buckets':
        this.#resetBuckets(line.toString('latin1'));
        break;
      case 'sync':
      case 'bookmark':
        this.#complete(type, line.toString('latin1'));
        break;
      case 'hello':
        this.#history = (JSON.parse(line.toString('latin1')) as { history: StoreHistory }).history;
        break;
      case 'refused':
        this.#options.observer.lost(this.#options.host, line.toString('latin1'));
        break;
    }
  }

  #reset(key: string): void {
    this.#keys.add(key);
    const { slices } = this.#options;
    if (slices.isWhole(key) && !this.#synced) return;
    this.#feeding.add(key);
    // While another agent of the process is being sent it as well, both take the same items in.
    if (!slices.has(key) || this.#synced) slices.reset(key);
  }

  #compare(key: string, of: number): void {
    const digests = this.#options.slices.bucketDigests(key, of);
    this.#socket?.write(`{"type":"buckets","key":"${key}","digests":${digests}}\n`);
  }

  #resetBuckets(line: string): void {
    const { key, of, buckets } = JSON.parse(line) as Extract<ServerLine, { readonly type: 'reset-buckets' }>;
    this.#feeding.add(key);
    this.#renewals.set(key, { of, buckets: new Set(buckets), items: new Set() });
  }

  #header(head: string): void {
    const key = textAfter(head, '"key":"');
    this.#keys.add(key);
    this.#options.slices.header(key, numberAfter(head, '"hash":'));
  }

  #put(head: string): void {
    const key = textAfter(head, '"key":"');
    const isOwn = key.startsWith('host:');
    if (!this.#synced && !isOwn && !this.#feeding.has(key)) return;
    const item = textAfter(head, '"item":"');
    this.#options.slices.put(key, item, numberAfter(head, '"hash":'));
    this.#renewals.get(key)?.items.add(item);
    if (!this.#synced) return;
    if (isOwn) this.#newPorts.push(item);
    else if (key.startsWith('endpoints:')) this.#options.observer.endpoint(item, false, monotonicMs());
  }

  #delete(head: string): void {
    const key = textAfter(head, '"key":"');
    const item = textAfter(head, '"item":"');
    this.#options.slices.delete(key, item);
    if (this.#synced && key.startsWith('endpoints:')) this.#options.observer.endpoint(item, true, monotonicMs());
  }

  #complete(type: 'sync' | 'bookmark', line: string): void {
    this.#revision = numberAfter(line, '"revision":');
    if (this.#history !== null && line.includes('"mark":'))
      this.#history = { ...this.#history, mark: textAfter(line, '"mark":"') };
    if (type === 'bookmark') {
      const at = line.indexOf('"ackWithinMs":');
      if (at >= 0) this.#acknowledge(numberAfter(line, '"ackWithinMs":') * Math.random());
      return;
    }
    const { slices, observer, host } = this.#options;
    for (const [key, renewal] of this.#renewals) slices.renewed(key, renewal);
    this.#renewals.clear();
    slices.sent(this.#feeding);
    this.#feeding.clear();
    this.#synced = true;
    let digest = 0;
    for (const key of this.#keys) digest = (digest + slices.digest(key)) % MODULUS;
    observer.synced(host, monotonicMs() - this.#startedAt, this.#bytes, digest === numberAfter(line, '"digest":'));
    this.#acknowledge(0);
  }

  #acknowledge(delayMs: number): void {
    if (this.#ack !== undefined) return;
    if (delayMs < 1) {
      this.#report();
      return;
    }
    this.#ack = setTimeout(() => {
      this.#ack = undefined;
      this.#report();
    }, delayMs);
  }

  #report(): void {
    const vifs = this.#newPorts.splice(0).map((portId) => ({ portId, state: 'up' as const, reason: null }));
    const line: AgentLine = { type: 'status', revision: this.#revision, full: false, vifs };
    this.#socket?.write(`${JSON.stringify(line)}\n`);
    this.#options.observer.acknowledged();
  }
}

function textAfter(line: string, mark: string): string {
  const from = line.indexOf(mark) + mark.length;
  return line.slice(from, line.indexOf('"', from));
}

function numberAfter(line: string, mark: string): number {
  return Number.parseInt(line.slice(line.indexOf(mark) + mark.length, line.indexOf(mark) + mark.length + 17), 10);
}

function put(url: string, body: object): Promise<HostWelcome> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const sent = request(url, { method: 'PUT', agent: keepAlive, headers }, (answer) => {
      let received = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        received += chunk;
      });
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(JSON.parse(received) as HostWelcome);
        else reject(new Error(`registration was answered ${answer.statusCode}: ${received}`));
      });
    });
    sent.on('error', reject);
    sent.end(text);
  });
}

function upgrade(url: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, headers: { connection: 'Upgrade', upgrade: HOST_UPGRADE } });
    sent.on('upgrade', (_answer, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    sent.on('response', (answer) => {
      answer.resume();
      reject(new Error(`watch was answered ${answer.statusCode}`));
    });
    sent.on('error', reject);
    sent.end();
  });
}
