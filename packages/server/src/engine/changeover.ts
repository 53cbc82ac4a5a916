/** Between one state of what is loaded and the next: no transaction is planned by the one and committed beside the other. */
export class Changeover {
  #running = 0;
  #idle: () => void = () => {};
  #open: (() => void) | undefined;
  #opened: Promise<void> = Promise.resolve();

  /** Called by each transaction before it is planned; resolves to what is called when it has ended. Waits while what is loaded changes. */
  async enter(): Promise<() => void> {
    while (this.#open !== undefined) await this.#opened;
    this.#running += 1;
    return () => {
      this.#running -= 1;
      if (this.#running === 0) this.#idle();
    };
  }

  /** Resolves when no transaction is under way, and none begins until the answered function is called. One at a time. */
  async close(): Promise<() => void> {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    return () => {
      const open = this.#open;
      this.#open = undefined;
      open?.();
    };
  }
}
