import { isDeepStrictEqual } from 'node:util';
import type { StatedFact, Topic, Topics } from './topics.ts';

/** A fact that stands. */
export type Fact<T extends Topic = Topic> = {
  readonly subject: Subject;
  readonly member: string;
  readonly value: Topics[T];
};

/** Topic and key: what a fact is about, and what units read. */
export type Subject = { readonly topic: Topic; readonly key: string };

/** Called when a fact came, went or has another value; before that, `presence` when the first fact of a subject came or the last went. */
export type FactListener = {
  changed(subject: Subject, member: string): void;
  presence(subject: Subject, present: boolean): void;
};

type Counted = { subject: SubjectFacts; member: string; value: Topics[Topic]; count: number };

type SubjectFacts = Subject & { readonly facts: Map<string, Counted>; sorted: Counted[] | undefined };

/** Facts by subject, counted by how many units state them. A change costs what it changes, also where a subject has very many facts. */
export class Facts {
  readonly #topics = new Map<Topic, Map<string, SubjectFacts>>();
  readonly #listener: FactListener;

  constructor(listener: FactListener) {
    this.#listener = listener;
  }

  /** A unit states these now instead of `before`, which an earlier call returned for it. */
  replace(before: readonly Fact[], stated: readonly StatedFact[]): readonly Fact[] {
    if (before.length === 0 && stated.length === 0) return before;
    const after = stated.map((one) => this.#state(one));
    for (const fact of before) this.#retract(fact as Counted);
    return after;
  }

  /** Facts of the subject by member, in no order. */
  of<T extends Topic>(topic: T, key: string): ReadonlyMap<string, Fact<T>> {
    return (this.#topics.get(topic)?.get(key)?.facts ?? NONE) as ReadonlyMap<string, Fact<T>>;
  }

  /** Facts of the subject, sorted by member. The list is kept sorted from the first call on. */
  sorted<T extends Topic>(topic: T, key: string): readonly Fact<T>[] {
    const subject = this.#topics.get(topic)?.get(key);
    if (subject === undefined) return [];
    subject.sorted ??= [...subject.facts.values()].sort((a, b) => (a.member < b.member ? -1 : 1));
    return subject.sorted as unknown as readonly Fact<T>[];
  }

  /** Keys under which facts of the topic stand. */
  keys(topic: Topic): Iterable<string> {
    return this.#topics.get(topic)?.keys() ?? [];
  }

  #state({ topic, key, member, value }: StatedFact): Fact {
    const subject = this.#subject(topic, key);
    const known = subject.facts.get(member);
    if (known !== undefined) {
      known.count += 1;
      if (known.value !== value && !isDeepStrictEqual(known.value, value)) {
        known.value = value;
        this.#listener.changed(subject, member);
      }
      return known;
    }
    const fact: Counted = { subject, member, value, count: 1 };
    subject.facts.set(member, fact);
    if (subject.sorted !== undefined) subject.sorted.splice(place(subject.sorted, member), 0, fact);
    if (subject.facts.size === 1) this.#listener.presence(subject, true);
    this.#listener.changed(subject, member);
    return fact;
  }

  #retract(fact: Counted): void {
    fact.count -= 1;
    if (fact.count > 0) return;
    const { subject, member } = fact;
    subject.facts.delete(member);
    subject.sorted?.splice(place(subject.sorted, member), 1);
    if (subject.facts.size === 0) {
      this.#topics.get(subject.topic)?.delete(subject.key);
      this.#listener.presence(subject, false);
    }
    this.#listener.changed(subject, member);
  }

  #subject(topic: Topic, key: string): SubjectFacts {
    const known = this.#topics.get(topic)?.get(key);
    if (known !== undefined) return known;
    const made: SubjectFacts = { topic, key, facts: new Map(), sorted: undefined };
    const keys = this.#topics.get(topic) ?? new Map<string, SubjectFacts>();
    this.#topics.set(topic, keys.set(key, made));
    return made;
  }
}

const NONE: ReadonlyMap<string, Fact> = new Map();

/** Index of the first fact whose member is not before `member`. */
function place(sorted: readonly Counted[], member: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.member ?? '') < member) low = middle + 1;
    else high = middle;
  }
  return low;
}
