/** Which EndpointSlices each Service has, as they say. */
export class SliceIndex {
  readonly #service = new Map<string, string>();
  readonly #slices = new Map<string, Set<string>>();

  /** `service` undefined: the slice is gone; empty: it is of none. */
  put(slice: string, service: string | undefined): void {
    const before = this.#service.get(slice);
    if (before === service) return;
    if (before !== undefined) {
      const others = this.#slices.get(before);
      others?.delete(slice);
      if (others?.size === 0) this.#slices.delete(before);
    }
    if (service === undefined) {
      this.#service.delete(slice);
      return;
    }
    this.#service.set(slice, service);
    const known = this.#slices.get(service);
    if (known === undefined) this.#slices.set(service, new Set([slice]));
    else known.add(slice);
  }

  of(service: string): Iterable<string> {
    return this.#slices.get(service) ?? [];
  }
}
