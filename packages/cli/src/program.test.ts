import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiError, parseSchema, schemaOf } from '@cable/api';
import {
  BUILT_IN_RESOURCES,
  composeRegistry,
  FIXED_COMMANDS,
  FIXED_OPTIONS,
  type Resource,
  resourceWords,
} from '@cable/model';
import { explainFailure } from './errors.ts';
import { attributeFlags, withoutParent } from './flags.ts';
import { cable } from './testing/run.ts';
import { type StubServer, startStub } from './testing/stub-server.ts';
import { bodyFromOptions } from './values.ts';

const A = '11111111-1111-4111-8111-111111111111';
const B = '22222222-2222-4222-8222-222222222222';

type Context = { after(fn: () => void): void };

async function stub(t: Context, extra: Readonly<Record<string, unknown>> = {}, socket?: string): Promise<StubServer> {
  const server = await startStub(extra, socket);
  t.after(() => server.close());
  return server;
}

test('every declared verb and attribute has its command and option, and every command its help', async () => {
  for (const resource of BUILT_IN_RESOURCES) {
    const words = resourceWords(resource).join(' ');
    const top = await cable(`${words} --help`);
    assert.equal(top.status, 0);
    for (const verb of resource.verbs) {
      const name = verb === 'update' ? 'set' : verb;
      assert.match(top.out, new RegExp(`^  ${name}\\b`, 'm'), `${words} ${name}`);
      const help = await cable(`${words} ${name} --help`);
      assert.equal(help.status, 0);
      assert.match(help.out, new RegExp(`^Usage: cable ${words} ${name}`));
      assert.match(help.out, /--json/);
      const purpose = { list: 'filter', create: 'create', update: 'update', show: null, delete: null }[verb];
      if (purpose === null) continue;
      for (const { flags } of attributeFlags(withoutParent(resource), purpose as 'filter')) {
        assert.match(help.out, new RegExp(`^  --${flags[0]}\\b`, 'm'), `${words} ${name} --${flags[0]}`);
      }
    }
  }
});

test('flags are derived from names: references lose _id, lists their plural, name spaces when that is clear', () => {
  const port = BUILT_IN_RESOURCES.find((one) => one.name === 'port');
  assert(port);
  const flags = new Map(attributeFlags(port, 'create').map((one) => [one.name, one.flags]));
  assert.deepEqual(flags.get('network_id'), ['network', 'network-id']);
  assert.deepEqual(flags.get('fixed_ips'), ['fixed-ip', 'fixed-ips']);
  assert.deepEqual(flags.get('binding:vnic_type'), ['vnic-type', 'binding-vnic-type']);
  assert.deepEqual(flags.get('binding:host_id'), ['host-id', 'binding-host-id', 'host']);
  assert.equal(flags.get('status'), undefined);
  assert.equal(flags.get('tenant_id'), undefined);
});

test('create sends what was given, with names made IDs and values of the declared types', async (t) => {
  const server = await stub(t);
  server.put('network', { id: A, name: 'web' });
  server.put('subnet', { id: B, name: 'sub' });
  const words = [
    ...['port', 'create', 'p1', '--network', 'web', '--fixed-ip', 'subnet=sub,ip-address=10.0.0.5'],
    ...['--fixed-ip', `{"subnet_id":"${B}"}`, '--no-admin-state-up', '--host', 'h1', '--no-security-group'],
    ...['--profile', 'a=b,c=d', '--no-hostname', '--json'],
  ];
  const { status, out, err } = await cable(words, server);
  assert.equal(err, '');
  assert.equal(status, 0);
  const body = {
    name: 'p1',
    network_id: A,
    admin_state_up: false,
    fixed_ips: [{ subnet_id: B, ip_address: '10.0.0.5' }, { subnet_id: B }],
    security_groups: [],
    'binding:host_id': 'h1',
    'binding:profile': { a: 'b', c: 'd' },
    'cable:hostname': null,
  };
  const sent = server.requests.at(-1)?.replace('POST /v2.0/ports ', '') ?? '';
  assert.deepEqual(JSON.parse(sent), { port: body });
  assert.deepEqual(JSON.parse(out), { id: 'new-0', ...body });
});

test('create fills a required attribute that has one possible value, and asks for the others', async (t) => {
  const attributes = { kind: { type: 'string', values: ['one'], required: true, write: 'create' } } as const;
  assert.deepEqual(await bodyFromOptions({ attributes }, 'create', {}, () => assert.fail()), { kind: 'one' });
  const server = await stub(t);
  const missing = await cable('port create', server);
  assert.deepEqual([missing.status, missing.err], [2, 'error: --network is required: The network.\n']);
});

test('a subnet of IPv6 is made with its modes, in openstack’s words too', async (t) => {
  const server = await stub(t);
  const create = `subnet create --network ${A} --subnet-range 2001:DB8::/64`;
  assert.equal((await cable(create, server)).status, 0);
  const sent = `POST /v2.0/subnets {"subnet":{"network_id":"${A}","cidr":"2001:db8::/64"}}`;
  assert.equal(server.requests.at(-1), sent);
  const modes = '--ip-version 6 --ipv6-ra-mode slaac --ipv6-address-mode slaac --gateway fe80::1';
  assert.equal((await cable(`${create} ${modes}`, server)).status, 0);
  const body = server.requests.at(-1)?.replace('POST /v2.0/subnets ', '') ?? '';
  assert.deepEqual(JSON.parse(body), {
    subnet: {
      network_id: A,
      ip_version: 6,
      cidr: '2001:db8::/64',
      gateway_ip: 'fe80::1',
      ipv6_ra_mode: 'slaac',
      ipv6_address_mode: 'slaac',
    },
  });
  const wrong = await cable(`${create} --ipv6-ra-mode dhcp`, server);
  assert.equal(wrong.status, 2);
  assert.match(wrong.err, /--ipv6-ra-mode: 'dhcp' is not in \['slaac', 'dhcpv6-stateful', 'dhcpv6-stateless'\]/);
});

