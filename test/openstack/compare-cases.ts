/**
 * What a comparison of two servers asks: for each type a table of its attributes (`compare/*.ts`), from which requests are made (every attribute with every odd
 * value, in a new object and in one that is there; lists by every attribute; requests of others), and requests that are written out.
 */
import { BOOLEANS, NOBODY, TEXTS, TRUES } from './compare/values.ts';
import type { UserName } from './session-script.ts';

export type Body = Readonly<Record<string, unknown>>;

/** One request. `$NAME` in path and body stands for an ID that an earlier answer had. */
export type Asked = {
  /** Default: admin. */
  readonly as?: UserName;
  /** `POST /networks`: what follows `/v2.0`. */
  readonly do: string;
  readonly body?: unknown;
  /** The ID that the answer has is kept under this name. */
  readonly keep?: string;
};

/** What is asked of one type. */
export type Subject = {
  /** Of the area and in places; `ports`. */
  readonly name: string;
  /** Of the collection: `/ports`. */
  readonly path: string;
  /** Around an object in bodies: `port`. */
  readonly key: string;
  /** What there must be, made by the administrator unless it says otherwise. */
  readonly before: readonly Asked[];
  /** With which an object can be created. */
  readonly base: Body;
  /** Attributes with the values that are their own; the first can be given. Each gets `ODD` besides. */
  readonly attributes: Readonly<Record<string, readonly unknown[]>>;
  /** Written out, asked last. */
  readonly more?: readonly Asked[];
};

/** Requests that are written out, of types that have no collection to which something is added. */
export type Script = { readonly name: string; readonly more: readonly Asked[] };

/** One request, and what follows. */
export type Move = {
  readonly asked: Asked;
  /** Takes away what was made. With `remake`: what may be another now on each. */
  readonly drop?: Asked;
  /** Makes it anew. */
  readonly remake?: Asked;
};

/** What every attribute of a new object is given. */
export const ODD: readonly unknown[] = [
  ...[null, '', ' ', 'x', 'x'.repeat(256), 'true', 0, -1, 2 ** 31, 1.5, true],
  ...[[], [null], ['x', 'x'], [{}], {}, { x: 1 }],
];

/** And of one that is there. */
const ODD_CHANGES: readonly unknown[] = [null, '', 'x', 'x'.repeat(256), -1, true, [], { x: 1 }];

/**
 * Of attributes that are any text, and of booleans: what a server takes costs it twenty times what it refuses, so what is taken alike of every such attribute is
 * asked of few.
 */
const ODD_TEXTS: readonly unknown[] = [null, 'x'.repeat(256), 0, [], {}];
const ODD_BOOLEANS: readonly unknown[] = [null, '', 'x', -1, 1.5, [], { x: 1 }];

/** What any list may be filtered by, beside a type's own attributes. */
const STANDARD = ['id', 'project_id', 'tenant_id', 'description', 'revision_number', 'created_at', 'tags', 'no_such'];
const FILTER_VALUES = ['x', '', '1'];

/** A number that one of the servers may have chosen, and a project without a name, for which Neutron makes a security group when it is asked for those. */
const PASSED_OVER: readonly string[] = ['provider:segmentation_id=1', 'project_id=', 'tenant_id='];

/** Everything that is asked of a type, in order. */
export function movesOf(subject: Subject | Script): readonly Move[] {
  if (!('base' in subject)) return subject.more.map(ask);
  return [
    ...subject.before.map(ask),
    ...creations(subject),
    ...changes(subject),
    ...lists(subject),
    ...rights(subject),
    ...(subject.more ?? []).map(ask),
  ];
}

/** What the others need, and each so-and-so-many-th of those: the same ones each time. */
export function selectionOf(moves: readonly Move[], every: number): readonly Move[] {
  let count = 0;
  return moves.filter(({ asked, drop }) => (asked.keep !== undefined && drop === undefined) || count++ % every === 0);
}

function ask(asked: Asked): Move {
  return { asked };
}

function creations({ path, key, base, attributes }: Subject): readonly Move[] {
  const attempt = (body: unknown, as: UserName = 'admin'): Move => {
    return { asked: { as, do: `POST ${path}`, body, keep: 'tried' }, drop: { do: `DELETE ${path}/$tried` } };
  };
  const bodies: readonly Body[] = [
    base,
    ...Object.keys(base).map((name) => without(base, name)),
    ...[
      { ...base, no_such: 1 },
      { ...base, id: NOBODY },
      { ...base, project_id: 'beta' },
    ],
    ...valuesOf(attributes, ODD).map((given) => ({ ...base, ...given })),
  ];
  const ofMember = Object.entries(attributes).map(([name, [value]]) => ({ ...base, [name]: value }));
  const around = [undefined, {}, [], null, { [key]: null }, { [key]: [] }, { [key]: 'x' }, { x: {} }];
  return [
    ...bodies.map((body) => attempt({ [key]: body })),
    ...[base, ...ofMember, { ...base, project_id: 'beta' }].map((body) => attempt({ [key]: body }, 'member')),
    ...around.map((body) => attempt(body)),
  ];
}

