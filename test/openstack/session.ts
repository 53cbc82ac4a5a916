/** A session of the real `openstack` client on a stock neutron-server and on Cable, which are two regions of one Keystone, compared answer by answer. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startCable } from './cable.ts';
import { type Grant, type Keystone, startKeystone } from './keystone.ts';
import { type OpenstackClient, startClient } from './openstack-client.ts';
import { type Answer, differencesOf, type Names, settle } from './session-answers.ts';
import { DIFFERENCES, type Difference } from './session-differences.ts';
import type { Area, Step, UserName } from './session-script.ts';
import { type Ask, sweep } from './session-sweep.ts';
import { startStock } from './stock.ts';

/** Both servers and who asks them. */
export type Clouds = {
  readonly keystone: Keystone;
  /** IDs of projects, the same in both. */
  readonly names: Names;
  /** As the administrator. */
  readonly ask: Readonly<Record<Kind, Ask>>;
  close(): Promise<void>;
};

/** How one command was answered. */
export type Told = {
  readonly step: Step;
  readonly stock: Answer;
  readonly cable: Answer;
  /** Those that no reason explains. */
  readonly differences: readonly string[];
  /** What explains the others. */
  readonly reasons: readonly Difference[];
};

/** As many as both have. */
const VNIS = 2000;

/** Regions of the catalog. */
const REGIONS = { stock: 'stock', cable: 'cable' } as const;
type Kind = keyof typeof REGIONS;

type Server = { readonly url: string; close(): Promise<void> };

const PROJECTS: Readonly<Record<UserName, string>> = {
  admin: 'admin',
  member: 'alpha',
  reader: 'alpha',
  other: 'beta',
};
const GRANTS: Readonly<Record<Exclude<UserName, 'admin'>, readonly Grant[]>> = {
  member: [{ role: 'member', project: 'alpha' }],
  reader: [{ role: 'reader', project: 'alpha' }],
  other: [{ role: 'member', project: 'beta' }],
};

/** Starts all of it with its files below `directory`, which the caller removes. */
export async function startClouds(directory: string): Promise<Clouds> {
  const keystone = await startKeystone(directory);
  const names: Names = new Map();
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    for (const server of servers) await server.close();
    await keystone.close();
  };
  try {
    for (const project of ['alpha', 'beta']) names.set(await keystone.createProject(project), `<project ${project}>`);
    for (const [name, grants] of Object.entries(GRANTS)) await keystone.createUser(name, grants);
    const { projects } = (await keystone.request('GET', '/projects?name=admin')) as {
      projects: readonly { id: string }[];
    };
    for (const { id } of projects) names.set(id, '<project admin>');
    // The same ranges, so that both have the same numbers to give.
    const ranges = ['--vni-range', `1:${VNIS}`, '--vlan-range', 'physnet1:1:4000'];
    const starts: Record<Kind, (home: string) => Promise<Server>> = {
      cable: (home) => startCable(home, keystone, { policyDefaults: 'zed', args: ranges }),
      stock: (home) => startStock(home, keystone, { isDurable: false, vxlanUpTo: VNIS }),
    };
    const start = async (kind: Kind): Promise<Ask> => {
      const home = join(directory, kind);
      mkdirSync(home, { recursive: true });
      const server = await starts[kind](home);
      servers.push(server);
      await keystone.addEndpoint('network', 'neutron', server.url, REGIONS[kind]);
      await keystone.addEndpoint('identity', 'keystone', keystone.url, REGIONS[kind]);
      // The client sets no quota of networks where there is no service of machines, of which it asks nothing then.
      await keystone.addEndpoint('compute', 'nova', `${keystone.url}/nothing`, REGIONS[kind]);
      return askOf(server.url, await keystone.token(keystone.admin, { project: 'admin' }));
    };
    return { keystone, names, ask: { stock: await start('stock'), cable: await start('cable') }, close };
  } catch (err) {
    await close();
    throw err;
  }
}

