/** Cable's own routes besides those of the declarations: named once here for OpenAPI; the server's test compares them with what it serves. */
import {
  type Attribute,
  CAPTURE_BYTES_A_SECOND,
  FLOW_STATES,
  FOLLOW_LEASE_MS,
  HOST_UPGRADE,
  MAX_CAPTURE_RATE,
  MAX_FLOWS_AN_ANSWER,
  MAX_PACKET_RATE,
  MAX_SNAPLEN,
  MAX_VIFS_A_REPORT,
  MIN_SNAPLEN,
} from '@cable/model';
import { PLUGIN_ROUTES } from './plugin-routes.ts';
import { SCHEMA_PATH } from './schema.ts';

/** What a status of an answer means. Without `content` it has no body; `attributes` are those of a JSON body. */
export type NativeAnswer = {
  readonly description: string;
  readonly content?: 'application/json' | 'application/x-ndjson' | 'text/plain';
  readonly attributes?: Attributes;
};

/** One such route. `path` has `{id}` where a host’s name stands. */
export type NativeRoute = {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly summary: string;
  readonly query?: Attributes;
  /** Of the request's body; absent: it has none. */
  readonly body?: Attributes;
  /** Answers of success, and others that are not errors of the table, by status. */
  readonly answers: Readonly<Record<number, NativeAnswer>>;
  /** True: for those whom the rule `admin_api` lets in: admins, agents among them, when the operator says nothing. */
  readonly adminOnly: boolean;
};

type Attributes = Readonly<Record<string, Attribute>>;

const open = { method: 'GET', adminOnly: false } as const;
const admin = { method: 'GET', adminOnly: true } as const;

/** 200 with a JSON object. */
function json(attributes: Attributes): NativeRoute['answers'] {
  return { 200: { description: 'Success.', content: 'application/json', attributes } };
}

const text = (description: string, example?: string): Attribute => ({
  type: 'string',
  description,
  ...(example === undefined ? {} : { example }),
});
const integer = (description: string): Attribute => ({ type: 'integer', minimum: 0, description });
const objects = (description: string, properties: Attributes): Attribute => ({
  type: 'list',
  items: { type: 'object', properties },
  description,
});

const LINKS = objects('Where it is.', { rel: text('self.', 'self'), href: text('The address.') });

const EXTENSION: Attributes = {
  alias: text('What clients look for.', 'net-mtu'),
  name: text('What people call it.'),
  description: text('What it brings.'),
  updated: { type: 'timestamp', description: 'When it last changed.' },
  links: { type: 'list', items: { type: 'dict' }, description: 'None.' },
};

const HISTORY: Attribute = {
  type: 'object',
  properties: { cluster: text('Which store it is.'), mark: text('Which of its histories.') },
  nullable: true,
  description: 'Which store, and which of its histories.',
};

const CERTIFICATE_REQUEST: Attribute = {
  type: 'string',
  required: true,
  maxLength: 4096,
  description: 'Request for a certificate (PKCS #10, in PEM) of a P-256 key, for cable:host:NAME.',
};

const CERTIFICATE: Attributes = {
  certificate: text('In PEM.'),
  authorities: {
    type: 'list',
    items: { type: 'string' },
    description: 'Authorities of servers, in PEM: the host trusts them from then on.',
  },
};

const REGISTRATION: Attributes = {
  underlay: { type: 'ip', required: true, example: '192.0.2.11', description: 'Address that other hosts tunnel to.' },
  agentVersion: { type: 'string', required: true, maxLength: 64, description: 'Version of the agent.' },
  agentId: { type: 'uuid', description: 'Made at the first start on this machine.' },
  session: { type: 'uuid', description: 'Of this run of the agent.' },
  previousSession: { type: 'uuid', nullable: true, description: 'Of the run before; null: there was none.' },
  protocol: { type: 'integer', minimum: 1, default: 1, description: 'Highest protocol that the agent speaks.' },
  since: integer('Revision of what the host has; 0: nothing.'),
  history: HISTORY,
};

