/** What was last found of each slice of endpoints: a Service of many slices is looked at anew only where something is different. */

type Part<V> = { readonly facts: object; readonly untilMs: number; readonly value: V };

/** A look at a slice that has begun. What becomes different meanwhile makes it stale. */
type Look = { readonly facts: object; isStale: boolean };

export class SliceParts<V> {
  readonly #parts = new Map<string, Part<V>>();
  readonly #looks = new Map<string, Look>();
  readonly #podsOf = new Map<string, ReadonlySet<string>>();
  readonly #slicesOf = new Map<string, Set<string>>();

  /** `facts`: the slice as it is now, which is another object when it is different. Undefined: look at it. */
  get(slice: string, facts: object, nowMs: number): V | undefined {
    const part = this.#parts.get(slice);
    return part?.facts === facts && nowMs < part.untilMs ? part.value : undefined;
  }

  /** A look begins. `pods`: keys of those on whose ports it rests. */
  begin(slice: string, facts: object, pods: ReadonlySet<string>): Look {
    this.#rest(slice, pods);
    const look = { facts, isStale: false };
    this.#looks.set(slice, look);
    return look;
  }

  /** What was found, which counts until then, unless something of it was different meanwhile. */
  end(slice: string, look: Look, value: V, untilMs: number): void {
    if (this.#looks.get(slice) !== look) return;
    this.#looks.delete(slice);
    if (!look.isStale) this.#parts.set(slice, { facts: look.facts, untilMs, value });
  }

  /** The ports of a pod are others: what rests on them is looked at anew. Answers the slices. */
  podChanged(pod: string): readonly string[] {
    const slices = [...(this.#slicesOf.get(pod) ?? [])];
    for (const slice of slices) {
      this.#parts.delete(slice);
      const look = this.#looks.get(slice);
      if (look !== undefined) look.isStale = true;
    }
    return slices;
  }

  forget(slice: string): void {
    this.#parts.delete(slice);
    this.#looks.delete(slice);
    this.#rest(slice, new Set());
  }

  /** All of them are looked at anew. */
  clear(): void {
    this.#parts.clear();
    for (const look of this.#looks.values()) look.isStale = true;
  }

  #rest(slice: string, pods: ReadonlySet<string>): void {
    for (const pod of this.#podsOf.get(slice) ?? []) {
      const others = this.#slicesOf.get(pod);
      if (pods.has(pod)) continue;
      others?.delete(slice);
      if (others?.size === 0) this.#slicesOf.delete(pod);
    }
    for (const pod of pods) {
      const known = this.#slicesOf.get(pod);
      if (known === undefined) this.#slicesOf.set(pod, new Set([slice]));
      else known.add(slice);
    }
    if (pods.size === 0) this.#podsOf.delete(slice);
    else this.#podsOf.set(slice, pods);
  }
}
