import { createBackoff, type Logger, sleep } from '@cable/kit';
import { CableError, type MemberHealth, type MemberReport } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { aliveKey, healthKey, objectKey } from '../keys.ts';
import { memberPort } from '../resources/member-port.ts';
import type { Tables } from '../tables.ts';
import type { HostRegistry } from './registry.ts';

/** A delete has a compare of its own. */
const OPS_A_TXN = 60;
/** A host may change hands, or a row may change, while its report is written. */
const ATTEMPTS = 4;
/** Members of which a host may have told what is not written yet. */
const MAX_MEMBERS_A_HOST = 16_384;

export type MemberReportsDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'has' | 'modRevision' | 'waitFor'>;
  readonly registry: Pick<HostRegistry, 'hear' | 'kept'>;
  /** True while the run has a stream: what it told is tried again for so long. */
  readonly hasStream: (host: string, session: string) => boolean;
  /** Told of what a host's report has had written. Default: nobody is. */
  readonly wrote?: (host: string, ops: readonly Op[]) => void;
  readonly log: Logger;
};

type Change = { readonly op: Op; readonly compares: readonly Compare[] };

/** What a run has told and is not written yet, the last word of each member. */
type Told = { isComplete: boolean; readonly members: Map<string, MemberHealth> };

type Intake = { readonly session: string; told: Told | undefined; done: Promise<void> };

/**
 * Takes in what hosts tell of the members that they probe. A host is believed about members whose address is that of a port it carries, and about no others. What
 * it tells stays until it, or the host to which the port went, tells something else.
 */
export class MemberReports {
  readonly #deps: MemberReportsDeps;
  readonly #intakes = new Map<string, Intake>();

  constructor(deps: MemberReportsDeps) {
    this.#deps = deps;
  }

  /** Resolves when it is durable. What cannot be written now is tried again while the stream is open. Throws `HostSuperseded`, and `InvalidInput` for too many. */
  async tell(host: string, session: string, report: MemberReport): Promise<void> {
    const before = this.#intakes.get(host);
    if (before?.session === session) {
      before.told = merge(host, before.told, report);
      await before.done;
      return;
    }
    const intake: Intake = { session, told: merge(host, undefined, report), done: Promise.resolve() };
    this.#intakes.set(host, intake);
    intake.done = this.#drain(host, intake, before?.done).finally(() => this.#close(host, intake));
    await intake.done;
  }

  #close(host: string, intake: Intake): void {
    if (this.#intakes.get(host) === intake) this.#intakes.delete(host);
  }

  /** `before`: what a run before is writing yet. */
  async #drain(host: string, intake: Intake, before: Promise<void> | undefined): Promise<void> {
    const { hasStream, log } = this.#deps;
    const { session } = intake;
    const backoff = createBackoff({ minMs: 50, maxMs: 2000 });
    await before?.catch(() => undefined);
    for (;;) {
      const { told } = intake;
      if (told === undefined) {
        // In the same turn: what is told from now on would be added to an intake that is over.
        this.#close(host, intake);
        return;
      }
      intake.told = undefined;
      try {
        await this.#take(host, session, told);
        backoff.reset();
      } catch (err) {
        if ((err instanceof CableError && !err.retryable) || !hasStream(host, session)) throw err;
        intake.told = intake.told === undefined ? told : mergeTold(host, told, intake.told);
        log.warn({ host, err }, 'what a host told of members was not written, will retry');
        await sleep(backoff.next());
        if (!hasStream(host, session)) throw err;
      }
    }
  }

  async #take(host: string, session: string, { isComplete, members }: Told): Promise<void> {
    const told = [...members.values()];
    for (let at = 0; at < told.length; at += OPS_A_TXN) {
      const some = told.slice(at, at + OPS_A_TXN);
      await this.#write(host, session, () => some.flatMap((one) => this.#change(host, one)));
    }
    if (!isComplete) return;
    const gone = this.#deps.tables
      .of('health')
      .by('host', host)
      .filter(({ id }) => !members.has(id));
    for (let at = 0; at < gone.length; at += OPS_A_TXN) {
      const some = gone.slice(at, at + OPS_A_TXN);
      await this.#write(host, session, () => some.flatMap(({ id }) => this.#forget(host, id)));
    }
  }

  #change(host: string, { memberId, state, reason }: MemberHealth): readonly Change[] {
    if (state === 'gone') return this.#forget(host, memberId);
    const row = this.#deps.tables.of('health').get(memberId);
    if (state === 'unknown' || !this.#carries(host, memberId)) return [];
    if (row?.host === host && row.state === state && row.reason === reason) return [];
    const value = JSON.stringify({ host, state, reason });
    const exists: Compare = { kind: 'exists', key: objectKey('member', memberId) };
    return [{ op: { kind: 'put', key: healthKey(memberId), value }, compares: [exists] }];
  }

  /** What another host has told since stays. */
  #forget(host: string, memberId: string): readonly Change[] {
    const { tables } = this.#deps;
    if (tables.of('health').get(memberId)?.host !== host) return [];
    const key = healthKey(memberId);
    const revision = tables.modRevision('health', memberId) ?? 0;
    return [{ op: { kind: 'delete', key }, compares: [{ kind: 'modRevision', key, revision }] }];
  }

  #carries(host: string, memberId: string): boolean {
    const { tables } = this.#deps;
    const member = tables.has('member') ? tables.of('member').get(memberId) : undefined;
    return member !== undefined && memberPort(tables, member)?.['binding:host_id'] === host;
  }

  async #write(host: string, session: string, plan: () => readonly Change[]): Promise<void> {
    const { store, tables, registry } = this.#deps;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      registry.hear(host, session);
      await registry.kept(host);
      const changes = plan();
      if (changes.length === 0) return;
      const result = await store.txn(
        [...this.#hostCompares(host), ...changes.flatMap(({ compares }) => compares)],
        changes.map(({ op }) => op),
      );
      if (result.ok) {
        this.#deps.wrote?.(
          host,
          changes.map(({ op }) => op),
        );
      }
      if (!(await tables.waitFor(result.revision))) throw behind();
      if (result.ok) return;
    }
    throw new CableError('TooManyRequestsAtOnce', `Members that host ${host} tells of change all the time.`);
  }

  /** The run that reports must still be the one that speaks for the host, and the host must be there. */
  #hostCompares(host: string): readonly Compare[] {
    const revision = this.#deps.tables.modRevision('alive', host) ?? 0;
    return [
      { kind: 'exists', key: objectKey('host', host) },
      { kind: 'modRevision', key: aliveKey(host), revision },
    ];
  }
}

function merge(host: string, first: Told | undefined, { full, members }: MemberReport): Told {
  return mergeTold(host, first, {
    isComplete: full,
    members: new Map(members.map((member) => [member.memberId, member])),
  });
}

/** What both said, one after the other. Throws for too many members. */
function mergeTold(host: string, first: Told | undefined, second: Told): Told {
  if (first === undefined || second.isComplete) return second;
  const members = new Map([...first.members, ...second.members]);
  if (members.size > MAX_MEMBERS_A_HOST) {
    throw new CableError('InvalidInput', `Host ${host} tells of more than ${MAX_MEMBERS_A_HOST} members.`);
  }
  return { isComplete: first.isComplete, members };
}

function behind(): CableError {
  return new CableError('ServiceUnavailable', 'The store does not tell of what was written to it.');
}
