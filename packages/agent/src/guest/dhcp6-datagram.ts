import { answerDhcp6, type Dhcp6Guest, type Dhcp6Policy } from './dhcp6-answer.ts';
import { decodeDhcp6Message, encodeDhcp6Message } from './dhcp6-message.ts';

/** `counter`: what to count. `answer` undefined: silence. `omitted`: codes of options for which the answer has no room. */
export type Dhcp6DatagramAnswer = {
  readonly counter: string;
  readonly answer: Uint8Array | undefined;
  readonly omitted: readonly number[];
};

/** What every IPv6 link carries unfragmented (RFC 8200 §5), less the headers of IPv6 and UDP. */
const MAX_ANSWER_BYTES = 1280 - 48;

/** The answer to a datagram that a guest sent to UDP port 547. Never throws, whatever the bytes are. */
export function answerDhcp6Datagram(bytes: Uint8Array, guest: Dhcp6Guest, policy: Dhcp6Policy): Dhcp6DatagramAnswer {
  const decoded = decodeDhcp6Message(bytes);
  if (!decoded.ok) return silence(decoded.reason);
  const outcome = answerDhcp6(decoded.message, guest, policy);
  if (outcome.kind === 'silence') return silence(outcome.reason);
  const encoded = encodeDhcp6Message(outcome.message, MAX_ANSWER_BYTES);
  return { counter: `dhcp6_${outcome.type}`, answer: encoded.bytes, omitted: encoded.omitted };
}

function silence(reason: string): Dhcp6DatagramAnswer {
  return { counter: `dhcp6_ignored_${reason.replaceAll('-', '_')}`, answer: undefined, omitted: [] };
}
