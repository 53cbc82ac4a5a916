import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as nextTurn } from 'node:timers/promises';
import { cable } from './testing/run.ts';
import { type StubServer, startStub } from './testing/stub-server.ts';

const A = '11111111-1111-4111-8111-111111111111';
const B = '22222222-2222-4222-8222-222222222222';
const [PORT, PEER] = [
  { id: A, name: 'vm1' },
  { id: B, name: 'vm2' },
];

type Context = { after(fn: () => void): void };

async function stub(t: Context, answers: Readonly<Record<string, unknown>>): Promise<StubServer> {
  const paths = Object.entries(answers).map(([what, body]) => [`/cable/v1/ports/${A}/${what}`, body]);
  const server = await startStub(Object.fromEntries(paths));
  t.after(() => server.close());
  const more = { device_owner: 'compute:nova', status: 'ACTIVE', project_id: 'p' };
  server.put('port', { ...PORT, ...more, fixed_ips: [{ subnet_id: A, ip_address: '10.0.0.1' }] });
  server.put('port', { ...PEER, ...more, status: 'DOWN', fixed_ips: [{ subnet_id: A, ip_address: '10.0.0.2' }] });
  return server;
}

const DROP = { reason: 'policy_ingress', packets: 3, last_seconds_ago: 2, meaning: 'no rule', remedy: 'add one' };

test('drops are told with meaning and remedy, of one port and of all that are up', async (t) => {
  const server = await stub(t, { drops: { port: PORT, network: { id: B, name: 'blue' }, drops: [DROP] } });
  for (const command of ['drops vm1', 'drops']) {
    const { status, out } = await cable(command, server);
    assert.equal(status, 0);
    assert.match(out, /vm1 +\| blue +\| policy_ingress \| 3 +\| 2 s ago \| no rule \| add one/);
  }
  assert.ok(
    !server.requests.some((request) => request.includes(`${B}/drops`)),
    'a port that is down is not asked about',
  );
  assert.deepEqual(JSON.parse((await cable('drops vm1 --json', server)).out).drops, [DROP]);
  const quiet = await stub(t, { drops: { port: PORT, network: null, drops: [] } });
  assert.equal((await cable('drops vm1', quiet)).out, 'Nothing was dropped.\n');
});

test('a host that does not answer yet holds up what is asked of no other', async (t) => {
  const ids = Array.from({ length: 12 }, (_, n) => `${String(n).padStart(8, '0')}-1111-4111-8111-111111111111`);
  const [slow = '', ...others] = ids;
  let answer: (drops: unknown) => void = () => {};
  const late = new Promise((resolve) => {
    answer = resolve;
  });
  const answered = (id: string) => ({ port: { id, name: id }, network: null, drops: [{ ...DROP, reason: id }] });
  const paths = ids.map((id) => [`/cable/v1/ports/${id}/drops`, id === slow ? late : answered(id)] as const);
  const server = await startStub(Object.fromEntries(paths));
  t.after(() => server.close());
  for (const id of ids) server.put('port', { id, name: id, device_owner: '', status: 'ACTIVE', project_id: 'p' });
  const told = cable('drops --json', server);
  while (!others.every((id) => server.requests.includes(`GET /cable/v1/ports/${id}/drops`))) await nextTurn();
  answer(answered(slow));
  const all = JSON.parse((await told).out) as { readonly port: { readonly id: string } }[];
  assert.deepEqual(
    all.map(({ port }) => port.id),
    ids,
  );
});

test('flows are filtered by the server, page by page, and shown by name', async (t) => {
  const flow = {
    ...{ begun_here: true, network: { id: B, name: 'blue' }, protocol: 6, source: '10.0.0.1', source_port: 5 },
    ...{ destination: '2001:db8::2', destination_port: 80, icmp_type: null, peer: PEER, state: 'new', bytes: 7 },
    ...{ reply_bytes: 0, age_seconds: 1, expires_seconds: 9, rule: A, security_group: { id: B, name: 'web' } },
  };
  const server = await stub(t, { flows: { flows: [flow], total: 3, next_marker: null } });
  const { out } = await cable('flows vm1 --protocol tcp --port 80 --state new --limit 1 --all', server);
  assert.match(out, /out +\| vm2 +\| blue +\| tcp +\| 10\.0\.0\.1:5 \| \[2001:db8::2\]:80 \| new +\| 7 /);
  assert.match(out, new RegExp(`${A} of web`));
  assert.match(out, /1 of 3/);
  const asked = server.requests.at(-1);
  assert.equal(asked, `GET /cable/v1/ports/${A}/flows?protocol=tcp&port=80&state=new&limit=1`);
});

