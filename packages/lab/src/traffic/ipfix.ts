import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../eventually.ts';
import { inNetns } from '../exec.ts';

/** Elements by `ENTERPRISE/ELEMENT`; numbers of at most 8 bytes as such, texts of Cable's own as such, others in hexadecimal. */
export type FlowData = Readonly<Record<string, string | number>>;

/** A collector of flow records that runs. */
export type FlowCollector = {
  /** Waits until what it was told is as wanted. Throws after a minute. */
  until(what: string, fits: (records: readonly FlowData[]) => boolean): Promise<readonly FlowData[]>;
  stop(): Promise<void>;
};

const DEADLINE_MS = 60_000;
const READY_MS = 20_000;
const VARIABLE = 0xffff;
/** Enterprise of Cable's own elements. */
const OWN = 32_473;

/** Prints each datagram in base64. */
const PROGRAM = `
const [address, port] = process.argv.slice(1);
const socket = require('node:dgram').createSocket('udp4', (bytes) => console.log(bytes.toString('base64')));
socket.bind(Number(port), address, () => console.log('ready'));
`;

export async function startFlowCollector(at: {
  readonly netns: string;
  readonly address: string;
  readonly port: number;
}): Promise<FlowCollector> {
  const [program = '', ...args] = inNetns(at.netns, [process.execPath, '-e', PROGRAM, at.address, String(at.port)]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [records, templates]: [FlowData[], Templates] = [[], new Map()];
  let [rest, isReady] = ['', false];
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString()}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'ready') isReady = true;
      else records.push(...readMessage(Buffer.from(line, 'base64'), templates));
    }
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'close');
  };
  try {
    await eventually({ what: 'the collector', deadlineMs: READY_MS }, () => isReady || undefined);
  } catch (err) {
    await stop();
    throw err;
  }
  return {
    stop,
    until: async (what, fits) => {
      try {
        await eventually({ what, deadlineMs: DEADLINE_MS }, () => fits(records) || undefined);
      } catch (err) {
        throw new Error(`of ${records.length} records the last is ${JSON.stringify(records.at(-1))}`, { cause: err });
      }
      return records;
    },
  };
}

type Element = { readonly name: string; readonly length: number };
type Templates = Map<string, readonly Element[]>;

/** The data records of a message (RFC 7011) that knows the templates before it, by observation domain. */
function readMessage(message: Buffer, templates: Templates): readonly FlowData[] {
  const found: FlowData[] = [];
  const domain = message.readUInt32BE(12);
  for (let at = 16; at + 4 <= message.length; ) {
    const [id, length] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)];
    const set = message.subarray(at + 4, at + length);
    if (id === 2 || id === 3)
      readTemplates(set, id === 2 ? 4 : 6, (number, elements) => templates.set(`${domain}/${number}`, elements));
    else found.push(...readRecords(set, templates.get(`${domain}/${id}`) ?? []));
    at += Math.max(length, 4);
  }
  return found;
}

function readTemplates(set: Buffer, headBytes: number, take: (id: number, elements: readonly Element[]) => void): void {
  for (let at = 0; at < set.length; ) {
    const [id, count] = [set.readUInt16BE(at), set.readUInt16BE(at + 2)];
    at += headBytes;
    const elements: Element[] = [];
    for (let n = 0; n < count; n += 1) {
      const [word, length] = [set.readUInt16BE(at), set.readUInt16BE(at + 2)];
      const isOwn = (word & 0x8000) !== 0;
      elements.push({ name: `${isOwn ? set.readUInt32BE(at + 4) : 0}/${word & 0x7fff}`, length });
      at += isOwn ? 8 : 4;
    }
    take(id, elements);
  }
}

function readRecords(set: Buffer, elements: readonly Element[]): readonly FlowData[] {
  const found: FlowData[] = [];
  for (let at = 0; at < set.length && elements.length > 0; ) {
    const data: Record<string, string | number> = {};
    for (const { name, length } of elements) {
      const size: number = length === VARIABLE ? (set[at++] ?? 0) : length;
      const value: Buffer = set.subarray(at, at + size);
      at += size;
      if (length === VARIABLE && name.startsWith(`${OWN}/`)) data[name] = value.toString();
      else data[name] = size <= 8 ? Number(`0x${value.toString('hex') || '0'}`) : value.toString('hex');
    }
    found.push(data);
  }
  return found;
}