const REPORT: Attributes = {
  revision: {
    type: 'integer',
    minimum: 0,
    required: true,
    description: 'The last one that is in the kernel; 0: none.',
  },
  full: { type: 'boolean', required: true, description: 'True: the server forgets what is not named.' },
  vifs: {
    type: 'list',
    required: true,
    maxLength: MAX_VIFS_A_REPORT,
    items: {
      type: 'object',
      properties: {
        portId: { type: 'uuid', required: true },
        state: { type: 'string', values: ['up', 'down', 'error'], required: true },
        reason: { type: 'string', maxLength: 256, nullable: true },
      },
    },
    description: 'Devices, by port.',
  },
  part: {
    type: 'object',
    properties: { number: { type: 'integer', minimum: 1 }, of: { type: 'integer', minimum: 1 } },
    description: 'One part of a full report that is too long for one.',
  },
  refused: {
    type: 'object',
    properties: { entries: { type: 'integer', minimum: 1 }, reason: { type: 'string', maxLength: 256 } },
    description: 'Map entries that the kernel has refused, and why one of them.',
  },
};

const STATUS: Attributes = {
  revision: integer('Of the store, as far as the server has read it.'),
  history: HISTORY,
  hosts: {
    type: 'object',
    properties: {
      registered: integer('Those that are known.'),
      alive: integer('Those whose agents report.'),
      watching: integer('Those that are connected to this server.'),
      protocols: { type: 'dict', description: 'How many speak which protocol.' },
    },
  },
  ports: {
    type: 'object',
    properties: {
      total: integer('All.'),
      by_status: { type: 'dict', description: 'How many are in which state.' },
      pending: integer('Those that wait for hosts.'),
    },
  },
  slices: { type: 'object', properties: { total: integer('All.'), waiting: integer('Those that wait for hosts.') } },
  other_options: objects('Options that another server on the store has otherwise: all are to have the same.', {
    server: text('Machine and process of the other one.', 'control-2 (process 713)'),
    option: text('Which.', '--underlay-mtu'),
    here: text('What this server was given.', '1500'),
    there: text('What the other one was given.', '9000'),
  }),
};

const VIOLATION: Attributes = {
  rule: text('Which promise.'),
  object: text('Of what.', 'port/7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b'),
  detail: text('What is wrong.'),
};

const NAMED: Attribute = {
  type: 'object',
  properties: { id: text('The id.'), name: text('The name.') },
  nullable: true,
  description: 'Null: there is none, or it is another project’s.',
};

const OF_PORT: Attributes = {
  port: NAMED,
  host: { type: 'string', nullable: true, description: 'Where it is; null: the caller may not know.' },
};

const BECOMES: Attribute = {
  type: 'object',
  nullable: true,
  properties: {
    source: text('Its address.'),
    source_port: { type: 'integer', nullable: true },
    destination: { type: 'string', nullable: true, description: 'Its address; null: the caller may not know.' },
    destination_port: { type: 'integer', nullable: true },
  },
  description: 'What source and destination become; null: they stay.',
};

const FLOW: Attributes = {
  marker: integer('Its number.'),
  begun_here: { type: 'boolean', description: 'True: the port began it.' },
  network: NAMED,
  protocol: integer('IANA number.'),
  source: text('Address that began it.'),
  source_port: { type: 'integer', nullable: true },
  destination: text('The other address.'),
  destination_port: { type: 'integer', nullable: true },
  icmp_type: { type: 'integer', nullable: true },
  peer: NAMED,
  state: text('new, established, closing, closed or picked-up.'),
  packets: integer('In the direction of the first.'),
  bytes: integer('The same.'),
  reply_packets: integer('In the other direction.'),
  reply_bytes: integer('The same.'),
  age_seconds: integer('Since it began.'),
  expires_seconds: integer('Until it ends if nothing more comes.'),
  rule: { type: 'string', nullable: true, description: 'Id of the security group rule that allowed it.' },
  security_group: NAMED,
  becomes: BECOMES,
  load_balanced: { type: 'boolean', description: 'True: a load balancer gave it to a member of its pool.' },
  peer_host: {
    type: 'string',
    nullable: true,
    description: 'Where the peer is; null: here, not known, or the caller may not know.',
  },
};