test('who follows asks again with the marker of the answer before, and is told what is missing', async (t) => {
  const event = {
    ...{ at: '2026-11-27T14:00:00.123Z', begun_here: true, network: null, protocol: 6, source: '10.0.0.1' },
    ...{ source_port: 5, destination: '10.0.0.9', destination_port: 80, icmp_type: null, peer: PEER, becomes: null },
    ...{ packets: 1, bytes: 60, reply_packets: 2, reply_bytes: 70, rule: null, security_group: null, ended: null },
    ...{ reason: null, meaning: null, remedy: null },
  };
  const becomes = { source: '10.0.0.1', source_port: 5, destination: null, destination_port: 8080 };
  const records = [
    { ...event, kind: 'begin', becomes, rule: A, security_group: { id: B, name: 'web' } },
    { ...event, kind: 'end', ended: 'closed' },
    { ...event, kind: 'drop', begun_here: false, reason: 'no_route', meaning: 'no\u001b way', remedy: 'make one' },
  ];
  const answers = [
    { marker: 'a.0.0', begun_anew: false, missing: 0, records: [] },
    { marker: 'b.3.2', begun_anew: true, missing: 2, records },
  ];
  for (const more of ['', ' --json']) {
    const left = [...answers];
    const server = await stub(t, { follow: () => left.shift() });
    const { status, out, err } = await cable(`flows vm1 --follow --protocol tcp --port 80${more}`, server);
    assert.equal(status, 1, 'the port is gone');
    assert.match(err, /^-- begun anew: [^\n]*\n-- 2 records are missing\nerror: /);
    const asked = server.requests.filter((one) => one.includes('/follow'));
    const path = `GET /cable/v1/ports/${A}/follow`;
    assert.deepEqual(
      asked,
      ['', 'marker=a.0.0&', 'marker=b.3.2&'].map((marker) => `${path}?${marker}protocol=tcp&port=80`),
    );
    const lines = out.trimEnd().split('\n');
    if (more === '') {
      const text = lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.123 /, ''));
      assert.deepEqual(text, [
        `begin out tcp 10.0.0.1:5 > 10.0.0.9:80 (becomes 10.0.0.1:5 > an address of another project:8080) peer vm2 rule ${A} of web`,
        'end   out tcp 10.0.0.1:5 > 10.0.0.9:80 peer vm2 1 packets 60 bytes, back 2 packets 70 bytes (closed)',
        'drop  in  tcp 10.0.0.1:5 > 10.0.0.9:80 peer vm2 no_route (no\\x1b way)',
        '    remedy: make one',
      ]);
    } else
      assert.deepEqual(
        lines.map((line) => JSON.parse(line)),
        records,
      );
  }
  const { status, err } = await cable('flows vm1 --follow --state new', await stub(t, {}));
  assert.deepEqual([status, err], [2, 'error: --state is not for --follow\n']);
});

const TRACE = {
  from: PORT,
  packet: { source: '10.0.0.1', destination: '10.0.0.2', protocol: 6, source_port: 40_000, destination_port: 80 },
  verdict: 'dropped',
  cause: { way: 'there', host: 'h1', reason: 'no_route', meaning: 'no way', remedy: 'make one' },
  receiver: null,
  there: [{ host: null, steps: [{ kind: 'router', text: 'to router r' }] }],
  back: [],
};

test('a trace is told host by host, with the cause at its end; its receiver may be a port', async (t) => {
  const server = await stub(t, { trace: TRACE });
  const { out } = await cable('trace --from vm1 --to vm2 --proto tcp --dport 80', server);
  assert.equal(
    out,
    [
      'tcp from 10.0.0.1:40000 to 10.0.0.2:80',
      'there, host 1 of the way:',
      '  to router r',
      'It is dropped.',
      '  cause:  no way',
      '  remedy: make one',
      '',
    ].join('\n'),
  );
  assert.equal(server.requests.at(-1), `GET /cable/v1/ports/${A}/trace?to=10.0.0.2&protocol=tcp&dport=80`);
});

