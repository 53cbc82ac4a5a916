import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { sleep } from '@cable/kit';
import { tcxProgramIds } from '../../packages/agent/src/bpf/tcx.ts';
import { inNetns } from '../../packages/agent/src/net/netns.ts';
import type { Version } from './previous-version.ts';
import { eventually, Program } from './program.ts';

/** What an agent of any version says of itself. */
export type AgentStatus = {
  readonly revision: number;
  /** An agent of the previous version names no protocol. */
  readonly server: { readonly connected: boolean; readonly protocol?: number | null };
  readonly vifs: { readonly up: number; readonly down: number; readonly error: number };
  /** Of this version. */
  readonly underlay_path?: { readonly peers: number; readonly devices: readonly unknown[] };
  readonly handover?: {
    readonly routers?: { readonly made: number; readonly renewed: number; readonly waiting: number };
  };
  /** Addresses of Services on its links. */
  readonly announced?: { readonly addresses: readonly { readonly address: string; readonly state: string }[] };
  /** What it knows of hosts of gateways, by underlay address, and whose place it has taken. */
  readonly gateways?: { readonly stands: readonly string[]; readonly hosts: Readonly<Record<string, string>> };
};

export type BedHostOptions = {
  readonly name: string;
  readonly underlay: string;
  /** Unix socket of the server. */
  readonly server: string;
  /** For state and sockets. */
  readonly home: string;
};

/** A ping that runs until it is stopped. */
export type RunningPing = {
  /** The last that was answered: its place in the order of sending. */
  readonly answered: number;
  /** Ends it after ten more answers. What was sent up to the last answer, how many of these were not answered, and their places. */
  stop(): Promise<{ readonly sent: number; readonly lost: number; readonly missing: readonly number[] }>;
};

/** A machine: a network namespace of the same name, and an agent of some version in it. */
export class BedHost {
  readonly name: string;
  readonly underlay: string;
  readonly pins: string;
  /** Directory of the agent's state. */
  readonly state: string;
  /** Socket of the agent. */
  readonly socket: string;
  readonly #enter: readonly string[];
  readonly #agent: Program;
  readonly #pings = new Set<ChildProcess>();
  /** Of the last start that came to its end. */
  #startMs = 0;

