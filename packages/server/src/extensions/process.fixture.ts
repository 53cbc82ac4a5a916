/** A server process with a directory of extensions, for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';
import type { Json } from '../testing/harness.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** What the log says when a reload has ended. */
export const LOADED: RegExp = /extensions are loaded/;
export const REFUSED: RegExp = /extensions were not loaded/;

/** Where a server can be started, again and again on one store. */
export type Place = { readonly directory: string; readonly extensions: string; readonly start: () => Promise<Running> };

export type Running = {
  readonly child: ChildProcess;
  readonly url: string;
  /** Every line of the log up to now. */
  readonly log: readonly string[];
  /** Sends SIGHUP, and resolves to the line of the log that says how it ended. */
  reload(): Promise<string>;
  send(
    method: string,
    path: string,
    body?: object,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly body: Json }>;
};

/** A directory of its own, gone when the test ends. */
export async function makePlace(t: TestContext): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), `cable-extensions-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const extensions = join(directory, 'extensions');
  await mkdir(extensions);
  const args = ['--store', `lmdb:${directory}/store`, '--listen', '127.0.0.1:0', '--extensions', extensions];
  return { directory, extensions, start: () => startProcess(t, args) };
}

/** Killed when the test ends. */
async function startProcess(t: TestContext, args: readonly string[]): Promise<Running> {
  const child = spawn(process.execPath, [...sourceProgram(MAIN), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const log: string[] = [];
  let heard = (_line: string): void => {};
  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line);
    heard(line);
  });
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => resolve(line.replace('listening on ', '')));
    child.on('close', () => reject(new Error(log.join('\n'))));
  });
  const reload = (): Promise<string> => {
    const done = new Promise<string>((resolve) => {
      heard = (line) => {
        if (LOADED.test(line) || REFUSED.test(line)) resolve(line);
      };
    });
    child.kill('SIGHUP');
    return done;
  };
  const send: Running['send'] = async (method, path, body, headers = {}) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: (text === '' ? undefined : JSON.parse(text)) as Json };
  };
  return { child, url, log, reload, send };
}