test('a trace from outside is of a network, and needs the machine’s address', async (t) => {
  const server = await startStub({ [`/cable/v1/networks/${B}/trace`]: TRACE });
  t.after(() => server.close());
  server.put('network', { id: B, name: 'public' });
  const words = 'trace --outside public --source 198.51.100.7 --to 203.0.113.10 --via 203.0.113.2';
  const { status, out, err } = await cable(words, server);
  assert.equal(status, 0, err);
  assert.match(out, /^tcp from 10\.0\.0\.1:40000 to 10\.0\.0\.2:80\n/);
  const path = `/cable/v1/networks/${B}/trace?to=203.0.113.10&source=198.51.100.7&via=203.0.113.2`;
  assert.equal(server.requests.at(-1), `GET ${path}`);
  for (const [more, said] of [
    ['--to a', 'give --from or --outside'],
    ['--to a --from vm1 --outside public', 'give --from or --outside'],
    ['--to a --outside public', '--outside: give --source, too'],
    ['--to a --outside public --live', '--outside is not for --live'],
    ['--to a --from vm1 --via 10.0.0.1', '--via is for --outside'],
  ] as const)
    assert.deepEqual(await cable(`trace ${more}`, server), { status: 2, out: '', err: `error: ${said}\n` });
});

test('packets are shown with what was decided, once; drops with the remedy; it ends after as many as were asked for', async (t) => {
  const flow = {
    ...{ marker: 7, peer: PEER, state: 'established', rule: A, security_group: { id: B, name: 'web' } },
    ...{ becomes: null, load_balanced: true, peer_host: 'h2' },
  };
  const packet = {
    ...{ kind: 'packet', at: '2026-11-27T14:00:00.123456Z', port: PORT, host: 'h1', sent: true, protocol: 6 },
    ...{ source: '10.0.0.1', source_port: 5, destination: '10.0.0.2', destination_port: 80, icmp_type: null },
    ...{ tcp_flags: ['SYN', 'ACK'], bytes: 60, flow },
  };
  const drop = {
    ...{ ...packet, kind: 'drop', port: PEER, begun_here: false, peer: PORT, becomes: null, reason: 'no_route' },
    ...{ meaning: 'no way', remedy: 'make one' },
  };
  const window = { reason: 'tcp_window', meaning: 'not in it', remedy: 'wait', packets: 2 };
  const sides = (packets: number) => [
    { port: PORT, host: 'h1', sent: 3, received: 4, drops: [], error: null },
    {
      port: PEER,
      host: 'h2',
      sent: 3,
      received: 4,
      error: 'it is away',
      drops: [
        { ...window, packets },
        { ...window, reason: 'no_route' },
      ],
    },
  ];
  const answer = { begun_anew: false, missing: 0, receiver: PEER };
  const answers = [
    { ...answer, marker: 'a.0.0~', sides: sides(2), records: [packet, packet, drop] },
    { ...answer, marker: 'a.1.0~', sides: sides(5), records: [] },
    { ...answer, marker: 'a.2.0~', sides: sides(5), records: [{ ...packet, sent: false, flow: null }, packet] },
  ];
  for (const json of [false, true]) {
    const left = [...answers];
    const server = await stub(t, { live: () => left.shift() });
    const words = ['--proto', 'tcp', '--dport', '80', '--count', '3', '--rate', '5', ...(json ? ['--json'] : [])];
    const { status, out, err } = await cable(['trace', '--live', '--from', 'vm1', '--to', 'vm2', ...words], server);
    assert.equal(status, 0, err);
    const path = `GET /cable/v1/ports/${A}/live?to=10.0.0.2&protocol=tcp&dport=80&rate=5`;
    assert.deepEqual(
      server.requests.filter((one) => one.includes('/live')),
      ['', '&marker=a.0.0~', '&marker=a.1.0~', '&marker=a.2.0~&end=true'].map((more) => `${path}${more}`),
      'the host is told that it was the last',
    );
    assert.deepEqual(err.trimEnd().split('\n'), [
      '-- vm2: it is away',
      '-- shown is what passes vm1 on h1 and vm2 on h2, each by the clock of its host',
      '-- 2 dropped meanwhile of all that vm2 sends and receives: tcp_window (not in it)',
      '-- 3 dropped meanwhile of all that vm2 sends and receives: tcp_window (not in it)',
    ]);
    const lines = out.trimEnd().split('\n');
    if (json) {
      assert.deepEqual(JSON.parse(lines[0] ?? ''), packet);
      assert.equal(lines.length, 4);
      continue;
    }
    const sent = 'vm1 sends tcp 10.0.0.1:5 > 10.0.0.2:80 [SYN,ACK] 60 bytes';
    assert.deepEqual(
      lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.123456 /, '')),
      [
        sent,
        `    as its connection was decided: rule ${A} of web, by a load balancer, by the tunnel to h2, peer vm2, established`,
        sent,
        'vm2 drop  in  tcp 10.0.0.1:5 > 10.0.0.2:80 peer vm1 no_route (no way)',
        '    remedy: make one',
        sent.replace('sends', 'is given'),
        '    of no connection that is known: it was refused, or the port’s groups are stateless',
      ],
    );
  }
  const server = await stub(t, {});
  for (const [more, said] of [
    ['--live --bytes 90', '--bytes is not for --live'],
    ['--live --icmp-type 8', '--icmp-type is not for --live'],
    ['--live --count 0', '--count: give a whole number from 1 on'],
    ['--rate 5', '--rate is for --live'],
  ] as const) {
    const { status, err } = await cable(`trace --from vm1 --to vm2 ${more}`, server);
    assert.deepEqual([status, err], [2, `error: ${said}\n`]);
  }
});