  constructor({ name, underlay, server, home }: BedHostOptions) {
    this.name = name;
    this.underlay = underlay;
    this.pins = `/sys/fs/bpf/cable/${name}`;
    this.state = join(home, 'state');
    this.socket = join(home, 'run', 'agent.sock');
    this.#enter = ['nsenter', `--net=/run/netns/${name}`];
    this.#agent = new Program({
      main: 'packages/agent/src/main.ts',
      prefix: this.#enter,
      args: [
        ...['--host', name, '--server', `unix:${server}`, '--underlay', underlay, '--log-level', 'error'],
        ...['--state', this.state, '--run', join(home, 'run')],
      ],
      isReady: () => eventually(`the agent of ${name} answers`, () => this.status()),
    });
  }

  /** Starts an agent of that version, with more options; it answers when this resolves. */
  async start(version: Version, ...options: readonly string[]): Promise<void> {
    const begun = performance.now();
    await this.#agent.start(version, ...options);
    this.#startMs = performance.now() - begun;
  }

  end(signal: NodeJS.Signals): Promise<void> {
    return this.#agent.end(signal);
  }

  /**
   * Ends the running agent; then starts agents of that version, one after the other, and kills each. `killedAt`: when, as parts of the time
   * until the agent of before, of whatever version, answered.
   */
  async killInStart(version: Version, killedAt: readonly number[], ...options: readonly string[]): Promise<void> {
    for (const part of killedAt) {
      await this.end('SIGTERM');
      const started = this.start(version, ...options).catch(() => undefined);
      await sleep(this.#startMs * part);
      await this.end('SIGKILL');
      await started;
    }
  }

  /** What runs on what the device receives, as `tc` says it. */
  filtersOf(device: string): string {
    return this.#exec('tc', 'filter', 'show', 'dev', device, 'ingress').trim();
  }

  /** Whether the uplink's dispatcher is on the device. */
  hasUplinkProgram(device: string): boolean {
    const { ifindex } = this.#link(device);
    return inNetns(`/run/netns/${this.name}`, () => tcxProgramIds(ifindex, 'enter_uplink').length === 1);
  }

  /** Packets that a device has received. */
  receivedBy(device: string): number {
    return this.#link(device).stats64.rx.packets;
  }

  /** Starts an agent of that version, with more options, in place of the running one, and waits until it is in step. */
  async replace(version: Version, ...options: readonly string[]): Promise<AgentStatus> {
    await this.end('SIGTERM');
    await this.start(version, ...options);
    return await this.inStep();
  }

  /** Resolves when the agent has all that the server has for it in the kernel, without an error. */
  inStep(): Promise<AgentStatus> {
    return eventually(`${this.name} is in step`, async () => {
      const status = await this.status();
      const isThere = status?.server.connected && status.revision > 0 && status.vifs.error + status.vifs.down === 0;
      return isThere ? status : undefined;
    });
  }

  /** Undefined: no agent answers. */
  async status(): Promise<AgentStatus | undefined> {
    return (await this.#asked('/status')) as AgentStatus | undefined;
  }

  /** Rows of a map, as its agent shows them. */
  async maps(name: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const maps = await this.#asked('/maps');
    return (maps as Readonly<Record<string, Readonly<Record<string, unknown>>[]>> | undefined)?.[name] ?? [];
  }

  #asked(path: string): Promise<unknown> {
    return new Promise((resolve) => {
      const call = request({ socketPath: this.socket, path }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve(JSON.parse(text)));
        response.on('error', () => resolve(undefined));
      });
      call.on('error', () => resolve(undefined));
      call.end();
    });
  }

  /** Ends everything that runs here. */
  async kill(): Promise<void> {
    for (const ping of this.#pings) ping.kill('SIGKILL');
    await this.end('SIGKILL');
  }

  /** Removes what agents of any version left, by the command of that version. */
  teardown(version: Version): void {
    const [program, args] = this.#agent.command(version);
    execFileSync(program, [...args, '--teardown'], { cwd: version.root, stdio: ['ignore', 'ignore', 'inherit'] });
  }

  links(): readonly string[] {
    return (JSON.parse(this.#exec('ip', '-j', 'link', 'show')) as { ifname: string }[]).map((link) => link.ifname);
  }

  /** Asks for a lease on a port's link; whether it is told one. */
  getsLease(link: string): boolean {
    try {
      this.#exec('udhcpc', '-i', link, '-n', '-q', '-f', '-t', '3', '-T', '1', '-s', '/bin/true');
      return true;
    } catch {
      return false;
    }
  }

  /** How many of five pings are answered; for an answer it waits so many seconds at most. */
  answersFrom(address: string, waitS = 10): number {
    try {
      const report = this.#exec('ping', '-q', '-c', '5', '-i', '0.02', '-W', String(waitS), address);
      return Number(/(\d+) received/.exec(report)?.[1]);
    } catch {
      return 0;
    }
  }

  /** Pings 100 times a second. */
  startPing(address: string): RunningPing {
    const [program = '', ...args] = [...this.#enter, 'ping', '-i', '0.01', address];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#pings.add(child);
    const answered = new Set<number>();
    let sent = 0;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const sequence = /icmp_seq=(\d+) ttl=/.exec(line)?.[1];
      if (sequence === undefined) return;
      answered.add(Number(sequence));
      sent = Math.max(sent, Number(sequence));
    });
    return {
      get answered() {
        return sent;
      },
      stop: async () => {
        const before = sent;
        await eventually(`${address} answers ${this.name}`, () => sent >= before + 10);
        const closed = once(child, 'close');
        child.kill('SIGINT');
        await closed;
        this.#pings.delete(child);
        const missing = Array.from({ length: sent }, (_, n) => n + 1).filter((n) => !answered.has(n));
        return { sent, lost: missing.length, missing };
      },
    };
  }

  #link(device: string): { readonly ifindex: number; readonly stats64: { readonly rx: { readonly packets: number } } } {
    const [link] = JSON.parse(this.#exec('ip', '-s', '-j', 'link', 'show', device));
    return link;
  }

  #exec(...command: readonly string[]): string {
    const [program = '', ...args] = [...this.#enter, ...command];
    return execFileSync(program, args, { encoding: 'utf8', timeout: 30_000, stdio: ['ignore', 'pipe', 'pipe'] });
  }
}