test('set changes only what is given; null and empty lists can be given', async (t) => {
  const server = await stub(t);
  server.put('subnet', { id: B, name: 'sub' });
  const words = `subnet set sub --no-gateway --no-dns-nameserver --dhcp --allocation-pool start=10.0.0.2,end=10.0.0.9`;
  const { status, out } = await cable(words, server);
  assert.equal(status, 0);
  const changes = {
    gateway_ip: null,
    allocation_pools: [{ start: '10.0.0.2', end: '10.0.0.9' }],
    enable_dhcp: true,
    dns_nameservers: [],
  };
  assert.equal(server.requests.at(-1), `PUT /v2.0/subnets/${B} ${JSON.stringify({ subnet: changes })}`);
  assert.match(out, /\| allocation_pools \| start=10\.0\.0\.2, end=10\.0\.0\.9 +\|/);
  const one = await cable('subnet update sub --no-gateway -c id --json', server);
  assert.deepEqual(JSON.parse(one.out), { id: B });
  const nothing = await cable('subnet set sub', server);
  assert.deepEqual([nothing.status, nothing.err.split('\n')[0]], [2, 'error: nothing to change is given']);
});

test('list sends filters, order, limit and the columns it shows', async (t) => {
  const server = await stub(t);
  server.put('network', { id: A, name: 'web' });
  server.put('port', { id: B, name: 'p', network_id: A, status: 'DOWN', fixed_ips: [{ ip_address: '10.0.0.5' }] });
  const words = 'port list --network web --status down -c id -c Fixed-IPs --sort name:desc --sort id --limit 5';
  const { status, out } = await cable(words, server);
  assert.equal(status, 0);
  assert.equal(
    server.requests.at(-1),
    `GET /v2.0/ports?network_id=${A}&status=DOWN&sort_key=name&sort_dir=desc&sort_key=id&sort_dir=asc&limit=5&fields=id&fields=fixed_ips`,
  );
  assert.match(out, /^\+-+\+-+\+\n\| id +\| fixed_ips +\|\n/);
  assert.match(out, new RegExp(`\\| ${B} \\| ip_address=10\\.0\\.0\\.5 \\|`));
  const json = await cable('port list --json -c name', server);
  assert.deepEqual(JSON.parse(json.out), [{ name: 'p' }]);
  await cable('port list --fixed-ip ip-address=10.0.0.5 --no-admin-state-up --json', server);
  assert.equal(server.requests.at(-1), 'GET /v2.0/ports?admin_state_up=false&fixed_ips=ip_address=10.0.0.5');
});

test('the project is sent, from the option before the environment', async (t) => {
  const server = await stub(t);
  await cable('network list --project blue', server);
  assert.equal(server.header('x-project-id'), 'blue');
  await cable('network list', server);
  assert.equal(server.header('x-project-id'), undefined);
  assert.equal(server.header('x-roles'), undefined);
  await cable('network list --role member', server);
  assert.equal(server.header('x-roles'), 'member');
});

test('a name that several have is refused with their IDs', async (t) => {
  const server = await stub(t);
  server.put('network', { id: A, name: 'web', project_id: 'blue' });
  server.put('network', { id: B, name: 'web', project_id: 'red' });
  const { status, err } = await cable('network show web', server);
  assert.equal(status, 1);
  assert.equal(
    err,
    `error: 2 networks are called 'web'\n  Give the ID:\n    ${A}  (project blue)\n    ${B}  (project red)\n`,
  );
  assert.equal((await cable('--project red network show web', server)).status, 0);
  assert.ok(server.requests.includes(`GET /v2.0/networks/${B}`), server.requests.join('\n'));
  assert.equal((await cable('--project green network show web', server)).status, 1);
  const none = await cable('security group show nope', server);
  assert.deepEqual(
    [none.status, none.err],
    [1, "error: no security group is called 'nope'\n  See: cable security group list\n"],
  );
  assert.equal((await cable(`network show ${A}`, server)).status, 0);
});

test('a floating IP is found by its address', async (t) => {
  const server = await stub(t);
  server.put('floatingip', { id: A, floating_ip_address: '203.0.113.5' });
  assert.equal((await cable('floatingip delete 203.0.113.5', server)).status, 0);
  assert.ok(server.requests.includes(`DELETE /v2.0/floatingips/${A}`), server.requests.join('\n'));
  const { err } = await cable('floatingip show 203.0.113.6', server);
  assert.equal(err, "error: no floatingip is called '203.0.113.6'\n  See: cable floatingip list\n");
});

test('every group of commands says what it has, however deep', async () => {
  const help = await cable('floatingip --help');
  assert.match(help.out, /^ {2}port +Commands for port forwardings\.$/m);
});

