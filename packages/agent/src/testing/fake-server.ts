import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import type {
  AgentLine,
  HostRegistration,
  HostStatusReport,
  HostWelcome,
  ServerLine,
  SliceHeader,
  SliceItem,
  SliceKey,
  StoreHistory,
  VifStatus,
} from '@cable/model';

/** One slice as a fake server holds it. */
export type FakeSlice = {
  readonly key: SliceKey;
  readonly header: SliceHeader;
  readonly items: ReadonlyMap<string, SliceItem>;
};

/** What an agent said when it resumed. */
export type Resume = Extract<AgentLine, { type: 'resume' }>;

/** For tests: the host stream half of a server (protocol 2), on a Unix socket. It holds slices and tells every agent all of them. */
export type FakeServer = {
  /** Replaces the slices; agents that watch get the difference, then a bookmark. Returns the new revision. */
  set(slices: readonly FakeSlice[]): number;
  /** VIFs as last reported, and the acknowledged revision. */
  readonly status: { revision: number; vifs: ReadonlyMap<string, VifStatus> };
  readonly registrations: readonly HostRegistration[];
  /** Registrations that were refused. */
  readonly refused: readonly HostRegistration[];
  readonly resumes: readonly Resume[];
  /** All lines that came up, as they came. */
  readonly lines: readonly AgentLine[];
  /** Sends any text as a line to all that watch. */
  say(line: object): void;
  /** Breaks all connections. */
  cut(): void;
  stop(): Promise<void>;
};

export type FakeServerOptions = {
  /** Default: of a store that no other fake server has. */
  readonly history?: StoreHistory;
  /** Of the first revision. Default 1. */
  readonly revision?: number;
  /** Answers the registration with this error instead. */
  readonly refuse?: { readonly status: number; readonly type: string; readonly message: string };
  /** Members of its answer to a registration, instead of or beside those of protocol 2. */
  readonly welcome?: Readonly<Record<string, unknown>>;
  /** What `sync` and `bookmark` say instead of the digest. */
  readonly digest?: (digest: number) => number;
};

let stores = 0;

export async function startFakeServer(path: string, options: FakeServerOptions = {}): Promise<FakeServer> {
  stores += 1;
  const history = options.history ?? { cluster: `cluster-${stores}`, mark: '1-x' };
  let slices: ReadonlyMap<SliceKey, FakeSlice> = new Map();
  let revision = options.revision ?? 1;
  const open = new Set<Duplex>();
  const status = { revision: 0, vifs: new Map<string, VifStatus>() };
  const registrations: HostRegistration[] = [];
  const refused: HostRegistration[] = [];
  const resumes: Resume[] = [];
  const lines: AgentLine[] = [];
  const write = (out: Duplex, ...some: readonly object[]): void => {
    for (const line of some) out.write(`${JSON.stringify(line)}\n`);
  };
  const digest = (): number => {
    const right = [...slices.values()].reduce((sum, slice) => (sum + digestOf(slice)) % 2 ** 48, 0);
    return options.digest?.(right) ?? right;
  };
  const sync = (): ServerLine => ({ type: 'sync', revision, digest: digest(), mark: history.mark });
  const take = (out: Duplex, line: AgentLine): void => {
    lines.push(line);
    if (line.type === 'status') takeReport(status, line);
    if (line.type === 'refresh') write(out, ...[...slices.values()].flatMap((one) => whole(one, revision)), sync());
    if (line.type !== 'resume') return;
    resumes.push(line);
    write(out, { type: 'hello', protocol: 2, history, revision }, ...missing(slices, line, revision), sync());
    open.add(out);
  };
  const server = createServer((request, response) => {
    answer(request, response, { history, options, registrations, refused }).catch(() => response.destroy());
  });
  const sockets = new Set<Duplex>();
  server.on('upgrade', (_request, socket: Duplex) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      open.delete(socket);
      sockets.delete(socket);
    });
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cable-host/2\r\n\r\n');
    createInterface({ input: socket })
      .on('error', () => undefined)
      .on('line', (text) => take(socket, JSON.parse(text) as AgentLine));
  });
  server.listen(path);
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    status,
    registrations,
    refused,
    resumes,
    lines,
    set: (next) => {
      const before = slices;
      slices = new Map(next.map((slice) => [slice.key, slice]));
      revision += 1;
      const changes = difference(before, slices, revision);
      const bookmark = (): ServerLine => ({ type: 'bookmark', revision, ackWithinMs: 0, digest: digest() });
      for (const out of open) write(out, ...changes, bookmark());
      return revision;
    },
    say: (line) => {
      for (const out of open) write(out, line);
    },
    cut,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      cut();
      await once(server, 'close');
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  {
    history,
    options,
    registrations,
    refused,
  }: {
    history: StoreHistory;
    options: FakeServerOptions;
    registrations: HostRegistration[];
    refused: HostRegistration[];
  },
): Promise<void> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  if (request.method !== 'PUT') {
    response.writeHead(404).end();
    return;
  }
  const registration = JSON.parse(body) as HostRegistration;
  if (options.refuse !== undefined) {
    refused.push(registration);
    const { status, type, message } = options.refuse;
    response.writeHead(status).end(JSON.stringify({ NeutronError: { type, message, detail: '' } }));
    return;
  }
  registrations.push(registration);
  const welcome: HostWelcome = { protocol: 2, history, ...options.welcome };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(welcome));
}

