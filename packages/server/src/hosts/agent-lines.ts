import { type AgentLine, type AskFault, CableError, type StoreHistory } from '@cable/model';
import { parseMemberReport, parseStatusReport } from './parse.ts';

/** Longest line from an agent: a `resume` that names some ten thousand slices, or a report of all devices. */
const LINE_BYTES = 4 << 20;

/**
 * Values in a line, keys not counted: made of very many small ones, a line of that length would keep the event loop for half a second. The first names
 * slices; a later one at most 4096 devices, of each of which newer agents may say two things more.
 */
const MAX_VALUES = { first: 65_536, later: 24_576 } as const;

/** A shorter line costs no more than it says, whatever it is made of. */
const SHORT_LINE = 65_536;

const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACE] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b];

const NOTHING = Buffer.alloc(0);

const MAX_TEXT = 128;
const MAX_FAULT_TEXT = 512;
const DIGEST_RANGE = 2 ** 48;

type Fields = Readonly<Record<string, unknown>>;

/** Cuts what a client sends into lines, of bounded length. */
export class LineSplitter {
  /** The beginning of a line, of which `#bytes` count: what a client sends byte by byte takes no more room than in one piece. */
  #begun = NOTHING;
  #bytes = 0;

  /** The lines that end in this chunk. Throws `InvalidInput` when a line is too long. */
  push(chunk: Buffer): readonly string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      lines.push(this.#bytes === 0 ? chunk.toString('utf8', from, end) : this.#join(chunk.subarray(from, end)));
      from = end + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    return lines;
  }

  #join(last: Buffer): string {
    this.#keep(last);
    const line = this.#begun.toString('utf8', 0, this.#bytes);
    this.#begun = NOTHING;
    this.#bytes = 0;
    return line;
  }

  #keep(piece: Buffer): void {
    const bytes = this.#bytes + piece.length;
    if (bytes > LINE_BYTES) throw malformed(`a line has more than ${LINE_BYTES} bytes`);
    if (bytes > this.#begun.length) {
      const room = Buffer.allocUnsafe(Math.min(2 * bytes, LINE_BYTES));
      this.#begun.copy(room, 0, 0, this.#bytes);
      this.#begun = room;
    }
    piece.copy(this.#begun, this.#bytes);
    this.#bytes = bytes;
  }
}

/** A line from an agent; undefined: of a type that only newer servers know. Throws `InvalidInput`. */
export function parseAgentLine(text: string, place: 'first' | 'later'): AgentLine | undefined {
  const fields = parseObject(text, MAX_VALUES[place]);
  switch (fields['type']) {
    case 'resume':
      return {
        type: 'resume',
        session: parseText(fields['session'], 'session'),
        since: parseNumber(fields['since'], 'since', Number.MAX_SAFE_INTEGER),
        history: parseHistory(fields['history']),
        slices: parseDigests(fields['slices']),
        ...(fields['compares'] === true ? { compares: true } : {}),
        ...(fields['answers'] === true ? { answers: true } : {}),
      };
    case 'buckets':
      return {
        type: 'buckets',
        key: parseText(fields['key'], 'key'),
        digests: parseBucketDigests(fields['digests']),
      };
    case 'answer':
      return parseAnswer(fields);
    case 'status':
      return { type: 'status', ...parseStatusReport(fields) };
    case 'health':
      return { type: 'health', ...parseMemberReport(fields) };
    case 'refresh':
      return { type: 'refresh' };
    default:
      parseText(fields['type'], 'type');
      return undefined;
  }
}

function parseObject(text: string, maxValues: number): Fields {
  if (text.length > SHORT_LINE && countValues(text) > maxValues) {
    throw malformed(`a line has more than ${maxValues} values`);
  }
  try {
    return asFields(JSON.parse(text), 'line');
  } catch (cause) {
    if (cause instanceof CableError) throw cause;
    throw malformed('a line is not JSON');
  }
}

/** As many at least as the JSON has values, and commas and brackets at most. */
function countValues(text: string): number {
  let count = 0;
  let isText = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isText = !isText;
    else if (isText) at += code === BACKSLASH ? 1 : 0;
    else if (code === COMMA || code === BRACKET || code === BRACE) count += 1;
  }
  return count;
}

function parseHistory(value: unknown): StoreHistory | null {
  if (value === null) return null;
  const { cluster, mark } = asFields(value, 'history');
  return { cluster: parseText(cluster, 'history.cluster'), mark: parseText(mark, 'history.mark') };
}

function parseDigests(value: unknown): Readonly<Record<string, number>> {
  const fields = asFields(value, 'slices');
  for (const [key, digest] of Object.entries(fields))
    parseNumber(digest, `slices[${key.slice(0, MAX_TEXT)}]`, DIGEST_RANGE - 1);
  return fields as Readonly<Record<string, number>>;
}

function parseBucketDigests(value: unknown): readonly number[] {
  if (!Array.isArray(value)) throw malformed('digests is not a list');
  for (const digest of value) parseNumber(digest, 'digests', DIGEST_RANGE - 1);
  return value as readonly number[];
}

const FAULTS: readonly AskFault['code'][] = ['unknown', 'no-port', 'busy', 'failed'];

/** Of a value it is for who asked to judge whether it is one. */
function parseAnswer(fields: Fields): AgentLine {
  const id = parseNumber(fields['id'], 'id', Number.MAX_SAFE_INTEGER);
  if (fields['fault'] === undefined) return { type: 'answer', id, value: fields['value'] };
  const { code, message } = asFields(fields['fault'], 'fault');
  return {
    type: 'answer',
    id,
    fault: {
      code: FAULTS.find((one) => one === code) ?? 'failed',
      message: typeof message === 'string' ? message.slice(0, MAX_FAULT_TEXT) : 'it does not say why',
    },
  };
}

function parseNumber(value: unknown, field: string, most: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most) return value as number;
  throw malformed(`${field} is not a whole number of 0 to ${most}`);
}

function parseText(value: unknown, field: string): string {
  if (typeof value === 'string' && value.length <= MAX_TEXT) return value;
  throw malformed(`${field} is not a text of at most ${MAX_TEXT} characters`);
}

function asFields(value: unknown, field: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw malformed(`${field} is not a JSON object`);
}

function malformed(what: string): CableError {
  return new CableError('InvalidInput', `Malformed line of a host stream: ${what}.`);
}
