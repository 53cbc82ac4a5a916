/** Whether what the servers said is true of what the store has in the end, and of what they said else. */
import { isDeepStrictEqual } from 'node:util';
import {
  answeredPolicy,
  answeredRows,
  type Entry,
  groupEntries,
  mayBeDone,
  nameOf,
  type Row,
  targetOf,
  textOf,
} from './history.ts';
import { isKeyed, Ledger, type Objects } from './ledger.ts';

/** Every answer that is untrue, for people; empty: all are true. `entries`: all requests since the store was empty of what they name. */
export function judge(entries: readonly Entry[], objects: Objects): readonly string[] {
  const ledger = new Ledger(entries);
  return [
    ...brokenAnswers(entries),
    ...untrueCreates(ledger, objects),
    ...brokenKeys(ledger, objects),
    ...halfBulks(ledger, objects),
    ...lostObjects(ledger, objects),
    ...undeadObjects(ledger, objects),
    ...doubleDeletes(ledger),
    ...untrueUpdates(ledger, objects),
    ...strayLegs(ledger, objects),
    ...untrueTags(ledger, objects),
    ...untrueGrants(ledger, objects),
    ...untrueRefusals(ledger),
    ...staleReads(ledger),
  ];
}

/** A request, for people. */
function say({ deed, status, body, startedAt, endedAt, via }: Entry): string {
  const error = (body?.['NeutronError'] as Row | undefined)?.['type'];
  const what = {
    ...deed,
    ...('given' in deed ? { given: deed.given.slice(0, 1), names: deed.names.slice(0, 1) } : {}),
  };
  return `${JSON.stringify(what)} -> ${status}${error === undefined ? '' : ` ${error}`} through ${via} at ${Math.round(startedAt)}..${Math.round(endedAt)}`;
}

function* brokenAnswers(entries: readonly Entry[]): Iterable<string> {
  for (const entry of entries) {
    if (entry.outcome === 'broken')
      yield `an answer that there must not be: ${say(entry)} ${JSON.stringify(entry.body)}`;
  }
}

/** Ids in the store by the name that a client gave, of one type. */
function namesIn(objects: Objects): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const [type, rows] of objects) {
    for (const [id, row] of rows) {
      const name = nameOf(type, row);
      names.set(name, [...(names.get(name) ?? []), id]);
    }
  }
  return names;
}

/** What was refused is not there, and of no request there are two. */
function* untrueCreates({ entries }: Ledger, objects: Objects): Iterable<string> {
  const stored = namesIn(objects);
  const attempts = groupEntries(entries, ({ deed }) => (deed.kind === 'create' ? deed.names : []));
  for (const [name, tries] of attempts) {
    const ids = new Set(stored.get(name) ?? []);
    const [first] = tries;
    if (first === undefined) continue;
    if (ids.size > 0 && !tries.some(mayBeDone)) yield `what was refused is there: ${[...ids]} of ${say(first)}`;
    for (const entry of tries) {
      for (const row of answeredRows(entry)) if (nameOf(entry.deed.type, row) === name) ids.add(textOf(row, 'id'));
    }
    if (ids.size > 1) yield `there are two of one request: ${[...ids]} of ${say(first)}`;
  }
}

/** An Idempotency-Key never has two objects: not of the same request, nor of two. */
function* brokenKeys({ entries }: Ledger, objects: Objects): Iterable<string> {
  const stored = namesIn(objects);
  const keys = groupEntries(entries, ({ deed }) => (deed.kind === 'create' && deed.key !== null ? [deed.key] : []));
  for (const tries of keys.values()) {
    const [first] = tries;
    const ids = new Set(tries.flatMap((entry) => firstIds(entry, stored)));
    if (ids.size > 1 && first !== undefined) yield `a key has two objects: ${[...ids]} of ${say(first)}`;
  }
}

/** Ids of what is, or was told to be, the first object of a create. */
function firstIds(entry: Entry, stored: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const { deed } = entry;
  const name = deed.kind === 'create' ? deed.names[0] : undefined;
  if (name === undefined) return [];
  const told = answeredRows(entry).filter((row) => nameOf(deed.type, row) === name);
  return [...(stored.get(name) ?? []), ...told.map((row) => textOf(row, 'id'))];
}