test('delete takes several, goes on after a failure, and says so', async (t) => {
  const server = await stub(t);
  server.put('network', { id: A, name: 'a', used: true });
  server.put('network', { id: B, name: 'b' });
  const { status, out, err } = await cable('network delete a missing b', server);
  assert.deepEqual([status, out], [1, '']);
  assert.match(err, /error: 1{8}.* is in use\. \(NetworkInUse\)\n {2}Delete what uses the object first\.\n/);
  assert.match(err, /error: no network is called 'missing'/);
  assert.match(err, /error: 2 of 3 networks were not deleted\n$/);
  assert.equal(server.requests.filter((one) => one === `DELETE /v2.0/networks/${B}`).length, 1);
});

test('actions have the words of the openstack client', async (t) => {
  const server = await stub(t);
  server.put('router', { id: A, name: 'r' });
  server.put('subnet', { id: B, name: 'sub' });
  assert.equal((await cable('router add subnet r sub', server)).status, 0);
  assert.equal(server.requests.at(-1), `PUT /v2.0/routers/${A}/add_router_interface {"subnet_id":"${B}"}`);
  assert.equal((await cable(`router remove port r ${B} --json`, server)).status, 0);
  assert.equal(server.requests.at(-1), `PUT /v2.0/routers/${A}/remove_router_interface {"port_id":"${B}"}`);
});

test('an answer that is a list is a table', async (t) => {
  const record = { external_address: '203.0.113.5', first_port: 1024, project_id: 'p1', to: null };
  const answers = [{ records: [record, { ...record, project_id: 'p2' }] }, { records: [] }];
  const texts = [];
  for (const answer of answers) {
    const server = await stub(t, { '/cable/v1/snat-leases/find': { snat_records: answer } });
    const words = 'snat lease find --external-address 203.0.113.5 --external-port 1030';
    const { status, out, err } = await cable(words, server);
    assert.deepEqual([status, err], [0, '']);
    texts.push(out);
  }
  assert.match(texts[0] ?? '', /\| external_address \| first_port \| project_id \| to \|/);
  assert.match(texts[0] ?? '', /\| 203\.0\.113\.5 +\| 1024 +\| p2 +\| +\|/);
  assert.equal(texts[1], 'There are no records.\n');
});

test('a resource of several words may be written with dashes', async (t) => {
  const server = await stub(t);
  const options = '--direction ingress --protocol tcp --remote-ip 10.0.0.0/8';
  assert.equal((await cable(`security group rule create ${A} ${options}`, server)).status, 0);
  const first = server.requests.at(-1);
  assert.equal((await cable(`security-group-rule create --security-group ${A} ${options}`, server)).status, 0);
  assert.equal(server.requests.at(-1), first);
  assert.match(
    server.requests.at(-1) ?? '',
    /^POST \/v2\.0\/security-group-rules .*"remote_ip_prefix":"10\.0\.0\.0\/8"/,
  );
});

test('options with values may stand before the command, whose words are found behind them', async (t) => {
  const server = await stub(t);
  const listed = await cable(`--server ${server.url} --project p1 --role member security-group-rule list`);
  assert.deepEqual([listed.status, listed.err], [0, '']);
  assert.match(server.requests.at(-1) ?? '', /^GET \/v2\.0\/security-group-rules\b/);
  const between = await cable(`security-group-rule --server ${server.url} list`);
  assert.deepEqual([between.status, between.err], [0, '']);
  // What concerns this machine alone asks no server, wherever the address stands: this one would log in first.
  const { status, err } = await cable(`--os-cloud nowhere --server unix:/nowhere pki show --dir /nowhere`);
  assert.equal(status, 1);
  assert.match(err, /cannot read \/nowhere\/authority\.pem/);
});

test('a user’s certificate that will show him nothing is made with a note', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-pki-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  assert.equal((await cable(`pki init --dir ${dir} --name one`)).status, 0);
  const issue = (name: string, options: string): ReturnType<typeof cable> =>
    cable(`pki issue user ${name} --dir ${dir} --out ${dir}/${name} ${options}`);
  for (const [name, options, note] of [
    ['a', '--with-role member --with-role reader', /^note: without --in-project /],
    ['b', '--in-project p --with-role member', /^note: roles of a certificate imply no others/],
    ['c', '--in-project p --with-role member --with-role reader', /^$/],
    ['d', '--with-role admin', /^$/],
    ['e', '', /^$/],
  ] as const) {
    const made = await issue(name, options);
    assert.equal(made.status, 0, made.err);
    assert.match(made.err, note);
  }
});

test('each step of a rotation says what it needs elsewhere, and which certificates are of the authority of before', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-pki-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const made = await cable(`pki init --dir ${dir} --name one --address 2001:DB8:0:0::1`);
  assert.match(made.out, /\| 2001:db8::1 localhost 127\.0\.0\.1 ::1 +\|/);
  const issue = `pki issue user a --in-project p --with-role reader --dir ${dir} --out ${dir}/a`;
  assert.equal((await cable(issue)).status, 0);
  const again = `note: ${dir}/a.pem is of the authority of before: cable pki issue user a --in-project p --with-role reader --replace --dir ${dir} --out ${dir}/a\n`;
  const rotate = async (step: string): Promise<string> => {
    const { status, err } = await cable(`pki rotate ${step} --dir ${dir}`);
    assert.equal(status, 0, err);
    return err;
  };
  const begun = await rotate('begin');
  assert.match(begun, /note: other servers, and users .* authority\.pem/);
  assert.match(begun, /cable pki rotate switch after \d{4}-/);
  assert.ok(!begun.includes('a.pem'));
  const switched = await rotate('switch');
  assert.match(switched, /cable pki issue server NAME --address ADDRESS --replace/);
  assert.ok(switched.endsWith(again), switched);
  assert.equal((await cable(issue)).status, 1);
  assert.equal((await cable(`${issue} --replace`)).status, 0);
  assert.ok(!(await rotate('end')).includes('a.pem'));
});