function some(of: Attributes, ...names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(of).filter(([name]) => names.includes(name)));
}

const EVENT: Attributes = {
  kind: text('begin, end or drop.', 'begin'),
  at: text('When, by the clock of the host.', '2026-11-27T14:03:22.123Z'),
  begun_here: { type: 'boolean', description: 'True: the port began it, or sent the packet.' },
  ...some(FLOW, 'network', 'protocol', 'source', 'source_port', 'destination', 'destination_port', 'icmp_type', 'peer'),
  becomes: BECOMES,
  ...some(FLOW, 'packets', 'bytes', 'reply_packets', 'reply_bytes', 'rule', 'security_group'),
  ended: {
    type: 'string',
    nullable: true,
    description: 'Why: idle, closed (TCP) or forced (rules, or an end that went).',
  },
  reason: { type: 'string', nullable: true, description: 'Of a drop: its name.' },
  meaning: { type: 'string', nullable: true, description: 'What that means.' },
  remedy: { type: 'string', nullable: true, description: 'What to do.' },
};

const LIVE_PACKET: Attributes = {
  kind: text('packet; or begin, end, drop: then as follow gives it, with port and host.', 'packet'),
  at: text('When, by the clock of the host.', '2026-11-27T14:03:22.123456Z'),
  port: NAMED,
  host: { type: 'string', nullable: true, description: 'Null: the caller may not know.' },
  sent: { type: 'boolean', description: 'True: the port sent it; false: it was given to the port.' },
  ...some(FLOW, 'protocol', 'source_port', 'destination_port', 'icmp_type'),
  source: text('Its source address.'),
  destination: text('Its destination address.'),
  tcp_flags: {
    type: 'list',
    nullable: true,
    items: { type: 'string' },
    description: 'SYN, ACK, ...; null: it is none of TCP.',
  },
  bytes: integer('Of the IP packet; of one that is cut into segments only later, of all.'),
  flow: {
    type: 'object',
    nullable: true,
    properties: FLOW,
    description: 'Its connection, as flows gives it; null: none is known.',
  },
};

const SIDE: Attributes = {
  port: NAMED,
  host: { type: 'string', nullable: true, description: 'Null: the caller may not know.' },
  sent: integer('Packets of the query that the port sent since it is looked on, shown or not.'),
  received: integer('The same that it was given.'),
  drops: objects('Dropped meanwhile of all that the port sent and received.', {
    reason: text('Its name.', 'tcp_window'),
    packets: integer('How many.'),
    meaning: text('What it means.'),
    remedy: text('What to do.'),
  }),
  error: { type: 'string', nullable: true, description: 'Why its host does not say; null: it does.' },
};

const PACKET: Attributes = {
  protocol: text('By name or number; default: ICMP.', 'tcp'),
  sport: integer('Source port; default 40000.'),
  dport: integer('Destination port, for tcp, udp and sctp.'),
  icmp_type: integer('Default: an echo request.'),
  icmp_code: integer('Default 0.'),
  bytes: integer('Size of the IP packet; default 84.'),
};

const FINDING: Attributes = { code: text('For programs.'), text: text('What it is.'), remedy: text('What to do.') };

const HOP: Attributes = {
  host: { type: 'string', nullable: true, description: 'Null: the caller may not know.' },
  steps: objects('What was decided, in order; each kind has more.', {
    kind: text('For programs.'),
    text: text('For people.'),
  }),
};

const TRACE: Attributes = {
  from: { ...NAMED, description: 'The port; from outside: the network.' },
  packet: { type: 'dict', description: 'As it was sent.' },
  verdict: text(
    'passes, arrives (or leaves by a physical network; the way back is not known), dropped, refused (the sender is told), unresolved (nobody answers for the address) or unknown.',
  ),
  cause: {
    type: 'object',
    nullable: true,
    properties: {
      way: text('there or back.'),
      host: { type: 'string', nullable: true },
      reason: text('Its name.', 'policy_ingress'),
      meaning: text('What it means.'),
      remedy: text('What to do.'),
    },
    description: 'Why it does not pass, or is not known to; null: it passes.',
  },
  receiver: NAMED,
  there: objects('Host by host.', HOP),
  back: objects('The answer’s way; empty: there is none.', HOP),
};