function askOf(url: string, token: string): Ask {
  const headers = { 'x-auth-token': token, 'content-type': 'application/json' };
  return async (method, path, body) => {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${url}/v2.0${path}`, { method, headers, signal: AbortSignal.timeout(60_000), ...json });
    const text = await answer.text();
    return answer.ok && text !== '' ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  };
}

/** Runs all commands in order on both, which do not wait for each other; `tell` gets each as soon as both have answered. */
export async function runSession(
  clouds: Clouds,
  areas: readonly Area[],
  tell: (told: Told) => void,
): Promise<readonly Told[]> {
  const steps = areas.flatMap((area) => area.steps);
  const lanes = { stock: laneOf('stock', clouds, steps), cable: laneOf('cable', clouds, steps) };
  const all: Told[] = [];
  try {
    for (const [index, step] of steps.entries()) {
      const [stock, cable] = await Promise.all([lanes.stock.answers[index], lanes.cable.answers[index]]);
      if (stock === undefined || cable === undefined) throw new Error(`${step.place} was not run`);
      const found = differencesOf(stock, cable).map((text) => ({ text, reason: reasonOf(step, text) }));
      const told: Told = {
        ...{ step, stock, cable },
        differences: found.flatMap(({ text, reason }) => (reason === undefined ? [text] : [])),
        reasons: found.flatMap(({ reason }) => (reason === undefined ? [] : [reason])),
      };
      all.push(told);
      tell(told);
    }
    return all;
  } finally {
    for (const { close } of Object.values(lanes)) await close();
  }
}

/** Reasons that explained nothing: what they are about is no longer so, or no command meets it. */
export function staleReasons(all: readonly Told[]): readonly Difference[] {
  const used = new Set(all.flatMap(({ reasons }) => reasons));
  return DIFFERENCES.filter((difference) => difference.isChance !== true && !used.has(difference));
}

/** What failed, for a reader: the command, who ran it, and each difference. */
export function showTold({ step, differences }: Told): string {
  const lines = differences.map((difference) => `    ${difference}\n`);
  return `${step.place}  ${step.user}: ${step.command}\n${lines.join('')}`;
}

function reasonOf(step: Step, difference: string): Difference | undefined {
  return DIFFERENCES.find((one) => one.of.test(step.command) && one.is.test(difference));
}

type Lane = { readonly answers: readonly Promise<Answer>[]; close(): Promise<void> };

/** The session on one cloud: one command after the other, each by the client of its user. */
function laneOf(kind: Kind, clouds: Clouds, steps: readonly Step[]): Lane {
  const names: Names = new Map(clouds.names);
  const kept = new Map<string, string>();
  const clients = new Map<UserName, OpenstackClient>();
  const clientOf = (user: UserName): OpenstackClient => {
    const known = clients.get(user);
    if (known !== undefined) return known;
    const { url, admin } = clouds.keystone;
    const login = user === 'admin' ? admin : { name: user, password: `secret-of-${user}` };
    const made = startClient({ authUrl: url, user: login, project: PROJECTS[user], region: REGIONS[kind] });
    clients.set(user, made);
    return made;
  };
  const runStep = async (step: Step): Promise<Answer> => {
    const words = step.words.map((word) =>
      word.replace(/\$(\w+)/g, (_, name: string) => kept.get(name) ?? `no-${name}`),
    );
    const output = await clientOf(step.user).run(words);
    const made = /\bcreate\b/.test(step.command) ? madeBy(output.out) : undefined;
    if (made !== undefined) {
      const noun = step.command.slice(0, step.command.indexOf(' create'));
      names.set(made.id, made.name ? `<${noun} ${made.name}>` : `<${noun} ${step.keep ?? step.place}>`);
      if (step.keep !== undefined) kept.set(step.keep, made.id);
    }
    return settle(output, names, step.place);
  };
  let last: Promise<unknown> = Promise.resolve();
  const answers = steps.map((step, index) => {
    const isFirst = areaOf(step) !== areaOf(steps[index - 1] ?? step);
    const answer = last.then(() => (isFirst ? sweep(clouds.ask[kind]) : undefined)).then(() => runStep(step));
    // Who waits for it is told of the failure; here it only must not go unheard.
    answer.catch(() => undefined);
    last = answer;
    return answer;
  });
  const close = async (): Promise<void> => {
    await last.catch(() => undefined);
    for (const client of clients.values()) await client.close();
  };
  return { answers, close };
}

function areaOf({ place }: Step): string {
  return place.slice(0, place.indexOf(':'));
}

/** Of a command that shows what it made. */
function madeBy(out: string): { readonly id: string; readonly name?: string } | undefined {
  if (!out.startsWith('{')) return undefined;
  const shown = JSON.parse(out) as { readonly id?: string; readonly name?: string };
  return shown.id === undefined ? undefined : { id: shown.id, ...(shown.name ? { name: shown.name } : {}) };
}