test('wrong usage exits 2, says what is wrong and suggests', async (t) => {
  const server = await stub(t);
  const cases: readonly (readonly [string, RegExp])[] = [
    ['prt list', /unknown command 'prt'\n\(Did you mean port\?\)/],
    ['port lst', /unknown command 'lst'\n\(Did you mean list\?\)/],
    ['port list --stats DOWN', /unknown option '--stats'\n\(Did you mean --status\?\)/],
    ['port list -c colour', /-c|--column: there is no 'colour'\n {2}There are: id, /],
    ['port list --sort colour', /--sort: there is no 'colour'/],
    ['port list --limit 0', /--limit: '0' is not a number from 1/],
    [`network create --mtu many`, /--mtu: 'many' is not an integer/],
    [
      `port create --network ${A} --fixed-ip 10.0.0.5`,
      /--fixed-ip: '10\.0\.0\.5' is not key=value; write subnet=\.\.,ip-address=\.\./,
    ],
    [`port create --network ${A} --fixed-ip colour=red`, /--fixed-ip: there is no 'colour'; write subnet=/],
    [`port create --network ${A} --profile {"a"`, /--profile: the JSON is malformed/],
    [`port create --network ${A} --vnic-type odd`, /--vnic-type: 'odd' is not in/],
    ['network create a --name b', /the name is given twice/],
    [`security group rule create ${A} --security-group ${B}`, /the security-group is given twice/],
    ['network create a b', /too many arguments.*\n {2}See what it takes with --help/],
    ['port list --status DWN', /--status: 'DWN' is not in/],
    ['network show', /missing required argument 'network'/],
    ['network', /Usage: cable network/],
    ['completion fish', /Allowed choices are bash, zsh/],
  ];
  for (const [words, message] of cases) {
    const { status, out, err } = await cable(words, server);
    assert.match(err, message, words);
    assert.deepEqual([status, out], [2, ''], words);
  }
  assert.deepEqual(server.requests, []);
});

test('refusals and failures exit 1 and say what to do', async (t) => {
  const server = await stub(t);
  const missing = await cable(`network show ${A}`, server);
  assert.equal(missing.status, 1);
  assert.match(
    missing.err,
    /^error: Network 1.* could not be found\. \(NetworkNotFound\)\n {2}Check the ID and the project/,
  );
  const refused = await cable('network list --server http://127.0.0.1:1');
  assert.equal(refused.status, 1);
  assert.match(refused.err, /^error: cannot reach http:\/\/127\.0\.0\.1:1: nothing listens there/);
  assert.match(refused.err, /--server or CABLE_SERVER/);
  assert.equal((await cable('network list --server localhost:1')).status, 1);
});

test('what the server says is to be done stands alone', async (t) => {
  const server = await stub(t);
  server.put('network', { id: A, name: 'a', used: true, detail: 'Stop its agent.' });
  const { err } = await cable(`network delete ${A}`, server);
  assert.equal(err, `error: ${A} is in use. (NetworkInUse)\n  Stop its agent.\n`);
});

test('--version and --help exit 0', async () => {
  assert.deepEqual(await cable('--version'), { status: 0, out: '1.2.3\n', err: '' });
  const help = await cable('--help');
  assert.equal(help.status, 0);
  for (const word of ['port', 'security', 'status', 'completion', 'cable server, cable agent, cable kube, cable lab']) {
    assert.ok(help.out.includes(word), word);
  }
});

test('help says of each switch what it does, and of each command what is in it', async () => {
  const help = async (words: string): Promise<string> => (await cable(`${words} --help`)).out.replaceAll(/\s+/g, ' ');
  const network = await help('network create');
  assert.match(network, /--admin-state-up \[boolean\] The opposite of --no-admin-state-up\. /);
  assert.match(network, /--no-admin-state-up The network carries nothing\. /);
  assert.match(network, /--shared \[boolean\] [^-]+\. --no-shared The opposite of --shared\. /);
  assert.match(await help('subnet set'), /--enable-dhcp \[boolean\] DHCP answers in the subnet \(also --dhcp\) /);
  assert.match(await help('network list'), /--no-shared only those whose shared is false /);
  assert.match(await help('security'), /^Usage: .* Commands for security groups and security group rules\. /);
  assert.match(await help('router'), / add Adds parts to a router\. .* remove Removes parts from a router\. /);
  assert.match(await help('router add port'), /Attaches this port: its address becomes the router’s\./);
  assert.match(await help('router add subnet'), /Attaches this subnet: its gateway address becomes the router’s\./);
  assert.match(await help('completion'), /for bash or zsh,/);
});