test('why is told for one port and for two', async (t) => {
  const finding = { code: 'x', text: 'it is unplugged', remedy: 'plug it in' };
  const why = { port: PORT, status: 'DOWN', findings: [finding], finding, ways: [TRACE], ports: [] };
  const server = await stub(t, { why });
  assert.equal((await cable('why vm1', server)).out, 'Port vm1 is DOWN.\n- it is unplugged\n  remedy: plug it in\n');
  const { out } = await cable('why vm1 vm2', server);
  assert.match(out, /^They cannot talk:\n- it is unplugged\n {2}remedy: plug it in\n\ntcp from/);
  assert.equal(server.requests.at(-1), `GET /cable/v1/ports/${A}/why?to=${B}`);
  const unheard = await stub(t, { why: { ...why, verdict: 'unknown' } });
  assert.match(
    (await cable('why vm1 vm2', unheard)).out,
    /^It is not known whether they can talk:\n- it is unplugged\n/,
  );
});

test('a capture is a pcap file that tcpdump reads, and says what is missing', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-capture-'));
  mkdirSync(join(dir, 'h1'));
  const frame = Buffer.from(
    'ffffffffffff0200000000010806' + '0001080006040001020000000001' + '0a000001' + '000000000000' + '0a000002',
    'hex',
  );
  const asked: string[] = [];
  const lines = [
    { device: 'tap1' },
    { time_us: 1_700_000_000_000_001, frame: frame.toString('base64') },
    { end: 'its time is over', lost: 2 },
  ];
  const agent = createServer((request, response) => {
    asked.push(decodeURIComponent(request.url ?? ''));
    if (request.url === '/vifs') response.end(JSON.stringify([{ port_id: A, name: 'vm1' }]));
    else if (request.url?.includes('vlan')) response.writeHead(400).end('{"error":"filter: \'vlan\' is not known"}');
    else response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  });
  await new Promise<void>((resolve) => agent.listen(join(dir, 'h1', 'agent.sock'), () => resolve()));
  t.after(() => {
    agent.close();
    agent.closeAllConnections();
    rmSync(dir, { recursive: true });
  });
  const file = join(dir, 'out.pcap');
  const words = [
    'capture',
    'vm1',
    '--run-dir',
    dir,
    '--filter',
    'arp and host 10.0.0.1',
    '--count',
    '1',
    '--out',
    file,
  ];
  const { status, err } = await cable(words);
  assert.equal(err, '1 packets (its time is over); 2 came faster than they were taken, and are missing\n');
  assert.equal(status, 0);
  assert.match(
    asked[1] ?? '',
    new RegExp(`^/capture\\?port=${A}&filter=arp\\+and\\+host\\+10.0.0.1&count=1&seconds=3600$`),
  );
  assert.equal(readFileSync(file).length, 24 + 16 + frame.length);
  const read = execFileSync('tcpdump', ['-n', '-tt', '-r', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  assert.match(read, /^1700000000\.000001 ARP, Request who-has 10\.0\.0\.2 tell 10\.0\.0\.1/);
  const unknown = await cable(['capture', 'vm1', '--run-dir', dir, '--out', file, '--filter', 'vlan 3']);
  assert.equal(unknown.err, "error: the agent of h1 answered 400: filter: 'vlan' is not known\n");
  const missing = await cable(['capture', 'vm9', '--run-dir', dir, '--out', file]);
  assert.match(missing.err, /port 'vm9' is not on this machine/);
});

test('a capture of a port elsewhere is a pcap file, too; a server is asked until as many are there, and what is missing is told at the end', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-capture-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const frame = Buffer.from(`ffffffffffff02000000000108004500${'00'.repeat(48)}`, 'hex');
  const shown = { at_us: 1_700_000_000_000_001, bytes: 1442, frame: frame.toString('base64') };
  const answer = { port: PORT, host: null, begun_anew: false, missing: 0, more: false, frames: [] };
  const answers = [
    { ...answer, marker: 'a.0.0' },
    { ...answer, marker: 'a.1.3', missing: 3, more: true, frames: [shown] },
    { ...answer, marker: 'a.4.4', missing: 1, frames: [shown, shown, shown] },
    { ...answer, marker: 'a.9.9', missing: 5, frames: [shown, shown] },
  ];
  const file = join(dir, 'out.pcap');
  const words = ['capture', 'vm1', '--filter', 'tcp and port 80', '--snaplen', '64', '--out', file];
  // Agents of this machine are not looked for where one acts in a project.
  for (const [count, packets, lost] of [
    ['3', 3, 4],
    ['0', 4, 4],
  ] as const) {
    const left = [...answers];
    const server = await stub(t, { capture: () => (count === '0' && left.length === 1 ? undefined : left.shift()) });
    const { status, err } = await cable([...words, '--count', count, '--project', 'p'], server);
    const asked = server.requests.filter((one) => one.includes('/capture'));
    const query = (more: string): string => `GET /cable/v1/ports/${A}/capture?filter=tcp+and+port+80&snaplen=64${more}`;
    assert.deepEqual(
      asked,
      ['', '&marker=a.0.0', '&marker=a.1.3', count === '0' ? '&marker=a.4.4' : '&marker=a.4.4&end=true'].map(query),
    );
    const told = `; ${lost} came faster than they were taken, and are missing\n`;
    if (count === '0') {
      assert.equal(status, 1, 'the port is gone');
      assert.match(err, new RegExp(`^${packets} packets${told}error: `));
    } else assert.deepEqual([status, err], [0, `${packets} packets (as many as were asked for)${told}`]);
    assert.equal(readFileSync(file).length, 24 + packets * (16 + 64));
    assert.equal(readFileSync(file).readUInt32LE(24 + 12), 1442, 'how long it was');
    assert.equal(server.header('x-project-id'), 'p');
    assert.equal(
      execFileSync('tcpdump', ['-n', '-r', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .trim()
        .split('\n').length,
      packets,
    );
  }
  const none = join(dir, 'none.pcap');
  const unbound = await cable(['capture', 'vm1', '--out', none, '--project', 'p'], await stub(t, {}));
  assert.deepEqual([unbound.status, existsSync(none)], [1, false]);
  for (const wrong of ['--count x', '--seconds 0', '--seconds 3601', '--snaplen 63']) {
    const { status, err } = await cable([...words, ...wrong.split(' ')]);
    assert.deepEqual([status, /^error: --[a-z]+: give a whole number of/.test(err)], [2, true], err);
  }
});
