/** One probe of a member, as its pool's monitor wants it. */
import type { HttpProbe } from '@cable/model';
import type { ProbeTarget } from '../desired.ts';
import type { NetnsRef } from '../net/netns.ts';
import { openProbe, type ProbeQuestion } from '../net/probe-socket.ts';
import { httpStatus } from './http-status.ts';

/** Begins it: from the namespace of the guest services, or, of a port of the machine itself, from the machine to itself. As `ProberDeps.open`. */
export function probeFrom(
  services: NetnsRef,
): (target: ProbeTarget, onEnd: (result: true | string) => void) => { close(): void } {
  return (target, onEnd) => {
    const { address, port, isMachine } = target;
    const place = isMachine ? { source: address } : { netns: services };
    return openProbe({ address, port, ...place, question: questionOf(target), onEnd });
  };
}

/** The machine answers its own pings if it has the address. */
function questionOf({ monitor: { type, http }, authority, isMachine }: ProbeTarget): ProbeQuestion {
  if (type === 'PING') return { kind: isMachine ? 'own' : 'ping' };
  if (type === 'UDP-CONNECT') return { kind: 'udp' };
  if (http === undefined) return { kind: 'tcp' };
  return { kind: 'exchange', request: requestOf(http, authority), judge: (answer) => judgeHttp(http, answer) };
}

/** Server and compiler have seen to it that nothing of it ends a line. */
function requestOf({ method, path }: HttpProbe, authority: string): Uint8Array {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${authority}`,
    'User-Agent: cable',
    'Accept: */*',
    'Connection: close',
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** True: the status is one of those expected; text: why not; undefined: more is needed. */
export function judgeHttp({ codes }: Pick<HttpProbe, 'codes'>, answer: Uint8Array): true | string | undefined {
  const status = httpStatus(answer);
  if (status === undefined) return undefined;
  if (status === null) return 'the answer is not HTTP';
  return codes.some(([first, last]) => status >= first && status <= last) ? true : `HTTP status ${status}`;
}
