import type { ByteText } from '../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap } from '../desired.ts';
import { mayDeny } from '../plan/topics.ts';
import type { Unit } from '../plan/units.ts';
import type { Due } from './due.ts';

/** What is to be told of refusals that changed: ports and policies (`policyName`) that have a reason now, had one, or have another. */
export type RefusalChanges = { readonly ports: ReadonlySet<string>; readonly policies: ReadonlySet<string> };

/** Refusals that belong to no port or policy of this host: how many entries a map lacks, and one of the reasons. */
export type RefusalCount = { readonly map: AgentMap; readonly entries: number; readonly reason: string };

/** What keys of refusals of policies begin with. */
const POLICY = 'policy ';

/** Key of refusals that are of no port and no policy. */
const OTHERS = 'other';

/** Entries that were refused, by the port or policy that wants them: it fails, and nothing else. */
export class Refusals {
  readonly #bySubject = new Map<string, Set<Due>>();
  /** Of those of no port and no policy: asked for with every report. */
  readonly #others = new Map<AgentMap, RefusalCount>();
  #ports = new Set<string>();
  #policies = new Set<string>();

  /** Whether anything is refused. */
  get any(): boolean {
    return this.#bySubject.size > 0;
  }

  /** The entry that is wanted was refused. */
  set(due: Due, reason: string): void {
    this.clear(due);
    if (due.want === undefined) return;
    const { unit } = due.want;
    due.refusal = { reason, unit };
    const key = keyOf(unit);
    const dues = this.#bySubject.get(key) ?? new Set<Due>();
    this.#bySubject.set(key, dues);
    dues.add(due);
    if (key === OTHERS) this.#countOther(due.map, 1, reason);
    this.#note(unit);
  }

  clear(due: Due): void {
    const unit = due.refusal?.unit;
    if (unit === undefined) return;
    due.refusal = undefined;
    const key = keyOf(unit);
    const dues = this.#bySubject.get(key);
    dues?.delete(due);
    if (dues?.size === 0) this.#bySubject.delete(key);
    if (key === OTHERS) this.#countOther(due.map, -1);
    this.#note(unit);
  }

  /** The refused entries of the port or policy that this one was refused to: what lets one in may let in all. */
  besides(due: Due): Iterable<Due> {
    const key = due.refusal === undefined ? OTHERS : keyOf(due.refusal.unit);
    return key === OTHERS ? [] : [...(this.#bySubject.get(key) ?? [])];
  }

  /** All refused entries, in the order in which they are to be put. */
  dues(): readonly Due[] {
    const all = [...this.#bySubject.values()].flatMap((dues) => [...dues]);
    return AGENT_MAPS.flatMap((map) => all.filter((due) => due.map === map));
  }

  /** An entry of each policy that may deny and lacks entries: without these it could let pass what it denies. */
  *ofDenying(): Generator<{ readonly key: ByteText; readonly reason: string }> {
    for (const [subject, dues] of this.#bySubject) {
      if (!mayDeny(subject.slice(POLICY.length))) continue;
      for (const { key, refusal } of dues) {
        yield { key, reason: refusal?.reason ?? '' };
        break;
      }
    }
  }

  /** Why something of the port itself was refused. */
  ofPort(portId: string): string | undefined {
    return this.#first(`port ${portId}`);
  }

  /** The same of a policy, by its name. */
  ofPolicy(name: string): string | undefined {
    return this.#first(`${POLICY}${name}`);
  }

  others(): readonly RefusalCount[] {
    return [...this.#others.values()];
  }

  /** What changed since the last call. */
  take(): RefusalChanges {
    const taken = { ports: this.#ports, policies: this.#policies };
    this.#ports = new Set();
    this.#policies = new Set();
    return taken;
  }

  #countOther(map: AgentMap, by: 1 | -1, reason?: string): void {
    const before = this.#others.get(map);
    const entries = (before?.entries ?? 0) + by;
    if (entries > 0) this.#others.set(map, { map, entries, reason: reason ?? before?.reason ?? '' });
    else this.#others.delete(map);
  }

  #note({ family: { subject }, scope, item }: Unit): void {
    if (subject === 'port') this.#ports.add(item);
    if (subject === 'policy') this.#policies.add(scope);
  }

  #first(key: string): string | undefined {
    for (const { refusal } of this.#bySubject.get(key) ?? []) return refusal?.reason;
    return undefined;
  }
}

function keyOf({ family: { subject }, scope, item }: Unit): string {
  if (subject === 'port') return `port ${item}`;
  return subject === 'policy' ? `${POLICY}${scope}` : OTHERS;
}
