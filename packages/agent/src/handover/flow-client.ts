import { type IncomingMessage, request } from 'node:http';
import { BEAT_MS, FLOWS_PATH } from './flow-lines.ts';

export type FlowSite = {
  /** Underlay address of the host that is asked. */
  readonly host: string;
  readonly port: number;
  /** Underlay address of this host: by it the other knows who asks. */
  readonly own: string;
};

/** Longest line; a longer one ends the connection. */
const MOST_CHARS = 16_384;
const HEAD_MS = 5_000;
const SILENCE_MS = 5 * BEAT_MS;

/**
 * Lines that a host tells of the flows of a port, those that came together at a time. Ends when the other ends it. Throws when there is no connection, it is refused, breaks
 * or is silent, or the signal aborts.
 */
export async function* askFlows(
  site: FlowSite,
  portId: string,
  signal: AbortSignal,
): AsyncGenerator<readonly string[]> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const asking = request({
      host: site.host,
      port: site.port,
      localAddress: site.own,
      path: `${FLOWS_PATH}${portId}`,
      agent: false,
      signal,
      timeout: HEAD_MS,
    });
    asking.once('timeout', () => asking.destroy(new Error(`${site.host} does not answer`)));
    asking.once('response', resolve);
    asking.on('error', reject);
    asking.end();
  });
  if (answer.statusCode !== 200) {
    answer.destroy();
    throw new Error(`${site.host} does not tell: it answers ${answer.statusCode}`);
  }
  answer.socket.setTimeout(SILENCE_MS, () => answer.destroy(new Error(`${site.host} is silent`)));
  answer.setEncoding('utf8');
  let rest = '';
  for await (const chunk of answer as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MOST_CHARS) throw new Error(`${site.host} sent a line that does not end`);
    if (lines.length > 0) yield lines;
  }
}
