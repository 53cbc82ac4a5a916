import { createSocket, type Socket } from 'node:dgram';
import { type Logger, startLoop } from '@cable/kit';
import { overlayIpVersion } from '@cable/model';
import { type FailOver, TICK_MS } from './fail-over.ts';
import { type Question, questionPayload } from './probe-frame.ts';

/** IANA's for VXLAN: probes go the way of tunnelled packets. */
const VXLAN_PORT = 4789;

export type GatewayKeeperOptions = {
  readonly failOver: Pick<FailOver, 'tick'>;
  /** Told of routers whose gateway is on another host now. */
  readonly onChange: (routerIds: ReadonlySet<string>) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Ticks until the signal aborts. */
export function startGatewayKeeper({ failOver, onChange, log, signal }: GatewayKeeperOptions): {
  readonly done: Promise<void>;
} {
  const run = async (): Promise<void> => {
    const changed = failOver.tick();
    if (changed.size > 0) onChange(changed);
  };
  return startLoop({
    name: 'gateways',
    log,
    signal,
    everyMs: TICK_MS,
    run,
    backoff: { minMs: TICK_MS, maxMs: TICK_MS },
  });
}

/** Sends questions from the underlay address. What cannot be sent is as good as lost. */
export class QuestionSender {
  readonly #underlay: string;
  #socket: Socket | undefined;

  constructor(underlay: string) {
    this.#underlay = underlay;
  }

  send(host: string, question: Question): void {
    this.#open().send(questionPayload(question), VXLAN_PORT, host, () => undefined);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** A socket whose address went away is replaced by the next question's. */
  #open(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = createSocket(overlayIpVersion(this.#underlay) === 6 ? 'udp6' : 'udp4');
    socket.on('error', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      socket.close();
    });
    socket.bind({ address: this.#underlay, port: 0, exclusive: true });
    this.#socket = socket;
    return socket;
  }
}
