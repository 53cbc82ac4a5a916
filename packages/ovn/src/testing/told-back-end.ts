/** The process of `cable ovn`, told what is to be there as a server tells it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HttpTransport, httpTransport } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { RESOURCES, type ResourceName } from '../translate/neutron.ts';
import type { TestServer } from './ovsdb-server.ts';
import { until } from './until.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** What whoever asks it is to show. */
export const TOKEN = 'secret of a test';

/** What a request is answered with. */
export type Answer = Readonly<Record<string, unknown>>;

/** An object as the API shows it. */
export type ToldObject = Answer & { readonly id: string; readonly revision_number?: number };

/** It remembers what was told, for a process that has just started. */
export class ToldBackEnd {
  readonly #northbound: TestServer;
  readonly #southbound: TestServer;
  readonly #path: string;
  readonly #tokenFile: string;
  readonly #desired = new Map<string, { readonly resource: ResourceName; readonly object: ToldObject }>();
  readonly #transport: HttpTransport;
  #process: ChildProcess | undefined;

  /** Starts nothing yet. */
  constructor(northbound: TestServer, southbound: TestServer) {
    this.#northbound = northbound;
    this.#southbound = southbound;
    this.#path = join(northbound.directory, 'contract.sock');
    this.#tokenFile = join(northbound.directory, 'token');
    writeFileSync(this.#tokenFile, TOKEN, { mode: 0o600 });
    this.#transport = httpTransport(this.endpoint);
  }

  /** Where it is asked: `unix:PATH`. */
  get endpoint(): string {
    return `unix:${this.#path}`;
  }

  /** Starts the process, and tells it nothing. Resolves when it answers. */
  async start(): Promise<void> {
    const databases = ['--northbound', this.#northbound.remote, '--southbound', this.#southbound.remote];
    const words = [
      ...sourceProgram(MAIN),
      '--listen',
      this.endpoint,
      '--token-file',
      this.#tokenFile,
      ...databases,
      '--log-level',
      'error',
    ];
    this.#process = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'inherit'] });
    await until(() => this.#answers(), 60);
  }

  /** Ends it at once, whatever it does. */
  async kill(): Promise<void> {
    const running = this.#process;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  }

  /** One request. */
  async ask(verb: string, body: Answer = {}): Promise<{ readonly status: number; readonly body: Answer }> {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
    const request = { method: 'POST', path: `/v1/${verb}`, headers, body: JSON.stringify(body) };
    const answer = await this.#transport.request(request);
    return { status: answer.status, body: JSON.parse(answer.body) as Answer };
  }

  /** The object is to be so. Throws when it is not taken. */
  async put(resource: ResourceName, object: ToldObject): Promise<void> {
    const key = `${resource}/${object.id}`;
    const verb = this.#desired.has(key) ? 'update' : 'create';
    this.#desired.set(key, { resource, object });
    const { status, body } = await this.ask(verb, { resource, object, revision: object.revision_number ?? 0 });
    if (status !== 200) throw new Error(`${verb} of ${resource}: ${JSON.stringify(body)}`);
  }

  /** The object is to be no more. */
  async remove(resource: ResourceName, id: string): Promise<void> {
    const object = this.#desired.get(`${resource}/${id}`)?.object ?? { id };
    this.#desired.delete(`${resource}/${id}`);
    await this.ask('delete', { resource, object, revision: object['revision_number'] ?? 0 });
  }

  /** Tells a process that has just started all that is to be there, as a server does that finds another `instance`. */
  async sync(): Promise<void> {
    const all = [...this.#desired.values()];
    const lacking = await Promise.all(
      RESOURCES.map(async (resource) => {
        const mine = all.filter((one) => one.resource === resource);
        const objects = mine.map(({ object }) => ({ id: object.id, revision: object.revision_number ?? 0 }));
        const { body } = await this.ask('sync', { resource, objects });
        const wanted = new Set([...(body['missing'] as string[]), ...(body['stale'] as string[])]);
        return mine.filter(({ object }) => wanted.has(object.id));
      }),
    );
    await Promise.all(lacking.flat().map(({ resource, object }) => this.put(resource, object)));
  }

  /** Until all that was told is in the Northbound database. */
  settled(seconds = 30): Promise<void> {
    return until(async () => (await this.ask('health')).body['pending'] === 0, seconds);
  }

  async close(): Promise<void> {
    await this.kill();
    this.#transport.close();
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.ask('health')).status === 200;
    } catch {
      return false;
    }
  }
}
