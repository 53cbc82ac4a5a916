import { type AgentLine, CableError, type HostAsk, MAX_ASKS_A_HOST } from '@cable/model';

type Answer = Extract<AgentLine, { readonly type: 'answer' }>;
type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: CableError) => void };

export type HostAsksOptions = {
  readonly host: string;
  /** An answer that takes longer is not waited for. */
  readonly timeoutMs: number;
  readonly send: (line: { readonly type: 'ask'; readonly id: number; readonly ask: HostAsk }) => void;
};

/** What one connection's agent was asked and has not answered yet. */
export class HostAsks {
  readonly #options: HostAsksOptions;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(options: HostAsksOptions) {
    this.#options = options;
  }

  /** The agent's answer. Throws `HostUnreachable` when it does not come, `HostRefusesAsk` when the agent has none, and `ServiceUnavailable` when too much is asked. */
  async ask(ask: HostAsk): Promise<unknown> {
    const { host, timeoutMs, send } = this.#options;
    if (this.#waiting.size >= MAX_ASKS_A_HOST)
      throw new CableError('ServiceUnavailable', `Host ${host} is being asked ${MAX_ASKS_A_HOST} things already.`);
    this.#last += 1;
    const id = this.#last;
    return await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(unreachable(host, `its agent did not answer within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      const over = (): void => clearTimeout(timer);
      this.#waiting.set(id, {
        resolve: (value) => {
          over();
          resolve(value);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      });
      send({ type: 'ask', id, ask });
    });
  }

  /** Takes an answer; one that nobody waits for any more is passed over. */
  take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (waiting === undefined) return;
    if ('fault' in answer) waiting.reject(refused(this.#options.host, answer.fault));
    else waiting.resolve(answer.value);
  }

  /** The connection is over. */
  end(reason: string): void {
    for (const { reject } of this.#waiting.values())
      reject(unreachable(this.#options.host, `its connection ended: ${reason}`));
    this.#waiting.clear();
  }
}

/** Nobody can ask the host now. */
export function unreachable(host: string, why: string): CableError {
  return new CableError('HostUnreachable', `Host ${host} cannot be asked: ${why}.`, { fields: { host } });
}

function refused(host: string, { code, message }: { readonly code: string; readonly message: string }): CableError {
  if (code === 'busy') return new CableError('ServiceUnavailable', `The agent of host ${host} has too much to answer.`);
  const why: Readonly<Record<string, string>> = {
    unknown: 'is of a build that cannot answer this',
    'no-port': 'does not carry the port',
  };
  return new CableError('HostRefusesAsk', `The agent of host ${host} ${why[code] ?? `says: ${message}`}.`, {
    fields: { host, code },
  });
}
