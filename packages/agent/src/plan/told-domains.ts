/** Which addresses rules mean by names: what DNS told the ports that have a policy (docs/design/fqdn.md). */
import { meansDomain } from '@cable/model';
import type { ToldReader } from './inputs.ts';
import { insideOf, isIn, isSpecial, PrefixSet } from './inside.ts';
import type { Selector } from './policy-selectors.ts';
import type { MemoryRun } from './unit.ts';

type Policy = {
  /** Its name (`policyName`). */
  readonly policy: string;
  readonly networkId: string;
  readonly domainExcept?: readonly string[];
};

type Parts = {
  /** By the name of the selector. */
  readonly selectors: ReadonlyMap<string, readonly string[]>;
  /** By port. */
  readonly told: ReadonlyMap<string, ReturnType<ToldReader['of']>>;
  readonly inside: readonly PrefixSet[];
};

/** What of a policy's ports counts for which of its selectors, as one run finds it. */
export class ToldDomains {
  /** Of all its rules. */
  readonly domains: readonly string[];
  readonly #parts: Parts;
  /** Equal where the same counts of the same that was told. */
  readonly #made: string;
  /** Names of selectors by the name that was told. */
  readonly #meaning = new Map<string, readonly string[]>();
  /** Addresses that some port has been told, as far as this and the runs before know. */
  #orders: Set<string> = new Set();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.domains = [...new Set([...parts.selectors.values()].flat())];
    const { selectors, told, inside } = parts;
    this.#made = [...selectors.keys(), ...[...told.keys()].sort(), ...inside.map(({ name }) => name)].join(' ');
  }

  /** Where no rule means names nothing is read of what was told. */
  static of(run: MemoryRun, policy: Policy, all: ReadonlyMap<string, Selector>): ToldDomains {
    const selectors = new Map(
      [...all.values()].flatMap(({ name, domains }) => (domains === undefined ? [] : [[name, domains] as const])),
    );
    if (selectors.size === 0) return NO_DOMAINS;
    const ports = run.facts('policy-use', policy.policy).keys();
    const told = new Map(Array.from(ports, (portId) => [portId, run.told(portId)] as const));
    return new ToldDomains({ selectors, told, inside: [insideOf(run, policy.networkId), exceptOf(policy)] });
  }

  /** Names of the selectors that mean the address. */
  listed(order: string): readonly string[] {
    if (this.#parts.selectors.size === 0) return NOBODY;
    let found: readonly string[] = NOBODY;
    for (const told of this.#parts.told.values()) {
      for (const name of told.get(order)?.keys() ?? []) {
        const meaning = this.#meaningOf(name);
        if (found === NOBODY) found = meaning;
        else if (meaning !== found && meaning !== NOBODY) found = [...new Set([...found, ...meaning])];
      }
    }
    if (found === NOBODY || isSpecial(order) || isIn(order, this.#parts.inside)) return NOBODY;
    return found;
  }

  /** Addresses that may be meant by others than at the last run. `isOther`: the rules are. */
  *touched(run: MemoryRun, before: ToldDomains, isOther: boolean): Generator<string> {
    const { told } = this.#parts;
    if (before.#made === this.#made && !isOther && !run.afresh) {
      this.#orders = before.#orders;
      for (const portId of told.keys()) yield* this.#noted(run.touchedTold(portId));
      return;
    }
    yield* before.#orders;
    for (const one of told.values()) yield* this.#noted(one.keys());
  }

  *#noted(orders: Iterable<string>): Generator<string> {
    for (const order of orders) {
      const isTold = [...this.#parts.told.values()].some((one) => one.has(order));
      if (isTold) this.#orders.add(order);
      else this.#orders.delete(order);
      yield order;
    }
  }

  #meaningOf(name: string): readonly string[] {
    const known = this.#meaning.get(name);
    if (known !== undefined) return known;
    const meant = [...this.#parts.selectors].flatMap(([selector, domains]) =>
      domains.some((one) => meansDomain(one, name)) ? [selector] : [],
    );
    const meaning = meant.length === 0 ? NOBODY : meant;
    this.#meaning.set(name, meaning);
    return meaning;
  }
}

const NOBODY: readonly string[] = [];

/** Lists of before, each with what was made of it: one of ten thousand is made once and not for each answer. */
const EXCEPTS = new WeakMap<readonly string[], PrefixSet>();
const NO_EXCEPT: readonly string[] = [];

function exceptOf({ domainExcept = NO_EXCEPT }: Policy): PrefixSet {
  const known = EXCEPTS.get(domainExcept);
  if (known !== undefined) return known;
  const made = new PrefixSet(domainExcept);
  EXCEPTS.set(domainExcept, made);
  return made;
}

/** Of who means no names. */
export const NO_DOMAINS: ToldDomains = new ToldDomains({ selectors: new Map(), told: new Map(), inside: [] });
