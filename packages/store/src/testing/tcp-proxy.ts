import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server, and holds back what either says to the other for as long as it is told to. */
export type TcpProxy = {
  /** `127.0.0.1:port`. */
  readonly endpoint: string;
  /** Nothing of what clients say reaches the server until `release`. */
  holdRequests(): void;
  /** What clients say from now on is lost, until connections are cut; what was held back is still held. */
  loseRequests(): void;
  /** Nothing of what the server says reaches clients until `release`. */
  holdAnswers(): void;
  /** What was held back goes on its way. */
  release(): void;
  /** Ends all connections; what was held back is lost. */
  cut(): void;
  /** Bytes of clients' that are held back. */
  heldBytes(): number;
  /** Bytes of the server's since the proxy was made. */
  answerBytes(): number;
  remove(): Promise<void>;
};

type Pipe = { readonly from: Socket; readonly to: Socket; readonly isRequest: boolean; held: Buffer[] };

/** Starts a proxy of the server at `host:port` on a free port of loopback. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const [host = '', port] = target.split(':');
  const pipes = new Set<Pipe>();
  const holds = { requests: false, answers: false };
  let isLosing = false;
  let answerBytes = 0;
  const isHeld = ({ isRequest }: Pipe): boolean => (isRequest ? holds.requests : holds.answers);
  const join = (from: Socket, to: Socket, isRequest: boolean): void => {
    const pipe: Pipe = { from, to, isRequest, held: [] };
    pipes.add(pipe);
    from.on('data', (bytes: Buffer) => {
      if (!isRequest) answerBytes += bytes.length;
      else if (isLosing) return;
      if (isHeld(pipe)) pipe.held.push(bytes);
      else to.write(bytes);
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      pipes.delete(pipe);
      to.destroy();
    });
  };
  const server = createServer((client) => {
    const upstream = connect(Number(port), host);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    join(client, upstream, true);
    join(upstream, client, false);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const cut = (): void => {
    isLosing = false;
    for (const { from } of [...pipes]) from.destroy();
  };
  return {
    endpoint: `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    holdRequests: () => {
      holds.requests = true;
    },
    loseRequests: () => {
      isLosing = true;
    },
    holdAnswers: () => {
      holds.answers = true;
    },
    release: () => {
      holds.requests = false;
      holds.answers = false;
      for (const pipe of pipes) {
        for (const bytes of pipe.held) pipe.to.write(bytes);
        pipe.held = [];
      }
    },
    cut,
    heldBytes: () => {
      const held = [...pipes].filter(({ isRequest }) => isRequest).flatMap((pipe) => pipe.held);
      return held.reduce((sum, { length }) => sum + length, 0);
    },
    answerBytes: () => answerBytes,
    remove: async () => {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}
