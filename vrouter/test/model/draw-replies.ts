/** Draws what is said to a packet by whoever has got it, and by routers on its way. */
import { ICMP, TCP } from '../packet.ts';
import type { Draw } from './draw.ts';
import type { Reply } from './replies.ts';

const FLAGS = [
  ...[TCP.syn | TCP.ack, TCP.syn | TCP.ack, TCP.ack, TCP.ack, TCP.rst | TCP.ack, TCP.fin | TCP.ack, TCP.syn],
] as const;
const ERRORS = [
  [ICMP.unreachable, 3],
  [ICMP.unreachable, 4],
  [ICMP.timeExceeded, 0],
] as const;
const IDS = [5, 6] as const;
/** None, and what just fits and does not into packets of 1450 and 1500 bytes. */
const BYTES = [0, 1410, 1411, 1460, 1461] as const;

export function drawReply(draw: Draw): Reply {
  switch (draw.weighted({ answer: 8, error: 3, fragment: 1 })) {
    case 'answer':
      return {
        ...{ kind: 'answer', flags: draw.pick(FLAGS) },
        ...(draw.chance(0.06) ? { ttl: draw.pick([0, 1, 2]) } : {}),
        ...(draw.chance(0.1) ? { id: draw.pick(IDS) } : {}),
        ...(draw.chance(0.08) ? { bytes: draw.pick(BYTES), dontFragment: draw.chance(0.5) } : {}),
      };
    case 'error': {
      const [type, code] = draw.pick(ERRORS);
      return {
        ...{ kind: 'error', type, code, quoted: draw.pick([8, 8, 20, 28, 3]) },
        ...(draw.chance(0.4) ? { from: draw.pick(['192.0.2.99', '10.0.1.5', '10.0.2.6']) } : {}),
      };
    }
    case 'fragment':
      return { kind: 'fragment', id: draw.pick(IDS), bytes: draw.pick([8, 40]) };
  }
}