test('a switch takes true and false, or stands alone; another word behind it is refused', async (t) => {
  const server = await stub(t);
  const sent = async (words: string): Promise<unknown> => {
    assert.deepEqual((await cable(words, server)).err, '', words);
    return server.requests.at(-1);
  };
  assert.equal(
    await sent('network create a --admin-state-up false'),
    'POST /v2.0/networks {"network":{"name":"a","admin_state_up":false}}',
  );
  assert.equal(
    await sent('network create a --admin-state-up=True'),
    'POST /v2.0/networks {"network":{"name":"a","admin_state_up":true}}',
  );
  assert.equal(await sent('network create a --shared'), 'POST /v2.0/networks {"network":{"name":"a","shared":true}}');
  assert.equal(
    await sent('network create --shared --name a'),
    'POST /v2.0/networks {"network":{"name":"a","shared":true}}',
  );
  assert.equal(
    await sent('network create --shared -- a'),
    'POST /v2.0/networks {"network":{"name":"a","shared":true}}',
  );
  assert.equal(
    await sent('network create --no-shared a'),
    'POST /v2.0/networks {"network":{"name":"a","shared":false}}',
  );
  assert.match(String(await sent('network list --shared false -c id')), /^GET \/v2\.0\/networks\?shared=false&/);
  const before = server.requests.length;
  for (const words of ['network create --admin-state-up maybe', 'network list --admin-state-up maybe']) {
    const { status, err } = await cable(words, server);
    assert.deepEqual(
      [status, err],
      [
        2,
        "error: --admin-state-up: 'maybe' is neither true nor false\n  What is no value of --admin-state-up stands in front of it, or behind --.\n",
      ],
    );
  }
  assert.equal(server.requests.length, before);
});

