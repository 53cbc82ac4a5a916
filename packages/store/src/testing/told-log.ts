import type { Logger } from '@cable/kit';

/** A logger that says nothing but to whoever waits for a message. */
export type ToldLog = {
  readonly log: Logger;
  /** Resolves when the message has been logged, from now on, with these fields. Rejects after 20 s. */
  told(message: string, fields?: Readonly<Record<string, unknown>>): Promise<void>;
};

export function createToldLog(): ToldLog {
  const listeners = new Set<(fields: object, message: string) => void>();
  const say = (fields: object, message: string): void => {
    for (const listener of [...listeners]) listener(fields, message);
  };
  const log: Logger = { debug: say, info: say, warn: say, error: say, child: () => log };
  const told: ToldLog['told'] = (message, wanted = {}) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`'${message}' was not logged for a minute`)), 60_000);
      const listener = (fields: object, said: string): void => {
        const has = new Map<string, unknown>(Object.entries(fields));
        if (said !== message || !Object.entries(wanted).every(([name, value]) => has.get(name) === value)) return;
        clearTimeout(timer);
        listeners.delete(listener);
        resolve();
      };
      listeners.add(listener);
    });
  return { log, told };
}
