/** `cable pki`: authorities and certificates, in files of this machine; no server is asked. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { isClusterName } from '@cable/model';
import {
  type AuthorityKind,
  certificatesIn,
  findOldCertificates,
  fingerprintOf,
  formatIdentity,
  type Identity,
  identityOf,
  initAuthorities,
  isPlace,
  issueWithKey,
  LIFE_MS,
  LOCAL_PLACES,
  pkiPaths,
  placesOf,
  type RotationStep,
  readAuthority,
  readPem,
  rotateAuthority,
  validityFrom,
  writeClient,
  writeServer,
} from '@cable/pki';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { Bind, CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { collect } from './flags.ts';
import { type Row, renderJson, renderObject, renderTable } from './render.ts';

type Options = Readonly<Record<string, unknown>>;

const DEFAULT_DIRECTORY = '/etc/cable/pki';
const DAY_MS = 86_400_000;
const STEPS: readonly RotationStep[] = ['begin', 'switch', 'end'];

/** Adds `cable pki init|issue|show|rotate`. */
export function addPkiCommands(root: Command, bind: Bind): void {
  const pki = root
    .command('pki')
    .description('Makes the cloud’s authorities, and certificates of them, in files here.');
  inDirectory(pki.command('init'))
    .description('Makes the authority of servers and users, that of hosts, and a certificate for this server.')
    .option('--name <name>', 'name of this server (default: that of the machine)')
    .option('--address <place>', 'DNS name or address under which it is reached (repeatable)', addPlace)
    .action(bind(init));
  const issue = pki.command('issue').description('Makes a certificate, with a key of its own.');
  inDirectory(issue.command('server <name>'))
    .description('For a server; it takes the place of the one that is in the directory with --replace.')
    .option('--address <place>', 'DNS name or address under which it is reached (repeatable)', addPlace)
    .option('--replace', 'overwrite the certificate and key of the server that are there')
    .option('--days <count>', 'for how long it is good (default: 365)', parseDays)
    .action(bind(issueServer));
  inDirectory(issue.command('user <name>'))
    .description('For somebody who uses the API: NAME.pem and NAME.key.')
    .option('--in-project <id>', 'the project that it acts in (default: none)')
    .option('--with-role <name>', 'a role there, such as admin, member or reader (repeatable)', collect)
    .option('--out <prefix>', 'writes PREFIX.pem and PREFIX.key (default: the name)')
    .option('--replace', 'overwrite the certificate and key that are there')
    .option('--days <count>', 'for how long it is good (default: 365)', parseDays)
    .action(bind((context, options, args) => issueClient(context, options, userOf(String(args[0]), options))));
  inDirectory(issue.command('host <name>'))
    .description('For a host that is to join by no token: NAME.pem and NAME.key, for cable agent --tls-cert.')
    .option('--out <prefix>', 'writes PREFIX.pem and PREFIX.key (default: the name)')
    .option('--replace', 'overwrite the certificate and key that are there')
    .option('--days <count>', 'for how long it is good (default: 30)', parseDays)
    .action(bind((context, options, args) => issueClient(context, options, { kind: 'host', name: String(args[0]) })));
  inDirectory(issue.command('cluster <name>'))
    .description('For the controller of a Kubernetes cluster (cable kube): NAME.pem and NAME.key.')
    .option('--out <prefix>', 'writes PREFIX.pem and PREFIX.key (default: the name)')
    .option('--replace', 'overwrite the certificate and key that are there')
    .option('--days <count>', 'for how long it is good (default: 365)', parseDays)
    .action(bind((context, options, args) => issueClient(context, options, clusterOf(String(args[0])))));
  inDirectory(pki.command('show')).description('Shows what is in the directory.').action(bind(show));
  inDirectory(pki.command('rotate'))
    .description('Lets another authority take the place of one, in three steps: docs/guide/joining.md says when.')
    .addArgument(new Argument('<step>').choices(STEPS))
    .option('--hosts', 'the authority of hosts (default: that of servers and users)')
    .action(bind(rotate));
}