test('text from others cannot drive the terminal', async (t) => {
  const server = await stub(t);
  server.put('network', { id: A, name: 'x\u001b[2Jy\u009b' });
  const { out } = await cable(`network show ${A}`, server);
  assert.ok(out.includes('x\\x1b[2Jy\\x9b'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
  assert.doesNotMatch(out, /[\u001b\u009b]/);
});

test('regression: a server’s words in an error cannot drive the terminal', () => {
  const { text } = explainFailure(new ApiError(400, 'BackendRefused', 'no\u0000\u001b[31m\u202e', 'two\nlines\u009b'));
  assert.equal(text, 'error: no\\x00\\x1b[31m\\u202e (BackendRefused)\n  two\nlines\\x9b\n');
});

test('status tells readiness, revision, hosts and ports', async (t) => {
  const counts = { revision: 77, ports: { total: 2, by_status: { ACTIVE: 2 } } };
  const server = await stub(t, { '/readyz': { ready: true }, '/cable/v1/status': counts });
  server.put('host', { id: 'h1', alive: true });
  server.put('host', { id: 'h2', alive: false });
  const { status, out } = await cable('status --json', server);
  assert.equal(status, 0);
  assert.deepEqual(JSON.parse(out), {
    server: server.url,
    ready: true,
    unready: [],
    revision: 77,
    hosts: { alive: ['h1'], dead: ['h2'], refusing: [], narrow: [] },
    other_options: [],
    ports: { ACTIVE: 2 },
  });
  const table = (await cable('status', server)).out;
  assert.match(table, /\| revision +\| 77 +\|/);
  assert.match(table, /\| hosts alive +\| 1 of 2 +\|/);
  assert.match(table, /\| hosts dead +\| h2 +\|/);
  assert.match(table, /\| ports +\| ACTIVE 2 +\|/);
  assert.doesNotMatch(table, /without room/);
});

test('check says that every rule holds, or which do not, with its exit status', async (t) => {
  const good = await stub(t, { '/cable/v1/check': { revision: 9, violations: [] } });
  assert.deepEqual(await cable('check', good), { status: 0, out: 'Every rule holds at revision 9.\n', err: '' });
  const violation = { rule: 'a key has its object', object: '/cable/x/claim/vni/1', detail: 'no object has the key' };
  const bad = await stub(t, { '/cable/v1/check': { revision: 9, violations: [violation] } });
  const { status, out, err } = await cable('check', bad);
  assert.equal(status, 1);
  assert.match(out, /\| a key has its object \| \/cable\/x\/claim\/vni\/1 \| no object has the key \|/);
  assert.match(err, /1 rules are broken at revision 9/);
  assert.deepEqual(JSON.parse((await cable('check --json', bad)).out), { revision: 9, violations: [violation] });
});

test('status tells of hosts whose kernels have refused entries', async (t) => {
  const server = await stub(t, { '/readyz': { ready: true }, '/cable/v1/status': {} });
  server.put('host', { id: 'h1', alive: true, refused_entries: 0, refused_reason: null });
  server.put('host', { id: 'h2', alive: true, refused_entries: 12, refused_reason: 'map cb_ep_2 is full' });
  const { hosts } = JSON.parse((await cable('status --json', server)).out) as { readonly hosts: object };
  const refusing = [{ host: 'h2', entries: 12, reason: 'map cb_ep_2 is full' }];
  assert.deepEqual(hosts, { alive: ['h1', 'h2'], dead: [], refusing, narrow: [] });
  const table = (await cable('status', server)).out;
  assert.match(table, /\| hosts without room +\| h2: 12 entries are missing: map cb_ep_2 is full +\|/);
});

test('status tells of servers that were given other options', async (t) => {
  const other = { server: 'control-2 (process 7)', option: '--underlay-mtu', here: '1500', there: '9000' };
  const server = await stub(t, { '/readyz': { ready: true }, '/cable/v1/status': { other_options: [other] } });
  assert.deepEqual(JSON.parse((await cable('status --json', server)).out).other_options, [other]);
  const table = (await cable('status', server)).out;
  assert.match(table, /\| other options +\| control-2 \(process 7\): --underlay-mtu 9000, here 1500 +\|/);
});

test('status tells of hosts whose underlay carries too little for their networks', async (t) => {
  const server = await stub(t, { '/readyz': { ready: true }, '/cable/v1/status': {} });
  server.put('host', { id: 'h1', alive: true, underlay_mtu: 1500, networks_too_large: 0 });
  server.put('host', { id: 'h2', alive: true, underlay_mtu: 1400, networks_too_large: 3 });
  const { hosts } = JSON.parse((await cable('status --json', server)).out) as { readonly hosts: { narrow: object } };
  assert.deepEqual(hosts.narrow, [{ host: 'h2', underlay_mtu: 1400, networks: 3 }]);
  const said = /hosts with a small MTU +\| h2: packets of 1400 bytes, too small for 3 of its networks/;
  assert.match((await cable('status', server)).out, said);
});

test('show asks the agent of the host, and finds the only one by itself', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-cli-'));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'h1'));
  const maps = { cb_vif_2: [{ port: 'vm', mac: 'fa:16:3e:00:00:01' }], cb_peer_2: [] };
  const vifs = [{ port_id: A, name: 'vm', state: 'up', reason: null, addresses: ['10.0.0.5'] }];
  const counters = { [A]: { rx_packets: 3, rx_bytes: 300, tx_packets: 1, tx_bytes: 100, SPOOFED: 2 } };
  const extra = { '/maps': maps, '/vifs': vifs, '/counters': counters, '/status': { host: 'h1' } };
  await stub(t, extra, join(dir, 'h1', 'agent.sock'));

  const all = await cable(`show maps --run-dir ${dir}`);
  assert.equal(all.err, '');
  assert.match(all.out, /cb_vif_2: 1 entry\n\+-.*\n\| port \| mac +\|\n(.*\n)?\| vm {3}\| fa:16:3e:00:00:01 \|/);
  assert.match(all.out, /cb_peer_2: empty\n/);
  const one = await cable(`show maps --map vif --json --host h1 --run-dir ${dir}`);
  assert.deepEqual(JSON.parse(one.out), { cb_vif_2: maps.cb_vif_2 });
  assert.match((await cable(`show vifs --run-dir ${dir}`)).out, new RegExp(`\\| ${A} \\| vm `));
  assert.match(
    (await cable(`show counters --run-dir ${dir}`)).out,
    /\| vm +\| 3 +\| 300 +\| 1 +\| 100 +\| SPOOFED 2 \|/,
  );

  const unknown = await cable(`show maps --host h9 --run-dir ${dir}`);
  assert.deepEqual(
    [unknown.status, unknown.err],
    [1, "error: no agent of host 'h9' runs on this machine\n  There are: h1\n"],
  );
  assert.equal((await cable(`show maps --host ../x --run-dir ${dir}`)).status, 2);
  const wrong = await cable(`show maps --map nope --run-dir ${dir}`);
  assert.equal(wrong.status, 2);
});

test('a socket that a killed agent left is no agent', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-cli-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const crash = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  for (const host of ['h1', 'h2', 'h3']) mkdirSync(join(dir, host));
  spawnSync(process.execPath, ['-e', crash, join(dir, 'h1', 'agent.sock')]);
  const none = await cable(`show agent --run-dir ${dir}`);
  assert.equal(none.status, 1);
  assert.match(none.err, /^error: no agent runs on this machine\n {2}Nobody listens on the sockets .*: h1\.\n$/);
  const named = await cable(`show agent --host h1 --run-dir ${dir}`);
  assert.match(named.err, /^error: the agent of host 'h1' does not answer\n {2}Start it: cable agent --host h1/);

  await stub(t, { '/status': { host: 'h2' } }, join(dir, 'h2', 'agent.sock'));
  assert.match((await cable(`show agent --run-dir ${dir}`)).out, /\| host +\| h2 +\|/);
  assert.match((await cable(`show agent --host h9 --run-dir ${dir}`)).err, /There are: h2\n/);

  await stub(t, {}, join(dir, 'h3', 'agent.sock'));
  const several = await cable(`show agent --run-dir ${dir}`);
  assert.equal(several.status, 2);
  assert.match(several.err, /several agents run on this machine\n {2}Add --host with one of: h2, h3\n/);
});

test('show agent has a line for each thing the agent says, by the name that the guide gives it', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-cli-'));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'h1'));
  const refused = { code: 'OtherHistory', message: 'The server is of another cluster.', remedy: null };
  const status = {
    host: 'h1',
    held: ['port a', 'port b'],
    server: { connected: false, refused, held_removal: null, disk: { ok: true } },
  };
  await stub(t, { '/status': status }, join(dir, 'h1', 'agent.sock'));
  const { out } = await cable(`show agent --run-dir ${dir}`);
  const rows = out.split('\n').map((line) => line.split('|').map((one) => one.trim()));
  assert.deepEqual(
    rows.filter((row) => row.length === 4).map(([, field, value]) => [field, value]),
    [
      ['field', 'value'],
      ['host', 'h1'],
      ['held', 'port a'],
      ['', 'port b'],
      ['server.connected', 'false'],
      ['server.refused.code', 'OtherHistory'],
      ['server.refused.message', 'The server is of another cluster.'],
      ['server.refused.remedy', ''],
      ['server.held_removal', ''],
      ['server.disk.ok', 'true'],
    ],
  );
  assert.deepEqual(JSON.parse((await cable(`show agent --json --run-dir ${dir}`)).out), status);
});