/** The hash of a header (`item` null) or an item, as a server makes it. */
export function fakeHash(key: string, item: string | null, value: object): number {
  const text = `${key}\0${item ?? ''}\0${JSON.stringify(value)}`;
  return createHash('sha1').update(text).digest().readUIntBE(0, 6);
}

function digestOf({ key, header, items }: FakeSlice): number {
  let digest = fakeHash(key, null, header);
  for (const [item, value] of items) digest = (digest + fakeHash(key, item, value)) % 2 ** 48;
  return digest;
}

function whole(slice: FakeSlice, revision: number): readonly ServerLine[] {
  const { key, header, items } = slice;
  return [
    { type: 'reset', key, revision },
    headerLine(key, header, revision),
    ...Array.from(items, ([item, value]) => putLine(key, item, value, revision)),
  ];
}

function missing(slices: ReadonlyMap<SliceKey, FakeSlice>, resume: Resume, revision: number): readonly ServerLine[] {
  const lines = [...slices.values()].flatMap((slice) =>
    resume.slices[slice.key] === digestOf(slice) ? [] : whole(slice, revision),
  );
  const gone = (Object.keys(resume.slices) as SliceKey[]).filter((key) => !slices.has(key));
  return [...lines, ...gone.map((key): ServerLine => ({ type: 'drop', key, revision }))];
}

function difference(
  before: ReadonlyMap<SliceKey, FakeSlice>,
  after: ReadonlyMap<SliceKey, FakeSlice>,
  revision: number,
): readonly ServerLine[] {
  const lines: ServerLine[] = [];
  for (const key of before.keys()) if (!after.has(key)) lines.push({ type: 'drop', key, revision });
  for (const [key, slice] of after) {
    const old = before.get(key);
    if (old === undefined) {
      lines.push(...whole(slice, revision));
      continue;
    }
    if (!isSame(old.header, slice.header)) lines.push(headerLine(key, slice.header, revision));
    for (const [item, value] of slice.items) {
      if (!isSame(old.items.get(item), value)) lines.push(putLine(key, item, value, revision));
    }
    for (const item of old.items.keys()) {
      if (!slice.items.has(item)) lines.push({ type: 'delete', key, item, revision });
    }
  }
  return lines;
}

function headerLine(key: SliceKey, value: SliceHeader, revision: number): ServerLine {
  return { type: 'header', key, revision, hash: fakeHash(key, null, value), value };
}

function putLine(key: SliceKey, item: string, value: SliceItem, revision: number): ServerLine {
  return { type: 'put', key, item, revision, hash: fakeHash(key, item, value), value };
}

function isSame(a: object | undefined, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function takeReport(status: { revision: number; vifs: Map<string, VifStatus> }, report: HostStatusReport): void {
  if (report.full) status.vifs.clear();
  for (const vif of report.vifs) status.vifs.set(vif.portId, vif);
  status.revision = report.revision;
}