/** A bulk that no answer told of is there whole or not at all, but for what went with something that was deleted. */
function* halfBulks(ledger: Ledger, objects: Objects): Iterable<string> {
  const stored = namesIn(objects);
  const told = new Set([...ledger.known.values()].map(({ type, row }) => nameOf(type, row)));
  for (const entry of ledger.entries) {
    const { deed } = entry;
    if (deed.kind !== 'create' || deed.names.length === 1 || deed.names.some((name) => told.has(name))) continue;
    const there = deed.names.filter((name) => stored.has(name)).length;
    const isLost = (name: string, n: number): boolean =>
      !stored.has(name) && ledger.endsOf(deed.type, '', deed.given[n] ?? {}).length === 0;
    if (there > 0 && deed.names.some(isLost)) yield `half of a bulk is there: ${there} of ${say(entry)}`;
  }
}

/** What was made is there, unless something may have deleted it. */
function* lostObjects(ledger: Ledger, objects: Objects): Iterable<string> {
  for (const { type, id, row, made } of ledger.known.values()) {
    if (objects.get(type)?.has(id) === true || ledger.endsOf(type, id, row).length > 0) continue;
    yield `what was made is not there: ${type} ${id} of ${say(made)}`;
  }
}

/** What was deleted is not there, unless a request with an Idempotency-Key made it anew. */
function* undeadObjects(ledger: Ledger, objects: Objects): Iterable<string> {
  for (const entry of ledger.entries) {
    const { deed, outcome, startedAt } = entry;
    if (outcome !== 'done') continue;
    const [type, id] = endOf(entry);
    const row = objects.get(type)?.get(id);
    if (row === undefined) continue;
    const name = nameOf(type, row);
    const isMadeAnew = ledger.entries.some(
      (one) =>
        isKeyed(one) &&
        mayBeDone(one) &&
        one.deed.kind === 'create' &&
        one.deed.names.includes(name) &&
        (one.outcome !== 'done' || one.endedAt > startedAt),
    );
    if (!isMadeAnew) yield `what was deleted is there: ${deed.kind} ${type} ${id} of ${say(entry)}`;
  }
}

/** What a request deletes by itself. */
function endOf({ deed, body }: Entry): readonly [type: string, id: string] {
  if (deed.kind === 'delete') return [deed.type, deed.id];
  return deed.kind === 'detach' ? ['port', textOf(body, 'port_id')] : ['', ''];
}

/** Nothing is deleted twice. */
function* doubleDeletes(ledger: Ledger): Iterable<string> {
  const seen = new Map<string, Entry>();
  for (const entry of ledger.entries) {
    const [type, id] = endOf(entry);
    if (entry.outcome !== 'done' || type === '') continue;
    const made = ledger.known.get(id)?.made;
    const before = seen.get(id);
    if (before !== undefined && made !== undefined && !isKeyed(made)) {
      yield `deleted twice: ${say(before)} and ${say(entry)}`;
    }
    seen.set(id, entry);
  }
}

function* untrueUpdates(ledger: Ledger, objects: Objects): Iterable<string> {
  const updates = ledger.entries.filter(({ deed }) => deed.kind === 'update');
  for (const [id, all] of groupEntries(updates, targetOf)) {
    const made = ledger.known.get(id)?.made;
    if (made === undefined || isKeyed(made)) continue;
    yield* untrueRevisions(all);
    const [first] = all;
    const row = objects.get(first?.deed.type ?? '')?.get(id);
    if (row !== undefined) yield* untrueState(row, all);
  }
}

/** Revisions rise, each is given once, and If-Match is kept. */
function* untrueRevisions(updates: readonly Entry[]): Iterable<string> {
  const done = updates.filter(({ outcome }) => outcome === 'done').sort((a, b) => revisionOf(a) - revisionOf(b));
  let latestStart: Entry | undefined;
  for (const [n, entry] of done.entries()) {
    const before = done[n - 1];
    if (before !== undefined && revisionOf(before) === revisionOf(entry)) {
      yield `two updates with one revision: ${say(before)} and ${say(entry)}`;
    }
    // Of a lower revision, and yet begun when this one had been answered.
    if (latestStart !== undefined && latestStart.startedAt > entry.endedAt) {
      yield `a later update has a lower revision: ${say(latestStart)} and ${say(entry)}`;
    }
    if (latestStart === undefined || entry.startedAt > latestStart.startedAt) latestStart = entry;
    const wanted = entry.deed.kind === 'update' ? entry.deed.ifRevision : null;
    if (wanted !== null && revisionOf(entry) !== wanted + 1) {
      yield `If-Match was not kept: revision ${revisionOf(entry)} of ${say(entry)}`;
    }
  }
}