test('host adopt-store and confirm-removal are told to the agent of the host, and say what came of it', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-cli-'));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'h1'));
  const extra = {
    '/history/adopt': { changed: true, message: 'The store is taken over.' },
    '/removal/confirm': { changed: false, message: 'No removal waits.' },
  };
  const agent = await stub(t, extra, join(dir, 'h1', 'agent.sock'));
  const adopted = await cable(`host adopt-store --host h1 --run-dir ${dir}`);
  assert.deepEqual([adopted.status, adopted.out, adopted.err], [0, 'The store is taken over.\n', '']);
  const confirmed = await cable(`host confirm-removal --json --run-dir ${dir}`);
  assert.deepEqual([confirmed.status, JSON.parse(confirmed.out)], [0, extra['/removal/confirm']]);
  assert.equal((await cable(`host confirm-removal --run-dir ${dir}`)).out, 'No removal waits.\n');
  assert.deepEqual(agent.requests, ['POST /history/adopt', 'POST /removal/confirm', 'POST /removal/confirm']);
  assert.match((await cable('host adopt-store --help')).out, /OtherHistory/);
  assert.match((await cable('host --help')).out, /confirm-removal/);
  const gone = await cable(`host adopt-store --host h9 --run-dir ${dir}`);
  assert.deepEqual(
    [gone.status, gone.err],
    [1, "error: no agent of host 'h9' runs on this machine\n  There are: h1\n"],
  );
});

const wire: Resource = {
  ...{ type: 'wire_port', name: 'port', plural: 'ports', label: 'WirePort', prefix: '/wire/v1', path: 'ports' },
  ...{ description: 'A port of wires.', verbs: ['list', 'show', 'create', 'delete'], standard: false, stored: true },
  key: 'code',
  attributes: { code: { type: 'string', write: 'create', required: true, description: 'The code.' } },
  forms: [{ form: 'v2', prefix: '/wire/v2' }],
  actions: [
    {
      name: 'count',
      description: 'Counts.',
      on: 'collection',
      method: 'POST',
      bodyKey: 'port',
      body: { least: { type: 'integer' } },
    },
    { name: 'set_tag', description: 'Tags.', path: 'tags/{tag}' },
  ],
};

const plug: Resource = {
  ...{ type: 'wire_plug', name: 'plug', plural: 'plugs', label: 'Plug', prefix: '/wire/v1', path: 'plugs' },
  ...{ description: 'A plug.', verbs: ['list', 'create', 'update', 'delete'], standard: true, stored: true },
  parent: { type: 'wire_port', attribute: 'port_code' },
  attributes: {
    name: { type: 'string', write: 'both', default: '' },
    port_code: { type: 'string', write: 'create', reference: { type: 'wire_port', onDelete: 'cascade' } },
  },
};

test('what only the server knows has its commands, nested ones behind the word for their parent', async (t) => {
  const models = parseSchema(JSON.stringify(schemaOf(composeRegistry([wire, plug]))));
  assert.ok(models);
  const plugs = { plugs: [{ id: A, name: 'left' }], plug: { id: A, name: 'left' } };
  const server = await stub(t, {
    ...{ '/wire/v1/ports': { ports: [{ code: 'w1' }], port: { code: 'w1' } }, '/wire/v1/ports/count': { count: 2 } },
    ...{ '/wire/v1/ports/w1/tags/red': { done: true }, '/wire/v1/ports/w1/plugs': plugs },
    [`/wire/v1/ports/w1/plugs/${A}`]: plugs,
  });
  const run = async (words: string): Promise<string | undefined> => {
    const { err, status } = await cable(`${words} --json`, server, models);
    assert.deepEqual([status, err], [0, ''], words);
    return server.requests.at(-1);
  };
  assert.equal(await run('wire port list'), 'GET /wire/v1/ports?');
  assert.equal(await run('wire port create --code w1'), 'POST /wire/v1/ports {"port":{"code":"w1"}}');
  assert.equal(await run('wire port count --least 2'), 'POST /wire/v1/ports/count {"port":{"least":2}}');
  assert.equal(await run('wire port set-tag w1 red'), 'PUT /wire/v1/ports/w1/tags/red');
  assert.equal(await run('wire plug list w1'), 'GET /wire/v1/ports/w1/plugs?');
  assert.equal(await run('wire plug create w1 left'), 'POST /wire/v1/ports/w1/plugs {"plug":{"name":"left"}}');
  assert.equal(
    await run('wire plug set w1 left --name right'),
    `PUT /wire/v1/ports/w1/plugs/${A} {"plug":{"name":"right"}}`,
  );
  assert.equal(await run(`wire plug delete w1 ${A}`), `DELETE /wire/v1/ports/w1/plugs/${A}`);
  const help = await cable('wire plug create --help', undefined, models);
  assert.match(help.out, /^Usage: cable wire plug create \[options\] <port> \[name\]/);
  assert.doesNotMatch(help.out, /port-code/);
  assert.match((await cable('completion bash', undefined, models)).out, /wire plug list/);
  assert.match((await cable('network list', undefined, models)).err, /unknown command 'network'/);
});

