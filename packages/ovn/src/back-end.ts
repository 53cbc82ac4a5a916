/** The parts of `cable ovn`, put together. */
import { randomUUID } from 'node:crypto';
import type { Logger } from '@cable/kit';
import { ChassisBook, SOUTHBOUND_TABLES } from './contract/chassis.ts';
import { type ListenPlace, startContractServer } from './contract/contract-server.ts';
import { Intake } from './contract/intake.ts';
import { answerVerb, type HealthAnswer } from './contract/verbs.ts';
import { OvsdbClient } from './ovsdb/ovsdb-client.ts';
import type { Remote, RemoteTls } from './ovsdb/remote.ts';
import { Reconciler, type ReconcilerCounts } from './reconcile/reconciler.ts';
import { Reports } from './reconcile/reports.ts';
import { Translation } from './translate/translation.ts';
import { NORTHBOUND_TABLES } from './translate/wanted-row.ts';

export type BackEndOptions = {
  readonly listen: ListenPlace;
  readonly token: string;
  readonly listenTls: { readonly cert: string; readonly key: string } | undefined;
  readonly northbound: readonly Remote[];
  readonly southbound: readonly Remote[];
  readonly ovnTls: RemoteTls | undefined;
};

/** It runs until the signal aborts. */
export type BackEnd = {
  readonly health: () => HealthAnswer;
  readonly counts: () => ReconcilerCounts;
  /** Where it listens, if by TCP. */
  readonly port: number | undefined;
  /** Resolves after the signal aborted. */
  readonly done: Promise<unknown>;
};

/** One of several writes. */
const LOCK = 'cable_ovn';
const VERSION = '1';

/** Starts it. Throws `ExpectedError` when it cannot listen. */
export async function startBackEnd(
  options: BackEndOptions,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<BackEnd> {
  const translation = new Translation();
  const reports = new Reports();
  const isComplete = (): boolean => intake.isComplete && chassis.isKnown;
  const reconciler = new Reconciler({ translation, reports, isComplete, log: log.child('reconcile'), signal });
  const touch = (units: readonly string[]): void => reconciler.touch(units);
  const intake = new Intake(translation, touch);
  const chassis = new ChassisBook(translation, touch);
  const tls = options.ovnTls === undefined ? {} : { tls: options.ovnTls };
  const northbound = new OvsdbClient(
    { remotes: options.northbound, database: 'OVN_Northbound', tables: NORTHBOUND_TABLES, lock: LOCK, ...tls },
    { listener: reconciler, log: log.child('northbound'), signal },
  );
  reconciler.writeBy(northbound);
  const southbound = new OvsdbClient(
    { remotes: options.southbound, database: 'OVN_Southbound', tables: SOUTHBOUND_TABLES, ...tls },
    { listener: chassis, log: log.child('southbound'), signal },
  );
  const health = (): HealthAnswer => {
    const problem = problemOf({ northbound, southbound, intake, reconciler });
    const { pending, counts } = reconciler;
    const told = { pending, transactions: counts.transactions, refused: counts.refused, writes: reconciler.hasLock };
    return { ok: problem === undefined, ...(problem === undefined ? {} : { reason: problem }), ...told };
  };
  const deps = { intake, chassis, reports, version: VERSION, instance: randomUUID(), health, signal };
  const { listen: place, token, listenTls } = options;
  const answer = (verb: string, body: Readonly<Record<string, unknown>>): unknown => answerVerb(verb, body, deps);
  const { port } = await startContractServer(
    { place, token, tls: listenTls, answer },
    { log: log.child('contract'), signal },
  );
  return {
    health,
    counts: () => reconciler.counts,
    port,
    done: Promise.all([reconciler.done, northbound.done, southbound.done]),
  };
}

type Parts = {
  readonly northbound: OvsdbClient;
  readonly southbound: OvsdbClient;
  readonly intake: Intake;
  readonly reconciler: Reconciler;
};

function problemOf({ northbound, southbound, intake, reconciler }: Parts): string | undefined {
  if (northbound.problem !== undefined) return `the Northbound database is away: ${northbound.problem}`;
  if (southbound.problem !== undefined) return `the Southbound database is away: ${southbound.problem}`;
  if (!reconciler.hasLock) return 'another back end writes: this one stands by';
  const { resources, objects } = intake.lacks;
  if (intake.isComplete) return undefined;
  return resources.length > 0
    ? `was not told all yet: sync was not called for ${resources.join(', ')}`
    : `was not told all yet: ${objects} objects are to come`;
}