function revisionOf(entry: Entry): number {
  return Number(answeredRows(entry)[0]?.['revision_number'] ?? Number.NaN);
}

/** The object has what the last update gave it. */
function* untrueState(row: Row, updates: readonly Entry[]): Iterable<string> {
  const token = textOf(row, 'description');
  const done = updates.filter(({ outcome }) => outcome === 'done');
  const last = done.sort((a, b) => revisionOf(a) - revisionOf(b)).at(-1);
  const writer = updates.find(({ deed }) => deed.kind === 'update' && deed.token === token);
  if (writer !== undefined && !mayBeDone(writer)) {
    yield `what was refused is there: ${say(writer)}`;
    return;
  }
  if (last !== undefined && Number(row['revision_number']) < revisionOf(last)) {
    yield `an update was lost: the object has revision ${row['revision_number']}, after ${revisionOf(last)} of ${say(last)}`;
  }
  if (last !== undefined && (writer === undefined || (writer.outcome === 'done' && writer !== last))) {
    yield `an update was lost: the object has ${JSON.stringify(token)}, not what ${say(last)} gave`;
    return;
  }
  if (writer === undefined || writer.deed.kind !== 'update' || row['device_owner'] === LEG) return;
  for (const [name, value] of Object.entries(writer.deed.sets)) {
    if (isDeepStrictEqual(storedAs(row, name), value)) continue;
    yield `half of an update is there: ${name} is ${JSON.stringify(row[name])} after ${say(writer)}`;
  }
}

/** The attribute as a request gives it. */
function storedAs(row: Row, name: string): unknown {
  if (name === 'fixed_ips') return askedFor(row[name]);
  // It is kept as who it is shared with.
  if (name === 'shared') return Array.isArray(row['shared_with']) && row['shared_with'].includes('*');
  return shown(row[name]);
}

/** Of a gateway what was asked for: its network. */
function shown(value: unknown): unknown {
  const networkId = textOf(value as Row | undefined, 'network_id');
  return networkId === '' ? value : { network_id: networkId };
}

/** Without the addresses that subnets of SLAAC give, whatever was asked for: the mix asks for IPv4 ones only. */
function askedFor(fixedIps: unknown): readonly Row[] {
  return ((fixedIps ?? []) as readonly Row[]).filter((one) => !textOf(one, 'ip_address').includes(':'));
}

const LEG = 'network:router_interface';

/** Each leg of a router that a client made was asked for. */
function* strayLegs({ entries, known }: Ledger, objects: Objects): Iterable<string> {
  const attaches = entries.filter((entry) => entry.deed.kind === 'attach' && mayBeDone(entry));
  for (const [id, row] of objects.get('port') ?? []) {
    if (row['device_owner'] !== LEG || !known.has(textOf(row, 'device_id'))) continue;
    const subnets = (row['fixed_ips'] as readonly Row[]).map((fixed) => fixed['subnet_id']);
    const isAsked = attaches.some(({ deed, outcome, body }) => {
      if (deed.kind !== 'attach' || deed.id !== row['device_id']) return false;
      if (outcome === 'done') return body?.['port_id'] === id;
      return deed.body.port_id === undefined ? subnets.includes(deed.body.subnet_id) : deed.body.port_id === id;
    });
    if (!isAsked) yield `a leg is there that nobody asked for, or that was refused: ${JSON.stringify(row)}`;
  }
}

/** An object has the tags that it was given and that nobody may have taken away, and none that was refused. */
function* untrueTags({ entries, known }: Ledger, objects: Objects): Iterable<string> {
  const taken = new Set(
    entries.flatMap((entry) => (entry.deed.kind === 'untag' && mayBeDone(entry) ? [entry.deed.tag] : [])),
  );
  for (const entry of entries) {
    const { deed, outcome } = entry;
    const made = known.get('id' in deed ? deed.id : '')?.made;
    if (deed.kind !== 'tag' || made === undefined || isKeyed(made)) continue;
    const tags = objects.get(deed.type)?.get(deed.id)?.['tags'];
    if (!Array.isArray(tags)) continue;
    const isThere = tags.includes(deed.tag);
    if (isThere && outcome === 'refused') yield `what was refused is there: ${say(entry)}`;
    if (!isThere && outcome === 'done' && !taken.has(deed.tag)) yield `a tag was lost: ${say(entry)}`;
  }
}

