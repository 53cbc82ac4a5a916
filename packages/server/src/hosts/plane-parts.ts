/** What the host plane needs of the slices and of the streams, which are built apart. */
import type { CompilerTables, TableChange } from '@cable/compiler';
import type { HostStatusReport, SliceKey } from '@cable/model';
import type { History } from '../history/history.ts';
import type { ReportSource } from './reports.ts';
import type { WatchedSlices } from './slice-watermarks.ts';

/** What a batch has changed: headers (item null) and items with new content, that came, or that went. */
export type Compiled = {
  /** Everything up to it is in the slices. */
  readonly revision: number;
  readonly changed: readonly { readonly key: SliceKey; readonly item: string | null }[];
};

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

/** What streams ask, and tell. */
export type StreamHooks = {
  readonly history: Pick<History, 'current' | 'knows'>;
  /** Whether the run may have a stream: throws `HostNotRegistered`, `HostSuperseded`. Null: an agent of protocol 1. */
  readonly admit: (host: string, session: string | null) => void;
  /** Resolves false when this server does not know the revision soon. */
  readonly waitFor: (revision: number) => Promise<boolean>;
  /** The client holds everything up to `since`. */
  readonly opened: (host: string, since: number) => void;
  /** A `sync` or `bookmark` that follows content is about to be sent: gives its `ackWithinMs`. */
  readonly sent: (host: string, revision: number) => number;
  /** A `status` line came. */
  readonly report: (host: string, source: ReportSource, report: HostStatusReport) => void;
};

/** `Streams`, as far as the plane uses it. */
export type PlaneStreams = {
  /** Number of hosts with a stream. */
  readonly size: number;
  /** Number of open streams by protocol. */
  protocols(): Readonly<Record<string, number>>;
  has(host: string): boolean;
  /** True while something for the host is due, or was written without a bookmark behind it; and while it has no stream. */
  owes(host: string): boolean;
  end(host: string, reason: string): void;
  endAll(reason: string): void;
};

/** Makes the streams of the slices. */
export type MakeStreams<S extends PlaneSlices, T extends PlaneStreams> = (slices: S, hooks: StreamHooks) => T;
