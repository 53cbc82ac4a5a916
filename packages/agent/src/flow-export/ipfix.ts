/** Flow records as messages of IPFIX (RFC 7011), both directions in one record (RFC 5103). */
import { isMapped } from '../plan/address.ts';
import { type FlowRecord, isExported } from './flow-record.ts';

/** Of RFC 5103: an element of the other direction. */
const REVERSE = 29_305;
/** Of RFC 5612, for examples: Cable has no number of its own. */
export const ENTERPRISE = 32_473;
const VERSION = 10;
const TEMPLATE_SET = 2;
const OPTIONS_SET = 3;
const VARIABLE = 0xffff;
const HEADER_BYTES = 16;
const SET_BYTES = 4;
/** Names are cut: a record must fit a datagram. */
const MAX_NAME_BYTES = 64;
/** Templates: a number each, as data sets have it. */
export const TEMPLATE = { ipv4: 256, ipv6: 257, loss: 258 } as const;

/** firewallEvent */
const EVENT: Readonly<Record<FlowRecord['kind'], number>> = { begin: 1, end: 2, drop: 3, update: 5 };
const ACTIVE_TIMEOUT = 2;

/** What a record carries since the one before it of the same flow. */
export type Delta = { readonly packets: readonly [bigint, bigint]; readonly bytes: readonly [bigint, bigint] };

type Shown = { readonly record: FlowRecord; readonly delta: Delta; readonly host: string };

type Field = {
  readonly id: number;
  readonly enterprise?: number;
  /** Bytes; 0: as many as a value has. */
  readonly length: number;
  readonly bytes: (shown: Shown) => Uint8Array;
};

const number = (
  id: number,
  length: 1 | 2 | 4 | 8,
  value: (shown: Shown) => bigint | number,
  enterprise?: number,
): Field => ({
  id,
  ...(enterprise === undefined ? {} : { enterprise }),
  length,
  bytes: (shown) => bigEndian(value(shown), length),
});

const text = (id: number, value: (shown: Shown) => string): Field => ({
  id,
  enterprise: ENTERPRISE,
  length: 0,
  bytes: (shown) => cut(value(shown)),
});

const address = (id: number, length: 4 | 16, value: (record: FlowRecord) => Uint8Array): Field => ({
  id,
  length,
  bytes: ({ record }) => value(record).subarray(16 - length),
});

const COMMON: readonly Field[] = [
  number(152, 8, ({ record }) => Math.round(record.beganMs)),
  number(153, 8, ({ record }) => Math.round(record.atMs)),
  number(148, 8, ({ record }) => flowId(record)),
  number(4, 1, ({ record }) => record.asked.protocol),
  number(7, 2, ({ record }) => portOf(record, record.asked.sportBe)),
  number(11, 2, ({ record }) => portOf(record, record.asked.dportBe)),
  number(227, 2, ({ record }) => portOf(record, record.answered.dportBe)),
  number(228, 2, ({ record }) => portOf(record, record.answered.sportBe)),
  number(2, 8, ({ delta }) => delta.packets[0]),
  number(1, 8, ({ delta }) => delta.bytes[0]),
  number(2, 8, ({ delta }) => delta.packets[1], REVERSE),
  number(1, 8, ({ delta }) => delta.bytes[1], REVERSE),
  number(86, 8, ({ record }) => record.packets[0]),
  number(85, 8, ({ record }) => record.bytes[0]),
  number(86, 8, ({ record }) => record.packets[1], REVERSE),
  number(85, 8, ({ record }) => record.bytes[1], REVERSE),
  number(136, 1, ({ record }) => (record.kind === 'end' ? record.ended : ACTIVE_TIMEOUT)),
  number(233, 1, ({ record }) => EVENT[record.kind]),
  text(1, ({ record }) => record.from?.portId ?? ''),
  text(2, ({ record }) => record.from?.portName ?? ''),
  text(3, ({ record }) => record.from?.projectId ?? ''),
  text(4, ({ record }) => record.to?.portId ?? ''),
  text(5, ({ record }) => record.to?.portName ?? ''),
  text(6, ({ record }) => record.to?.projectId ?? ''),
  text(7, ({ record }) => record.networkId ?? ''),
  text(8, ({ record }) => record.networkName),
  text(9, ({ record }) => record.rule ?? ''),
  text(10, ({ record }) => record.drop?.name ?? ''),
  text(11, ({ host }) => host),
  number(12, 4, ({ record }) => oneOf(record), ENTERPRISE),
];

