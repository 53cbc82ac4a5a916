import type { Request } from './http-connection.ts';

/** What the clients of a job talk to, and what they say. */
export type Target =
  /** The server: the requests one after the other, whichever client is free. `isOnce`: each once, then the job ends; else again from the first. */
  | {
      readonly kind: 'server';
      readonly host: string;
      readonly port: number;
      readonly requests: readonly Request[];
      readonly isOnce: boolean;
    }
  /** etcd's API (`HOST:PORT`), or the store that the server uses too (`lmdb:DIRECTORY`, `etcd:HOST:PORT`): the transaction of a port's create, with this text as the port. */
  | { readonly kind: 'etcd' | 'store'; readonly address: string; readonly value: string };

/** A load that clients make for some time. */
export type Job = {
  readonly target: Target;
  /** How many send at once, each on a connection of its own; each sends its next request when it has its answer. */
  readonly clients: number;
  /** Nobody begins a request after this time; those under way are waited for. */
  readonly seconds: number;
  /** A client begins a request every so many ms, and counts from when it was due; 0: as soon as it can. */
  readonly everyMs: number;
  /** Processes whose CPU time is taken at the job's start and end. */
  readonly pids: readonly number[];
};

/** What a process used during a job. */
export type Usage = {
  /** User and system time of all its threads. */
  readonly cpuMs: number;
  /** Of its first thread, which in Node runs the program. */
  readonly mainThreadMs: number;
};

export type JobResult = {
  /** Time from request to answer, of those that were answered with 2xx. */
  readonly latenciesMs: Float64Array;
  /** How many answers each HTTP status had; a transaction that was done counts as 200. */
  readonly statuses: Readonly<Record<number, number>>;
  /** Longest time to any other answer; 0: none. */
  readonly slowestRefusalMs: number;
  /** Text of the first answer with 400 or more; empty: none. */
  readonly refusal: string;
  readonly elapsedMs: number;
  /** Of the clients' own process. */
  readonly clientCpuMs: number;
  /** Of the job's `pids`, in their order. */
  readonly usage: readonly Usage[];
};

/** What the clients' process says when a job is over. */
export type Report = { readonly result: JobResult } | { readonly failure: string };
