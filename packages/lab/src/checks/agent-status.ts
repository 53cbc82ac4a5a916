import { readFileSync } from 'node:fs';
import { askAgent } from '../agent-socket.ts';
import { eventually } from '../eventually.ts';
import type { LabHost, LabNames } from '../names.ts';
import { expect } from './check.ts';

/** What a host's agent says about its connection to the server. */
export type ServerStatus = {
  readonly connected: boolean;
  /** Why not. */
  readonly reason: string | null;
  /** The server refuses this host, or the agent the server's store, until an operator does something; absent: of an agent that knows no such thing. */
  readonly refused?: { readonly code: string; readonly message: string } | null;
};

async function serverStatus(host: Pick<LabHost, 'name' | 'root'>): Promise<ServerStatus> {
  return ((await askAgent(host, '/status')) as { readonly server: ServerStatus }).server;
}

/** Waits until the agent has all that the server has for it. Returns how long that took (ms). */
export async function untilSynced(host: LabHost, deadlineMs = 10_000): Promise<number> {
  const startedAt = performance.now();
  await eventually({ what: `the agent of ${host.short} to be in sync`, deadlineMs }, async () => {
    const { connected, reason } = await serverStatus(host);
    expect(connected, reason ?? 'it is not connected');
    return true;
  });
  return performance.now() - startedAt;
}

/** Waits until the agent's status names that refusal. Returns its words. */
export function untilRefused(host: LabHost, code: string, deadlineMs = 10_000): Promise<string> {
  return eventually({ what: `the agent of ${host.short} to be refused with ${code}`, deadlineMs }, async () => {
    const { connected, reason, refused } = await serverStatus(host);
    expect(!connected, 'it is connected');
    expect(refused?.code === code, `it says: ${refused?.code ?? reason}`);
    return refused.message;
  });
}

/** Waits until the agent says by such words why it is not connected. Returns them. */
export function untilUnconnected(host: LabHost, words: RegExp, deadlineMs = 10_000): Promise<string> {
  return eventually({ what: `the agent of ${host.short} to say ${words}`, deadlineMs }, async () => {
    const { connected, reason } = await serverStatus(host);
    expect(!connected && reason !== null && words.test(reason), `it says: ${connected ? 'connected' : reason}`);
    return reason;
  });
}

/** Waits until a process of the lab has written a line with all those words into its log, after `from` bytes. Returns the line. */
export function untilLogged(names: LabNames, log: string, words: readonly string[], from = 0): Promise<string> {
  const path = `${names.dir}/logs/${log}.log`;
  return eventually({ what: `${log} to log ${words.join(' ')}`, deadlineMs: 10_000 }, () =>
    readFileSync(path)
      .subarray(from)
      .toString()
      .split('\n')
      .find((line) => words.every((word) => line.includes(word))),
  );
}
