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
  readonly synced: boolean;
};

export async function serverStatus(host: Pick<LabHost, 'name' | 'root'>): Promise<ServerStatus> {
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

/** Waits until the agent's status says that the server refused it, in words that match. Returns them. */
export function untilRefused(host: LabHost, words: RegExp, deadlineMs = 10_000): Promise<string> {
  return eventually({ what: `the agent of ${host.short} to be refused (${words.source})`, deadlineMs }, async () => {
    const { connected, reason } = await serverStatus(host);
    expect(!connected, 'it is connected');
    expect(reason !== null && words.test(reason), `it says: ${reason}`);
    return reason;
  });
}

/** Waits until a process of the lab has written such a line into its log, after `from` bytes. Returns the line. */
export function untilLogged(names: LabNames, log: string, words: RegExp, from = 0): Promise<string> {
  const path = `${names.dir}/logs/${log}.log`;
  return eventually({ what: `${log} to log ${words.source}`, deadlineMs: 10_000 }, () =>
    readFileSync(path)
      .subarray(from)
      .toString()
      .split('\n')
      .find((line) => words.test(line)),
  );
}
