/** What the host plane needs of the slices and of the streams, which are built apart. */

import type { Writable } from 'node:stream';
import type { CompilerTables, TableChange } from '@cable/compiler';
import type { CableError, SliceKey } from '@cable/model';
import type { Compiled } from '../slices/slice-store.ts';
import type { StreamPlane } from './host-stream.ts';
import type { WatchedSlices } from './slice-watermarks.ts';

/** `SliceStore`, as far as the plane uses it. */
export type PlaneSlices = WatchedSlices & {
  /** Number of slices. */
  readonly size: number;
  hasHost(host: string): boolean;
  take(revision: number, changes: readonly TableChange[]): void;
  load(revision: number): Promise<void>;
  /** Called after each batch, also after one that changed nothing. */
  onCompiled(listener: (compiled: Compiled) => void): () => void;
  /** Called during a batch, before its `onCompiled`. */
  onReach(listener: (host: string, key: SliceKey, needed: boolean) => void): () => void;
  stop(): Promise<void>;
};

/** Makes the slices over the tables. `onError`: what could not be computed stays as it was. */
export type MakeSlices<S extends PlaneSlices> = (
  tables: CompilerTables,
  onError: (what: string, err: unknown) => void,
) => S;

/** `Streams`, as far as the plane uses it. */
export type PlaneStreams = {
  /** Number of hosts with a stream. */
  readonly size: number;
  /** Number of open streams by protocol. */
  protocols(): Readonly<Record<string, number>>;
  has(host: string): boolean;
  /** True when that run of the host's agent has a stream here. */
  hasSession(host: string, session: string): boolean;
  /** True while something for the host is due, or was written without a `sync` or `bookmark` behind it; and while it has no stream. */
  owes(host: string): boolean;
  /** Starts a stream of protocol 1. */
  openV1(host: string, since: number, out: Writable): void;
  /** Says why and ends the host's streams. */
  refuse(host: string, error: CableError): void;
  endAll(reason: string): void;
  /** Ends all streams, for good. */
  stop(reason: string): void;
};

/** Makes the streams of the slices. */
export type MakeStreams<S extends PlaneSlices, T extends PlaneStreams> = (slices: S, plane: StreamPlane) => T;