function inDirectory(command: Command): Command {
  return command.option('--dir <directory>', 'where authorities and the server’s certificate are', DEFAULT_DIRECTORY);
}

async function init(context: CliContext, options: Options): Promise<void> {
  const directory = directoryOf(options);
  const now = new Date();
  const name = String(options['name'] ?? hostname());
  const identity = checked({ kind: 'server', name });
  const { authority } = await initAuthorities(directory, now);
  const places = placesFor(options);
  const made = await issueWithKey(authority, { identity, places, validity: validityFrom(now, LIFE_MS.server) });
  await writeServer(directory, made, [authority.certificate], false);
  await show(context, options);
}

async function issueServer(context: CliContext, options: Options, args: readonly unknown[]): Promise<void> {
  const directory = directoryOf(options);
  const identity = checked({ kind: 'server', name: String(args[0]) });
  const { signer, trusted } = await readAuthority(directory, 'authority');
  const places = placesFor(options);
  const made = await issueWithKey(signer, {
    identity,
    places,
    validity: validityOf(options, 'server', signer.certificate),
  });
  await writeServer(directory, made, trusted, options['replace'] === true);
  print(context, describe(made.certificate, pkiPaths(directory).cert));
}

async function issueClient(context: CliContext, options: Options, identity: Identity): Promise<void> {
  checked(identity);
  const kind: AuthorityKind = identity.kind === 'host' ? 'hosts' : 'authority';
  const { signer } = await readAuthority(directoryOf(options), kind);
  const prefix = String(options['out'] ?? identity.name);
  const made = await issueWithKey(signer, {
    identity,
    validity: validityOf(options, identity.kind, signer.certificate),
  });
  await writeClient(prefix, made, options['replace'] === true);
  print(context, describe(made.certificate, `${prefix}.pem`));
  for (const hint of hintsOf(identity)) context.printError(`note: ${hint}\n`);
}

/** What such a user will wonder about. */
function hintsOf(identity: Identity): readonly string[] {
  if (identity.kind !== 'user') return [];
  const { projectId, roles } = identity;
  const isAdmin = roles.includes('admin');
  const ownsNothing = roles.length > 0 && projectId === null && !isAdmin;
  const isBlind = roles.includes('member') && !roles.includes('reader') && !isAdmin;
  return [
    ...(ownsNothing ? ['without --in-project it sees nothing that is a project’s: give the ID of one'] : []),
    ...(isBlind
      ? ['roles of a certificate imply no others: a member that is to see anything has --with-role reader, too']
      : []),
  ];
}

async function show(context: CliContext, options: Options): Promise<void> {
  const { authority, hosts, cert } = pkiPaths(directoryOf(options));
  const rows: Row[] = [];
  for (const [what, { certificates, key }] of [
    ['authority', authority],
    ['hosts', hosts],
  ] as const) {
    for (const one of certificatesIn(await readPem(certificates))) {
      rows.push({ what, ...describe(one, certificates), signs: await signs(one, key) });
    }
  }
  const [own] = certificatesIn(await readPem(cert).catch(() => ''));
  if (own !== undefined) rows.push({ what: 'server', ...describe(own, cert), signs: false });
  if (context.json) context.print(renderJson(rows));
  else context.print(renderTable(['what', 'subject', 'places', 'fingerprint', 'expires_at', 'signs'], rows));
}

async function signs(certificate: string, keyPath: string): Promise<boolean> {
  if ((await stat(keyPath).catch(() => undefined)) === undefined) return false;
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(await readPem(keyPath)));
}

async function rotate(context: CliContext, options: Options, args: readonly unknown[]): Promise<void> {
  const step = String(args[0]) as RotationStep;
  const kind: AuthorityKind = options['hosts'] === true ? 'hosts' : 'authority';
  const [directory, now] = [directoryOf(options), new Date()];
  await rotateAuthority(directory, kind, step, now);
  await show(context, options);
  const left = step === 'begin' ? [] : await findOldCertificates(directory, kind, now);
  const notes = [
    ...rotationNotes(kind, now)[step],
    ...left.map(({ file, command }) => `${file} is of the authority of before: ${command}`),
  ];
  for (const note of notes) context.printError(`note: ${note}\n`);
}

