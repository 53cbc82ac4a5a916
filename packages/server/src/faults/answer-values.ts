/** What agents answer, taken for what it should be only as far as it is: a newer or broken agent must not upset who asks. */
import { CableError, type HostAnswers, type HostAsk, MAX_CAPTURE_ANSWER_BYTES, MAX_SNAPLEN } from '@cable/model';

/** Characters of what would be begun: some hundred are. */
const MAX_BEGAN = 1024;

const LEASE = /^[A-Za-z0-9]{1,64}$/;
/** Of a `Date`. */
const MAX_DATE_MS = 8.64e15;

type Fields = Readonly<Record<string, unknown>>;

/** The answer; throws `HostRefusesAsk` when it has not the form of one. */
export function answerValue<K extends HostAsk['kind']>(kind: K, host: string, value: unknown): HostAnswers[K] {
  if (isRecord(value) && FORMS[kind](value)) return value as HostAnswers[K];
  throw new CableError('HostRefusesAsk', `The agent of host ${host} answered what this server does not understand.`, {
    fields: { host, kind },
  });
}

const FORMS: Readonly<Record<HostAsk['kind'], (value: Fields) => boolean>> = {
  drops: ({ drops, rxPackets, txPackets }) => isNumber(rxPackets) && isNumber(txPackets) && isListOf(drops, isDrop),
  flows: ({ flows, total, next }) => isNumber(total) && (next === null || isNumber(next)) && isListOf(flows, isFlow),
  follow: ({ lease, records, lost, counted }) =>
    isText(lease) &&
    LEASE.test(lease) &&
    isNumber(lost) &&
    isListOf(records, (event) => (event['kind'] === 'packet' ? isPacketEvent(event) : isFlowEvent(event))) &&
    (counted === undefined || (isRecord(counted) && isCounted(counted))),
  capture: ({ lease, frames, lost, hasMore }) =>
    isText(lease) &&
    LEASE.test(lease) &&
    isNumber(lost) &&
    typeof hasMore === 'boolean' &&
    isListOf(frames, isCapturedFrame) &&
    frames.reduce((sum: number, { frame }: Fields) => sum + String(frame).length, 0) <= MAX_CAPTURE_ANSWER_BYTES,
  trace: ({ neighbour, steps, end, began }) =>
    (began === undefined || began === null || (isText(began) && began.length <= MAX_BEGAN)) &&
    (neighbour === null || (isRecord(neighbour) && isText(neighbour['address']) && isEnd(neighbour['end']))) &&
    isListOf(steps, (step) => isText(step['kind'])) &&
    (end === null || isEnd(end)),
};

function isDrop({ reason, packets, lastSecondsAgo: ago }: Fields): boolean {
  return isReason(reason) && isNumber(packets) && (ago === null || isNumber(ago));
}

function isFlow(flow: Fields): boolean {
  const texts = [flow['source'], flow['destination'], flow['state']];
  const numbers = [flow['flow'], flow['protocol'], flow['packets'], flow['bytes'], flow['ageSeconds']];
  const { becomes } = flow;
  const isPlain = becomes === undefined || becomes === null || (isRecord(becomes) && isEnds(becomes));
  return texts.every(isText) && numbers.every(isNumber) && isPlain;
}

function isFlowEvent(event: Fields): boolean {
  const texts = [event['kind'], event['source'], event['destination']];
  const numbers = [event['number'], event['atMs'], event['protocol'], event['packets'], event['bytes']];
  const { rule, reason, becomes } = event;
  return (
    texts.every(isText) &&
    numbers.every(isNumber) &&
    Number.isSafeInteger(event['number']) &&
    Math.abs(Number(event['atMs'])) <= MAX_DATE_MS &&
    (rule === null || isText(rule)) &&
    (reason === null || isReason(reason)) &&
    (becomes === null || (isRecord(becomes) && isEnds(becomes)))
  );
}

function isPacketEvent(event: Fields): boolean {
  const { source, destination, isSent, flow, atMs, number } = event;
  return (
    isText(source) &&
    isText(destination) &&
    typeof isSent === 'boolean' &&
    [event['protocol'], event['bytes']].every(isNumber) &&
    Number.isSafeInteger(number) &&
    isNumber(atMs) &&
    Math.abs(Number(atMs)) <= MAX_DATE_MS &&
    (flow === null || (isRecord(flow) && isFlow(flow)))
  );
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const MAX_FRAME_TEXT = 4 * Math.ceil(MAX_SNAPLEN / 3);

function isCapturedFrame({ number, atUs, bytes, frame }: Fields): boolean {
  const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
  return [number, atUs, bytes].every(isWhole) && isText(frame) && frame.length <= MAX_FRAME_TEXT && BASE64.test(frame);
}

function isCounted({ sent, received, drops }: Fields): boolean {
  const isOne = ({ reason, packets }: Fields): boolean => isReason(reason) && isNumber(packets);
  return isNumber(sent) && isNumber(received) && isListOf(drops, isOne);
}

function isEnd(end: unknown): boolean {
  if (!isRecord(end) || !isText(end['kind'])) return false;
  if (end['kind'] === 'host') return isText(end['underlay']) && isNumber(end['vni']) && isText(end['frame']);
  if (end['kind'] === 'port' && end['packet'] !== undefined) return isRecord(end['packet']) && isEnds(end['packet']);
  return (end['kind'] !== 'drop' && end['kind'] !== 'refusal') || isReason(end['reason']);
}

function isEnds({ source, destination, sourcePort, destinationPort }: Fields): boolean {
  return isText(source) && isText(destination) && isNumber(sourcePort) && isNumber(destinationPort);
}

function isReason(reason: unknown): boolean {
  return isRecord(reason) && isText(reason['name']) && isText(reason['meaning']) && isText(reason['remedy']);
}

function isListOf(value: unknown, is: (one: Fields) => boolean): value is readonly Fields[] {
  return Array.isArray(value) && value.every((one) => isRecord(one) && is(one));
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}
