import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { sourceProgram } from '@cable/kit/testing';
import { eventually } from '../versions/program.ts';
import { enter } from './outside-bed.ts';

const PROGRAM = new URL('party.ts', import.meta.url).pathname;

/** An end of many connections, in a namespace: `party.ts`, until the test ends. */
export class Party {
  readonly #child: ChildProcess;
  /** Times of events, by event and connection. */
  readonly #seen = new Map<string, number[]>();

  constructor(t: TestContext, netns: string, ...args: readonly string[]) {
    const child = spawn(...enter(netns, process.execPath, ...sourceProgram(PROGRAM), ...args), {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child = child;
    t.after(() => child.kill('SIGKILL'));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { event, n } = JSON.parse(line) as { readonly event: string; readonly n: number };
      const key = `${event} ${n}`;
      this.#seen.set(key, [...(this.#seen.get(key) ?? []), performance.now()]);
    });
  }

  /** Says something on every connection. */
  speak(): void {
    this.#child.stdin?.write('speak\n');
  }

  /** Connections on which it has seen that at least so often. */
  count(event: string, times = 1): number {
    return [...this.#seen].filter(([key, at]) => key.startsWith(`${event} `) && at.length >= times).length;
  }

  /** Longest time since then that some connection was without an answer, in ms. */
  gap(since: number): number {
    const gaps = [...this.#seen].flatMap(([key, all]) => {
      const at = [since, ...all.filter((one) => one > since)];
      return key.startsWith('answer ') ? at.slice(1).map((one, n) => one - (at[n] ?? one)) : [];
    });
    return Math.round(Math.max(0, ...gaps));
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }

  /** Waits until it has seen that, at least so often, on so many connections. */
  async has(event: string, connections: number, what: string, times = 1): Promise<void> {
    try {
      await eventually(what, () => this.count(event, times) >= connections);
    } catch {
      assert.fail(`${what}: ${this.count(event, times)} of ${connections}`);
    }
  }
}