/** The commands, or the options, that a help text names. */
function namesIn(help: string, kind: 'commands' | 'options'): readonly string[] {
  const pattern = kind === 'commands' ? /^ {2}([a-z][a-z-]*)(?=[ |])/gm : /^ {2}(?:-\w, )?--([a-z-]+)/gm;
  const part = kind === 'commands' ? (help.split(/^Commands:$/m)[1] ?? '') : help;
  return [...part.matchAll(pattern)].map(([, name = '']) => name).filter((name) => !name.startsWith('no-'));
}

test('each command and option that the command line has of its own is kept free by the registry', async () => {
  const bare = await cable('--help', undefined, []);
  const groups = ['host', 'proton'];
  const own = namesIn(bare.out, 'commands').filter((name) => !groups.includes(name));
  const inGroups = groups.map(async (group) => {
    const { out } = await cable(`${group} --help`, undefined, []);
    return namesIn(out, 'commands').map((name) => `${group} ${name}`);
  });
  const below = (await Promise.all(inGroups)).flat();
  const processes =
    /Processes: (.*) \(/
      .exec(bare.out)?.[1]
      ?.split(', ')
      .map((one) => one.replace('cable ', '')) ?? [];
  const commands = [...own, ...below, ...processes].filter((name) => !name.endsWith(' help'));
  assert.deepEqual([...commands].sort(), [...FIXED_COMMANDS].sort());
  const { models } = composeRegistry([{ ...wire, verbs: ['list', 'show', 'create', 'update', 'delete'], actions: [] }]);
  const helps = await Promise.all(
    ['list', 'show', 'create', 'set', 'delete'].map((verb) => cable(`wire port ${verb} --help`, undefined, models)),
  );
  const options = helps.flatMap(({ out }) => namesIn(out, 'options')).filter((name) => name !== 'code');
  assert.deepEqual([...new Set(options)].sort(), [...FIXED_OPTIONS].sort());
});

test('what a newer server has and cannot be a command is left out with one line, and nothing else is', async (t) => {
  const schema = JSON.parse(JSON.stringify(schemaOf(composeRegistry([wire, plug])))) as {
    resources: Record<string, unknown>[];
  };
  const [first, second] = schema.resources;
  assert.ok(first && second);
  const text = { type: 'string', write: 'both' };
  const odd = (type: string, more: object = {}): void =>
    void schema.resources.push({ ...first, type, collection: `/wire/v1/${type}`, actions: [], ...more });
  odd('check');
  odd('status');
  odd('other', { command: 'wire port' });
  odd('wire_port_list');
  odd('fine', {
    attributes: {
      code: text,
      json: text,
      no_way: text,
      _x: text,
      a__b: text,
      tags: { type: 'list', write: 'both', items: text },
      tag: text,
    },
    actions: [
      { name: 'list', description: 'A.' },
      { name: 'help', description: 'A.' },
      { name: 'odd', description: 'A.', path: 7, body: { a: text } },
      { name: 'odder', description: 'A.', method: ['x'], on: 5, bodyKey: {} },
      { name: 'go', description: 'Goes.' },
    ],
  });
  odd('strange', { parent: true });
  odd('stranger', {
    parent: { type: 5 },
    attributes: { a: { ...text, reference: 'x' }, b: { ...text, reference: null } },
  });
  const models = parseSchema(JSON.stringify(schema));
  assert.ok(models);
  const server = await stub(t, { '/wire/v1/ports': { ports: [{ code: 'w1' }] } });
  const { status, out, err } = await cable('wire port list --json', server, models);
  assert.deepEqual([status, JSON.parse(out)], [0, [{ code: 'w1' }]]);
  assert.match(
    err,
    /^note: this cable has no room .*'check', 'status', 'wire port', .* and \d+ more\. A newer one may\.\n$/,
  );
  const fine = await cable('fine --help', undefined, models);
  assert.deepEqual(namesIn(fine.out, 'commands'), ['create', 'delete', 'go', 'help', 'list', 'show']);
  const create = (await cable('fine create --help', undefined, models)).out;
  assert.deepEqual(
    namesIn(create, 'options').filter((name) => !FIXED_OPTIONS.includes(name)),
    ['code', 'tags', 'tag'],
  );
  assert.equal(
    (await cable('check', await stub(t, { '/cable/v1/check': { revision: 1, violations: [] } }), models)).status,
    0,
  );
  assert.equal((await cable('completion bash', undefined, models)).status, 0);
});

test('the completion script completes commands and options in bash', async () => {
  const { out, status } = await cable('completion bash');
  assert.equal(status, 0);
  const complete = (...words: readonly string[]): string => {
    const script = `${out}\nCOMP_WORDS=("$@"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _cable; echo "\${COMPREPLY[*]}"`;
    return execFileSync('bash', ['-c', script, 'bash', 'cable', ...words], { encoding: 'utf8' }).trim();
  };
  assert.equal(complete('sec'), 'security');
  assert.equal(complete('security', 'group', 'rule', 'cr'), 'create');
  assert.equal(complete('port', 'create', '--network', 'web', '--fixed'), '--fixed-ip');
  assert.equal(
    complete('router', 'add', ''),
    'port subnet --help --version --server --ca --cert --key --os-cloud --project --role --json',
  );
  assert.match((await cable('completion zsh')).out, /^autoload -U \+X bashcompinit/);
});