/** What is to be done elsewhere after a step, and when the next one may be taken. */
function rotationNotes(kind: AuthorityKind, now: Date): Readonly<Record<RotationStep, readonly string[]>> {
  const inDays = (count: number): string => new Date(now.getTime() + count * DAY_MS).toISOString().slice(0, 10);
  if (kind === 'hosts') {
    return {
      begin: ['other servers need the new hosts.pem before cable pki rotate switch --hosts'],
      switch: [
        'other servers that let hosts join need the new hosts.key, too',
        `hosts get a certificate of the new authority as they renew theirs: cable pki rotate end --hosts after ${inDays(30)}, unless --host-certificate-life says otherwise`,
      ],
      end: ['other servers need the new hosts.pem'],
    };
  }
  return {
    begin: [
      'other servers, and users (--ca, CABLE_CA), need the new authority.pem now',
      `hosts hear of the new authority as they renew their certificates: cable pki rotate switch after ${inDays(20)}, unless --host-certificate-life says otherwise`,
    ],
    switch: [
      'each other server needs a certificate of the new authority: cable pki issue server NAME --address ADDRESS --replace, in a copy of this directory',
      'so does each user: cable pki issue user NAME --in-project ID --with-role ROLE --replace; those of before are refused after cable pki rotate end',
      'join tokens of before are of no use any more: make others',
    ],
    end: [
      'other servers and users need the new authority.pem; users’ certificates of the authority of before are refused',
    ],
  };
}

function describe(certificate: string, file: string): Row {
  const { subject, subjectAltName = '', validTo } = new X509Certificate(certificate);
  const identity = identityOf(subjectAltName);
  return {
    subject: identity === undefined ? subject : formatIdentity(identity),
    places: placesOf(certificate).join(' '),
    fingerprint: fingerprintOf(certificate),
    expires_at: `${new Date(validTo).toISOString().slice(0, 19)}Z`,
    file,
  };
}

function print(context: CliContext, row: Row): void {
  context.print(context.json ? renderJson(row) : renderObject(row));
}

function clusterOf(name: string): Identity {
  if (isClusterName(name)) return { kind: 'cluster', name };
  throw new CliError(
    2,
    `${name} is no name of a cluster`,
    'Give at most 63 of a to z, 0 to 9 and "-", first and last none of "-".',
  );
}

function userOf(name: string, options: Options): Identity {
  const roles = (options['withRole'] as readonly string[] | undefined) ?? [];
  const project = options['inProject'];
  return { kind: 'user', name, projectId: project === undefined ? null : String(project), roles };
}

function checked(identity: Identity): Identity {
  try {
    formatIdentity(identity);
    return identity;
  } catch (err) {
    throw new CliError(2, err instanceof Error ? err.message : String(err));
  }
}

function validityOf(options: Options, kind: Identity['kind'], authority: string): ReturnType<typeof validityFrom> {
  const days = options['days'];
  const life = typeof days === 'number' ? days * DAY_MS : LIFE_MS[kind];
  return validityFrom(new Date(), life, new Date(new X509Certificate(authority).validTo));
}

function directoryOf(options: Options): string {
  return String(options['dir']);
}

/** Under which a server is to be reached. */
function placesFor(options: Options): readonly string[] {
  return [...new Set([...((options['address'] as readonly string[] | undefined) ?? []), ...LOCAL_PLACES])];
}

function addPlace(text: string, before: readonly string[] = []): readonly string[] {
  if (isPlace(text)) return [...before, text];
  throw new InvalidArgumentError('Give a DNS name or an address.');
}

function parseDays(text: string): number {
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (days > 0) return days;
  throw new InvalidArgumentError('Give a number of days, 1 to 9999.');
}
