import type { Logger } from '@cable/kit';
import type { AskFault } from '@cable/model';
import type { JsonRecord } from '../json.ts';
import type { HostState } from './host-state.ts';
import type { MemberReports } from './member-reports.ts';
import type { Refusal } from './refusal.ts';
import type { StatusReports } from './status-reports.ts';

/** Answers an `ask` of the host stream, of which nothing is known yet. */
export type Answer = (ask: JsonRecord) => Promise<{ readonly value: unknown } | { readonly fault: AskFault }>;

/** Why a connection ended. `anew`: the next one is to start from nothing. */
export type Ending = { readonly reason: string; readonly refusal?: Refusal; readonly anew?: true };

/** One connection to the server, of either protocol. `run` answers when it is over; it throws what the transport throws. */
export type Connection = {
  run(): Promise<Ending>;
  /** States of ports are due (`StatusReports`). */
  portsChanged(): void;
  /** What is known of members of pools is due (`MemberReports`). */
  membersChanged(): void;
  /** Another revision is in the kernel. */
  programmed(): void;
};

export type ConnectionDeps = {
  readonly host: string;
  readonly state: HostState;
  readonly reports: StatusReports;
  readonly members: MemberReports;
  /** The last revision that is in the kernel, as far as it is of the store's history; 0: none. */
  readonly programmed: () => number;
  /** Told of every line: the connection lives. */
  readonly heard: () => void;
  /** Told when everything the server has was taken. */
  readonly onSync: () => void;
  /** Answers what the server asks; absent: it is told not to ask. Does not throw. */
  readonly answer?: Answer | undefined;
  readonly log: Logger;
  /** Ends the connection. */
  readonly signal: AbortSignal;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** 0..1 */
  readonly random: () => number;
};

export const SERVER_ENDED: Ending = { reason: 'the server ended the stream' };

/** For a line that no version of the protocol has. */
export function notUnderstood(text: string): Ending {
  return { reason: `the server sent a line that is not understood: ${text.slice(0, 200)}` };
}

/** URL path of the host's part of the native API. */
export function hostPath(host: string): string {
  return `/cable/v1/hosts/${encodeURIComponent(host)}`;
}