const READY: Readonly<Record<string, Attribute>> = {
  ready: { type: 'boolean', example: true, description: 'True: it can answer.' },
  unready: {
    type: 'list',
    items: {
      type: 'object',
      properties: {
        name: { type: 'string', example: 'store', description: 'The check.' },
        reason: { type: 'string', example: 'the store has not answered for 2.4 s', description: 'What is wrong.' },
      },
    },
    description: 'The checks that fail; none when it is ready.',
  },
};

const LAST: Attribute = {
  type: 'boolean',
  description: 'True: nothing more will be asked, and the host does not wait for it; with a marker.',
};

const NO_BODY: NativeAnswer = { description: 'Done.' };

/** Every route that no declaration gives. */
export const NATIVE_ROUTES: readonly NativeRoute[] = [
  ...PLUGIN_ROUTES,
  {
    ...open,
    path: '/',
    summary: 'The versions of the Neutron API.',
    answers: json({
      versions: objects('The versions.', { id: text('v2.0.'), status: text('CURRENT.'), links: LINKS }),
    }),
  },
  {
    ...open,
    path: '/v2.0',
    summary: 'The collections of the Neutron API.',
    answers: json({
      resources: objects('The collections.', { name: text('One.'), collection: text('Many.'), links: LINKS }),
    }),
  },
  {
    ...open,
    path: '/v2.0/extensions',
    summary: 'The Neutron extensions whose behaviour is there.',
    answers: json({ extensions: objects('Those that are loaded.', EXTENSION) }),
  },
  {
    ...open,
    path: '/v2.0/extensions/{alias}',
    summary: 'One extension.',
    answers: json({ extension: { type: 'object', properties: EXTENSION } }),
  },
  {
    ...open,
    path: '/openapi.json',
    summary: 'This document.',
    answers: { 200: { description: 'OpenAPI 3.1.', content: 'application/json' } },
  },
  {
    ...open,
    path: SCHEMA_PATH,
    summary: 'What is loaded, as data: types with attributes, actions and columns; for clients that have no list.',
    answers: {
      ...json({
        extensions: objects('Those that are loaded.', EXTENSION),
        resources: {
          type: 'list',
          items: { type: 'dict' },
          description: 'Models, further forms of a type among them.',
        },
      }),
      304: { description: 'It is what If-None-Match names.' },
    },
  },
  {
    ...open,
    path: '/healthz',
    summary: 'Answers while the process lives.',
    answers: json({ status: text('ok.', 'ok') }),
  },
  {
    ...open,
    path: '/readyz',
    summary: '200 when the server can answer, else 503.',
    answers: {
      ...json(READY),
      503: { description: 'It cannot answer.', content: 'application/json', attributes: READY },
    },
  },
  {
    ...open,
    path: '/metrics',
    summary: 'Metrics in the text form of Prometheus; open to whoever reaches the server.',
    answers: { 200: { description: 'Success.', content: 'text/plain' } },
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/drops',
    summary: 'What was dropped of a port’s packets: reason, count, what to do. The port’s host is asked.',
    answers: json({
      ...OF_PORT,
      network: NAMED,
      rx_packets: integer('From the port.'),
      tx_packets: integer('To the port.'),
      drops: objects('Those that occurred, most first.', {
        reason: text('Its name.', 'policy_ingress'),
        packets: integer('How many.'),
        last_seconds_ago: { ...integer('When the last was; null: not known.'), nullable: true },
        meaning: text('What it means.'),
        remedy: text('What to do.'),
      }),
    }),
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/flows',
    summary: 'The connections of a port, as its host knows them now.',
    query: {
      limit: { type: 'integer', minimum: 1, maximum: MAX_FLOWS_AN_ANSWER, description: 'Most in one answer; 100.' },
      marker: integer('next_marker of the page before.'),
      protocol: text('By name or number.', 'tcp'),
      address: text('Of either end.', '10.0.0.5'),
      port: integer('Of either end.'),
      state: text(`One of ${FLOW_STATES.join(', ')}.`, 'established'),
    },
    answers: json({
      ...OF_PORT,
      total: integer('All that fit the query.'),
      next_marker: { type: 'integer', nullable: true, description: 'Of the next page; null: this is the last.' },
      flows: objects('Those of this page.', FLOW),
    }),
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/follow',
    summary: `What the flows of a port do: begins, ends, drops. The first answer has none; ask again with its marker, at least every ${FOLLOW_LEASE_MS / 1000} s.`,
    query: {
      marker: text('Of the answer before.'),
      end: LAST,
      protocol: text('By name or number.', 'tcp'),
      address: text('Of either end.', '10.0.0.5'),
      port: integer('Of either end.'),
    },
    answers: json({
      ...OF_PORT,
      marker: text('Of this answer.'),
      begun_anew: {
        type: 'boolean',
        description: 'True: the host does not know the marker; what came since is not known.',
      },
      missing: integer(
        'Records since the marker that were not asked for in time, or were more than is told of a port.',
      ),
      records: objects('What came since the marker.', EVENT),
    }),
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/capture',
    summary: `What the port sends and receives, as it passes the port’s device: at most ${MAX_CAPTURE_RATE} packets and ${CAPTURE_BYTES_A_SECOND / 1024} KiB a second. Asks the rule capture_port. The first answer has none as a rule; ask again with its marker, at least every ${FOLLOW_LEASE_MS / 1000} s.`,
    query: {
      filter: text('Which: words of tcpdump’s joined by and; default: all.', 'tcp and host 10.0.0.5 and port 80'),
      snaplen: {
        type: 'integer',
        minimum: MIN_SNAPLEN,
        maximum: MAX_SNAPLEN,
        description: 'So many bytes of each; default: all.',
      },
      marker: text('Of the answer before.'),
      end: LAST,
    },
    answers: json({
      ...OF_PORT,
      marker: text('Of this answer.'),
      begun_anew: {
        type: 'boolean',
        description: 'True: the host does not know the marker; what came since is not known.',
      },
      missing: integer('Packets since the marker that came faster than they are taken, or were not asked for in time.'),
      more: { type: 'boolean', description: 'True: more wait; ask at once.' },
      frames: objects('What came since the marker.', {
        at_us: integer('When, by the clock of the host, in microseconds since 1970.'),
        bytes: integer('That the frame had, as far as it says so itself.'),
        frame: text('Its beginning, in base64, from the Ethernet header on.'),
      }),
    }),
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/live',
    summary: `Packets that the port and an address exchange, some a second, and what their connections do: at the port’s host and, if the caller may look into that port, at the receiver’s. Ask again with the marker, at least every ${FOLLOW_LEASE_MS / 1000} s.`,
    query: {
      to: text('Address of the receiver.', '10.0.0.5'),
      source: text('Default: the port’s own.'),
      protocol: text('By name or number; default: ICMP.', 'tcp'),
      sport: integer('Source port; default: any.'),
      dport: integer('Destination port; default: any.'),
      rate: {
        type: 'integer',
        minimum: 1,
        maximum: MAX_PACKET_RATE,
        description: 'Packets a second at each host; 10.',
      },
      marker: text('Of the answer before.'),
      end: LAST,
    },
    answers: json({
      port: NAMED,
      receiver: NAMED,
      marker: text('Of this answer.'),
      begun_anew: {
        type: 'boolean',
        description: 'True: a host does not know the marker; what came since is not known.',
      },
      missing: integer('Records since the marker that were not asked for in time, or were more than is told.'),
      sides: objects('What is counted at the port’s host, and at the receiver’s.', SIDE),
      records: objects('What came since the marker, in the order of time as the hosts have it.', LIVE_PACKET),
    }),
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/trace',
    summary:
      'What would become of a packet that the port sends, and of the answer: found out by the hosts’ own programs, without a packet being sent.',
    query: { to: text('Address of the receiver.', '10.0.0.5'), source: text('Default: the port’s own.'), ...PACKET },
    answers: json(TRACE),
  },
  {
    ...open,
    path: '/cable/v1/networks/{id}/trace',
    summary:
      'What would become of a packet that a machine on the network’s physical network sends to a port that the caller may look into, and of the answer: as the trace of a port.',
    query: {
      to: text('Address of the receiver: a floating IP, a port’s own, one behind a router.', '203.0.113.10'),
      source: text('Address of the machine. Required.', '198.51.100.7'),
      via: text('Address that the machine sends to; default: the receiver’s, or that of the router which leads to it.'),
      ...PACKET,
    },
    answers: json(TRACE),
  },
  {
    ...open,
    path: '/cable/v1/ports/{id}/why',
    summary: 'Why the port is not ACTIVE; with `to`, why it and that port cannot talk.',
    query: { to: text('Id of the other port.'), ...PACKET },
    answers: json({
      port: NAMED,
      status: text('Of the port.', 'DOWN'),
      findings: objects('The first is the cause.', FINDING),
      ways: objects('With `to`: both ways, as trace gives them.', TRACE),
      ports: objects('With `to`: what there is to say of each port.', { port: NAMED, status: text('Of the port.') }),
      finding: {
        type: 'object',
        properties: FINDING,
        nullable: true,
        description: 'With `to`: the cause; null: they can talk.',
      },
    }),
  },
  {
    ...admin,
    path: '/cable/v1/status',
    summary: 'The revision, and counts of hosts and of ports by status.',
    answers: json(STATUS),
  },
  {
    ...admin,
    path: '/cable/v1/check',
    summary: 'Every broken promise of the store’s content; none as a rule.',
    answers: json({
      revision: integer('Of the content.'),
      violations: objects('Broken promises.', VIOLATION),
    }),
  },
  {
    ...admin,
    method: 'PUT',
    path: '/cable/v1/hosts/{id}',
    summary: 'An agent makes its host known.',
    body: REGISTRATION,
    answers: {
      ...json({ protocol: integer('The protocol to be spoken.'), history: HISTORY }),
      204: { description: 'To an agent of protocol 1.' },
    },
  },
  {
    ...admin,
    method: 'POST',
    path: '/cable/v1/hosts/{id}/status',
    summary: 'An agent reports the revision it has programmed and the state of its ports.',
    body: REPORT,
    answers: { 204: NO_BODY },
  },
  {
    ...admin,
    path: '/cable/v1/hosts/{id}/watch',
    summary: 'What a host must be, as a stream of lines: a snapshot, deltas, bookmarks.',
    query: { since: integer('Of protocol 1: the revision to go on from.') },
    answers: {
      101: { description: `With the header Upgrade: ${HOST_UPGRADE}; then lines of JSON both ways.` },
      200: { description: 'Lines of JSON, of protocol 1.', content: 'application/x-ndjson' },
    },
  },
  {
    ...admin,
    method: 'POST',
    path: '/cable/v1/hosts/{id}/certificate',
    summary: 'A host gets another certificate, by the one that it has: over HTTPS, and from nobody else.',
    body: { request: CERTIFICATE_REQUEST },
    answers: { 201: { description: 'Made.', content: 'application/json', attributes: CERTIFICATE } },
  },
  {
    ...open,
    method: 'POST',
    path: '/cable/v1/join',
    summary: 'A host that has no certificate gets one, by a join token.',
    body: {
      host: { type: 'string', required: true, maxLength: 255, example: 'node-1', description: 'Its name.' },
      token: { type: 'string', required: true, description: 'The first part of the token.' },
      secret: { type: 'string', required: true, description: 'The second.' },
      request: CERTIFICATE_REQUEST,
    },
    answers: { 201: { description: 'Made.', content: 'application/json', attributes: CERTIFICATE } },
  },
];