function changes({ path, key, base, attributes }: Subject): readonly Move[] {
  const remake = { do: `POST ${path}`, body: { [key]: base }, keep: 'it' };
  const change = (body: Body): Move => {
    return { asked: { do: `PUT ${path}/$it`, body: { [key]: body } }, drop: { do: `DELETE ${path}/$it` }, remake };
  };
  const bodies = [{}, { no_such: 1 }, { id: NOBODY }, { project_id: 'beta' }, { created_at: 'x' }];
  return [ask(remake), ...[...bodies, ...valuesOf(attributes, ODD_CHANGES)].map(change)];
}

/** Each attribute alone with each of its values. */
function valuesOf(attributes: Subject['attributes'], odd: readonly unknown[]): readonly Body[] {
  return Object.entries(attributes).flatMap(([name, values]) =>
    [...values, ...oddOf(values, odd)].map((value) => ({ [name]: value })),
  );
}

function oddOf(values: readonly unknown[], odd: readonly unknown[]): readonly unknown[] {
  if (values === TEXTS) return ODD_TEXTS;
  return values === BOOLEANS || values === TRUES ? ODD_BOOLEANS : odd;
}

/** Of the object that the changes leave behind. */
function lists({ path, attributes }: Subject): readonly Move[] {
  const names = [...new Set([...Object.keys(attributes), ...STANDARD])];
  const queries = [
    ...names
      .flatMap((name) => FILTER_VALUES.map((value) => `${name}=${value}`))
      .filter((one) => !PASSED_OVER.includes(one)),
    ...names.map((name) => `sort_key=${name}&sort_dir=asc`),
    names.map((name) => `fields=${name}`).join('&'),
    ...['limit=0', 'limit=1', 'limit=-1', 'limit=x', 'limit=', `limit=1&marker=${NOBODY}`, `marker=${NOBODY}`],
    ...['limit=1&marker=x', 'limit=1&page_reverse=true', 'page_reverse=x', 'sort_key=id', 'sort_dir=asc'],
    ...['sort_key=id&sort_dir=up', 'sort_key=no_such&sort_dir=asc', 'changed_since=x', 'fields=', 'fields=no_such'],
  ];
  const asMember = names.map((name) => `${name}=x`);
  return [
    ...queries.map((query) => ask({ do: `GET ${path}?${query}` })),
    ...asMember.map((query) => ask({ as: 'member', do: `GET ${path}?${query}` })),
    ...['$it', NOBODY, 'x', '%20', '$it?fields=id', '$it?fields=no_such', '$it/no_such'].map((rest) =>
      ask({ do: `GET ${path}/${rest}` }),
    ),
  ];
}

/** What each may do to an object of a member and to one of the administrator. */
function rights({ path, key, base }: Subject): readonly Move[] {
  const asked = (as: UserName, name: string): readonly Move[] => [
    ask({ as, do: `GET ${path}/$${name}` }),
    ask({ as, do: `PUT ${path}/$${name}`, body: { [key]: { description: 'mine' } } }),
    ask({ as, do: `DELETE ${path}/$${name}` }),
  ];
  return [
    ask({ as: 'member', do: `POST ${path}`, body: { [key]: base }, keep: 'mine' }),
    ...(['admin', 'member', 'reader', 'other'] as const).map((as) => ask({ as, do: `GET ${path}` })),
    ...[...asked('other', 'mine'), ...asked('reader', 'mine'), ...asked('member', 'mine')],
    ...[...asked('member', 'it'), ...asked('admin', 'it'), ...asked('admin', 'it')],
    ask({ do: `DELETE ${path}/x` }),
    ask({ do: `PUT ${path}/${NOBODY}`, body: { [key]: {} } }),
    ...['PUT', 'DELETE', 'PATCH'].map((method) => ask({ do: `${method} ${path}`, body: { [key]: base } })),
    ask({ do: `POST ${path}/${NOBODY}`, body: { [key]: base } }),
  ];
}

function without(body: Body, name: string): Body {
  return Object.fromEntries(Object.entries(body).filter(([one]) => one !== name));
}
