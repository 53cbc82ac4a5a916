import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Client, createClient } from '@cable/api';
import { type HttpTransport, httpTransport } from '@cable/kit';
import { BedHost } from './bed-host.ts';
import { CURRENT, type Version } from './previous-version.ts';
import { Program } from './program.ts';

/** A server on a store of its own, and hosts, two as a rule, on one underlay that follow it; each may be of another version. */
export class VersionBed {
  readonly h1: BedHost;
  readonly h2: BedHost;
  /** All of them. */
  readonly hosts: readonly BedHost[];
  readonly api: Client;
  /** Of the server, as clients take it. */
  readonly address: string;
  readonly #transport: HttpTransport;
  readonly #dir: string;
  readonly #wire: string;
  readonly #server: Program;

  /** `label`: short, and no other bed's. `more`: hosts besides two. Nothing runs yet. */
  constructor(label: string, more = 0) {
    const name = `cbver-${label}-${process.pid}`;
    this.#dir = mkdtempSync(join(tmpdir(), `${name}-`));
    this.#wire = `${name}-wire`;
    const socket = join(this.#dir, 'server.sock');
    const host = (n: number): BedHost => {
      const home = join(this.#dir, `h${n}`);
      return new BedHost({ name: `${name}-h${n}`, underlay: `192.0.2.${n}`, server: socket, home });
    };
    this.h1 = host(1);
    this.h2 = host(2);
    this.hosts = [this.h1, this.h2, ...Array.from({ length: more }, (_, n) => host(n + 3))];
    this.#server = new Program({
      main: 'packages/server/src/main.ts',
      prefix: [],
      args: ['--store', `lmdb:${join(this.#dir, 'store')}`, '--listen', `unix:${socket}`, '--log-level', 'error'],
      isReady: listens,
    });
    this.address = `unix:${socket}`;
    this.#transport = httpTransport(this.address);
    this.api = createClient({ transport: this.#transport });
  }

  /** Makes the namespaces and starts server and agents; a host without a version gets none. */
  async start(server: Version, ...agents: readonly Version[]): Promise<void> {
    ip('netns', 'add', this.#wire);
    ip('-n', this.#wire, 'link', 'add', 'br0', 'up', 'type', 'bridge');
    for (const [n, host] of this.hosts.entries()) this.#join(host, `p${n + 1}`);
    const started = this.hosts.flatMap((host, n) => {
      const version = agents[n];
      return version === undefined ? [] : [host.start(version)];
    });
    await Promise.all([this.#server.start(server), ...started]);
  }

  /** Stops the server in good order and starts one of that version on its store. */
  async replaceServer(version: Version): Promise<void> {
    await this.stopServer();
    await this.#server.start(version);
  }

  startServer(version: Version): Promise<void> {
    return this.#server.start(version);
  }

  stopServer(): Promise<void> {
    return this.#server.end('SIGTERM');
  }

  /** It has no time to end in good order. */
  killServer(): Promise<void> {
    return this.#server.end('SIGKILL');
  }

  /** Ends everything and removes it, however far it came. */
  async remove(): Promise<void> {
    const { hosts } = this;
    this.#transport.close();
    await Promise.all([...hosts.map((host) => host.kill()), this.#server.end('SIGKILL')]);
    for (const host of hosts) if (existsSync(`/run/netns/${host.name}`)) host.teardown(CURRENT);
    for (const netns of [...hosts.map((host) => host.name), this.#wire]) {
      if (existsSync(`/run/netns/${netns}`)) ip('netns', 'delete', netns);
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #join({ name, underlay }: BedHost, port: string): void {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', this.#wire);
    ip('-n', this.#wire, 'link', 'set', port, 'master', 'br0', 'up');
    ip('-n', name, 'address', 'add', `${underlay}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args);
}

/** A server says on its standard output where it listens. */
async function listens({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new Error('no output');
  for await (const line of createInterface({ input: stdout })) if (line.startsWith('listening on ')) return;
  throw new Error('the server ended before it listened');
}
