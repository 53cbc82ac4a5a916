import type { SliceKey } from '@cable/model';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';

type Slices = Pick<SliceReader, 'item' | 'header'>;

/**
 * The Services of each scope that have an endpoint on no node, so none of a pod (docs/design/pod-vpc.md). Kept as the state changes: a change costs as many looks as it has parts, and a question none
 * at endpoints, however many there are.
 */
export class BesideServices {
  readonly #slices: Slices;
  /** Of endpoints on no node, by their slice: the Service of each. */
  readonly #serviceOf = new Map<SliceKey, Map<string, string>>();
  /** How many such endpoints each Service has, by scope. */
  readonly #counts = new Map<string, Map<string, number>>();

  constructor(slices: Slices) {
    this.#slices = slices;
  }

  /** IDs, of a scope. */
  of(scopeId: string): Iterable<string> {
    return this.#counts.get(scopeId)?.keys() ?? [];
  }

  /** The state changed. True: others are such Services than before, or one of them, or what routers have a scope in force, is another. */
  take({ changes }: Pick<StateUpdate, 'changes'>): boolean {
    let isOther = false;
    for (const { key, item } of changes) {
      if (key.startsWith(BACKENDS)) {
        if (item !== null && this.#look(key as `${typeof BACKENDS}${string}`, item)) isOther = true;
      } else if (key.startsWith(SERVICES)) {
        const counts = this.#counts.get(key.slice(SERVICES.length));
        if (counts !== undefined && (item === null || counts.has(item))) isOther = true;
      }
    }
    return isOther;
  }

  /** True: a Service has come to be one of these, or is none any more. */
  #look(key: `${typeof BACKENDS}${string}`, item: string): boolean {
    const scopeId = key.slice(BACKENDS.length);
    const endpoint = this.#slices.item(key, item);
    const before = this.#serviceOf.get(key)?.get(item);
    const now = endpoint === undefined || endpoint.host !== undefined ? undefined : endpoint.serviceId;
    if (before === now) return false;
    const known = this.#serviceOf.get(key) ?? new Map<string, string>();
    if (now === undefined) known.delete(item);
    else known.set(item, now);
    if (known.size === 0) this.#serviceOf.delete(key);
    else this.#serviceOf.set(key, known);
    const [gone, come] = [this.#add(scopeId, before, -1), this.#add(scopeId, now, 1)];
    return gone || come;
  }

  /** True: it was none before, or is none now. */
  #add(scopeId: string, serviceId: string | undefined, more: 1 | -1): boolean {
    if (serviceId === undefined) return false;
    const counts = this.#counts.get(scopeId) ?? new Map<string, number>();
    const before = counts.get(serviceId) ?? 0;
    const now = before + more;
    if (now === 0) counts.delete(serviceId);
    else counts.set(serviceId, now);
    if (counts.size === 0) this.#counts.delete(scopeId);
    else this.#counts.set(scopeId, counts);
    return before === 0 || now === 0;
  }
}

const BACKENDS = 'backends:';
const SERVICES = 'services:';
