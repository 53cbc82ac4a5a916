/** One runner for each plug-in, as long as it is registered. */
import { setMaxListeners } from 'node:events';
import { PluginRunner, type PluginRunnerDeps } from './plugin-runner.ts';

/** How many requests may wait on one signal before Node calls it a leak. */
const LISTENERS = 256;

type Running = { readonly abort: AbortController; readonly runner: PluginRunner };

export class PluginKeeper {
  readonly #deps: PluginRunnerDeps;
  readonly #running = new Map<string, Running>();
  readonly #ended: Promise<void>[] = [];

  constructor(deps: PluginRunnerDeps) {
    this.#deps = deps;
    const stop = deps.tables.onChange((_revision, changes) => {
      if (changes.some(({ type }) => type === 'plugin')) this.#follow();
    });
    deps.signal.addEventListener('abort', stop, { once: true });
    this.#follow();
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return Promise.all([...this.#ended, ...[...this.#running.values()].map(({ runner }) => runner.done)]).then(
      () => {},
    );
  }

  #follow(): void {
    const { tables, signal } = this.#deps;
    const names = new Set([...tables.of('plugin').values()].map(({ name }) => name));
    for (const [name, { abort, runner }] of this.#running) {
      if (names.has(name)) continue;
      abort.abort();
      this.#running.delete(name);
      this.#ended.push(runner.done);
    }
    for (const name of names) {
      if (this.#running.has(name) || signal.aborted) continue;
      const abort = new AbortController();
      const either = AbortSignal.any([signal, abort.signal]);
      setMaxListeners(LISTENERS, either);
      const log = this.#deps.log.child(name);
      this.#running.set(name, { abort, runner: new PluginRunner({ ...this.#deps, log, signal: either }, name) });
    }
  }
}