/** A policy is there as long as its object is and nobody may have revoked it, and of the last project that it was given. */
function* untrueGrants({ entries, known }: Ledger, objects: Objects): Iterable<string> {
  const later = groupEntries(
    entries.filter(({ deed }) => deed.kind === 'regrant' || deed.kind === 'revoke'),
    ({ deed }) => ('policyId' in deed ? [deed.policyId] : []),
  );
  for (const entry of entries) {
    const { deed, outcome } = entry;
    if (deed.kind !== 'grant' || outcome !== 'done') continue;
    const made = known.get(deed.id)?.made;
    const id = textOf(answeredPolicy(entry), 'id');
    const changes = (later.get(id) ?? []).filter(mayBeDone);
    if (made === undefined || isKeyed(made) || changes.some((one) => one.deed.kind === 'revoke')) continue;
    if (objects.get(deed.type)?.has(deed.id) !== true) continue;
    const policy = objects.get('rbac_policy')?.get(id);
    const projects = [entry, ...changes].flatMap((one) => ('project' in one.deed ? [one.deed.project] : []));
    if (policy === undefined) yield `what was granted is not there: ${say(entry)}`;
    else if (!projects.includes(textOf(policy, 'target_tenant')))
      yield `a policy is of a project that nobody gave it: ${JSON.stringify(policy)} after ${say(entry)}`;
  }
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

/** 404 and 412 are of now, through whichever server. */
function* untrueRefusals(ledger: Ledger): Iterable<string> {
  for (const entry of ledger.entries) {
    const error = entry.body?.['NeutronError'] as Row | undefined;
    const type = textOf(error, 'type');
    // A tenant may be told so of what it does not see; with a router it is the leg that is not found, with a floating IP the way.
    const isOfAnother = type.startsWith('Router') || type.startsWith('ExternalGateway');
    if (!entry.isAdmin || entry.status !== 404 || !type.endsWith('NotFound') || isOfAnother) continue;
    const [id = ''] = UUID.exec(textOf(error, 'message')) ?? [];
    const made = ledger.known.get(id)?.made;
    if (made === undefined || !ledger.isThereThrough(id, entry)) continue;
    yield `what is there was not found: ${textOf(error, 'message')} made by ${say(made)}: ${say(entry)}`;
  }
  yield* untruePreconditions(ledger);
}

/** Who is told that the object has moved on has not been told so of a revision that was the newest and stayed so. */
function* untruePreconditions({ entries }: Ledger): Iterable<string> {
  const done = groupEntries(
    entries.filter(({ deed, outcome }) => deed.kind === 'update' && outcome === 'done'),
    targetOf,
  );
  for (const entry of entries) {
    if (entry.status !== 412 || !('id' in entry.deed)) continue;
    const said = /current revision is (\d+)/.exec(textOf(entry.body?.['NeutronError'] as Row, 'message'))?.[1];
    const older = (done.get(entry.deed.id) ?? []).find(
      (one) => one.endedAt < entry.startedAt && revisionOf(one) > Number(said),
    );
    if (older !== undefined) yield `412 of a revision that was over: ${say(entry)} said ${said} after ${say(older)}`;
  }
}

/** A read that follows an update through the same server sees it. */
function* staleReads({ entries }: Ledger): Iterable<string> {
  const done = groupEntries(
    entries.filter(({ deed, outcome }) => deed.kind === 'update' && outcome === 'done'),
    targetOf,
  );
  for (const entry of entries) {
    if (entry.deed.kind !== 'read' || entry.outcome !== 'done') continue;
    const unseen = (done.get(entry.deed.id) ?? []).find(
      (one) => one.via === entry.via && one.endedAt < entry.startedAt && revisionOf(one) > revisionOf(entry),
    );
    if (unseen !== undefined) yield `a read does not show what was done: ${say(entry)} after ${say(unseen)}`;
  }
}