const FIELDS: Readonly<Record<'ipv4' | 'ipv6', readonly Field[]>> = {
  ipv4: [
    address(8, 4, ({ asked }) => asked.src),
    address(12, 4, ({ asked }) => asked.dst),
    address(225, 4, ({ answered }) => answered.dst),
    address(226, 4, ({ answered }) => answered.src),
    number(32, 2, ({ record }) => (record.asked.protocol === 1 ? record.asked.dportBe : 0)),
    ...COMMON,
  ],
  ipv6: [
    address(27, 16, ({ asked }) => asked.src),
    address(28, 16, ({ asked }) => asked.dst),
    address(281, 16, ({ answered }) => answered.dst),
    address(282, 16, ({ answered }) => answered.src),
    number(139, 2, ({ record }) => (record.asked.protocol === 58 ? record.asked.dportBe : 0)),
    ...COMMON,
  ],
};

/** exportingProcessId is the scope; then exportedFlowRecordTotalCount and notSentFlowTotalCount. */
const LOSS = [
  { id: 144, length: 4 },
  { id: 42, length: 8 },
  { id: 165, length: 8 },
] as const;

/** Sets with all templates: a collector that has lost them, or is new, understands nothing before them. */
export function templateSets(): readonly Buffer[] {
  const templates = (['ipv4', 'ipv6'] as const).map((family) => {
    const fields = FIELDS[family];
    return Buffer.concat([u16(TEMPLATE[family]), u16(fields.length), ...fields.map(specifier)]);
  });
  const loss = Buffer.concat([u16(TEMPLATE.loss), u16(LOSS.length), u16(1), ...LOSS.map(specifier)]);
  return [setOf(TEMPLATE_SET, templates), setOf(OPTIONS_SET, [loss])];
}

/** One data record. */
export function encodeRecord(
  record: FlowRecord,
  delta: Delta,
  host: string,
): { readonly template: number; readonly bytes: Buffer } {
  const family = isMapped(record.asked.src) ? 'ipv4' : 'ipv6';
  const shown = { record, delta, host };
  const parts = FIELDS[family].flatMap(({ length, bytes }) => {
    const value = bytes(shown);
    return length === 0 ? [Buffer.from([value.length]), value] : [value];
  });
  return { template: TEMPLATE[family], bytes: Buffer.concat(parts) };
}

/** What was told and what was lost, since the agent runs. */
export function encodeLoss(process: number, told: number, lost: number): Buffer {
  return Buffer.concat([bigEndian(process, 4), bigEndian(told, 8), bigEndian(lost, 8)]);
}

export function setOf(id: number, records: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(records);
  return Buffer.concat([u16(id), u16(SET_BYTES + body.length), body]);
}

/** `sequence`: data records sent before it. `domain`: which of a collector's exporters it is. */
export function encodeMessage(
  sets: readonly Uint8Array[],
  { seconds, sequence, domain }: { readonly seconds: number; readonly sequence: number; readonly domain: number },
): Buffer {
  const body = Buffer.concat(sets);
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(VERSION, 0);
  head.writeUInt16BE(HEADER_BYTES + body.length, 2);
  head.writeUInt32BE(seconds, 4);
  head.writeUInt32BE(sequence >>> 0, 8);
  head.writeUInt32BE(domain >>> 0, 12);
  return Buffer.concat([head, body]);
}

function specifier({ id, enterprise, length }: Pick<Field, 'id' | 'enterprise' | 'length'>): Buffer {
  const size = length === 0 ? VARIABLE : length;
  if (enterprise === undefined) return Buffer.concat([u16(id), u16(size)]);
  return Buffer.concat([u16(0x8000 | id), u16(size), bigEndian(enterprise, 4)]);
}

function flowId({ flow, life }: FlowRecord): bigint {
  return BigInt.asUintN(64, (life << 20n) | BigInt(flow));
}

/** ICMP has none. */
function portOf({ asked }: FlowRecord, port: number): number {
  return asked.protocol === 1 || asked.protocol === 58 ? 0 : port;
}

/** Of the end by which it is exported: the one that exports most. */
function oneOf(record: FlowRecord): number {
  const ends = [record.from, record.to].flatMap((end) =>
    end !== null && isExported({ ...record, from: end, to: null }) ? [end.oneOf] : [],
  );
  return ends.length === 0 ? 0 : Math.min(...ends);
}

/** At a whole character. */
function cut(value: string): Buffer {
  let bytes = Buffer.from(value);
  if (bytes.length <= MAX_NAME_BYTES) return bytes;
  let end = MAX_NAME_BYTES;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  bytes = bytes.subarray(0, end);
  return bytes;
}

function u16(value: number): Buffer {
  return bigEndian(value, 2);
}

function bigEndian(value: bigint | number, length: 1 | 2 | 4 | 8): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  return bytes.subarray(8 - length);
}
