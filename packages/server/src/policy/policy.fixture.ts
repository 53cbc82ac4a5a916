/** What the policy's tests share: oslo's way to ask a rule, without anything decided beforehand; rules, callers and objects at random. */
import { type AnyObject, BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';
import type { Credentials } from './credentials.ts';
import { type Expression, type Template, textOf } from './expression.ts';
import type { RowOf } from './relations.ts';

/** Credentials of a member of project p, but for what is given. */
export function credentials(given: Partial<Credentials> = {}): Credentials {
  const nobody = {
    userId: 'u',
    projectId: 'p',
    domainId: null,
    userDomainId: 'd',
    projectDomainId: 'd',
    systemScope: null,
  };
  return { ...nobody, roles: ['member', 'reader'], ...given };
}

/** Rows by type and id. */
export type World = Readonly<Record<string, readonly AnyObject[]>>;

export function rowsOf(world: World): RowOf {
  return (type, id) => world[type]?.find((row) => row.id === id);
}

/** What a naive evaluation knows. */
export type Naive = {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly credentials: Credentials;
  readonly isAdmin: boolean;
  readonly model: ResourceModel;
  readonly row: RowOf;
};

/** Asks a rule as oslo does: names are looked up when they are met. */
export function naively(naive: Naive, rule: string, object: Readonly<Record<string, unknown>>): boolean {
  const expression = naive.rules.get(rule) ?? naive.rules.get('default');
  return expression !== undefined && holds(naive, expression, object);
}

/** The same of a rule that shows objects: of those that can be shared the caller sees its own and what is granted to it, whatever the rule says. */
export function seesNaively(naive: Naive, object: Readonly<Record<string, unknown>>): boolean {
  const isIn = (list: unknown): boolean =>
    Array.isArray(list) && (list.includes('*') || list.includes(naive.credentials.projectId));
  const { projectId } = naive.credentials;
  const isScoped = naive.model.storedAttributes['shared_with'] !== undefined && !naive.isAdmin;
  const isOwn = projectId !== null && object['project_id'] === projectId;
  const isGranted = !isScoped || isOwn || isIn(object['shared_with']) || isIn(object['external_to']);
  return isGranted && naively(naive, `get_${naive.model.type}`, object);
}

/** An attribute of an object; `shared` as it is for the caller. */
function attributeValue(
  { credentials: { projectId } }: Naive,
  object: Readonly<Record<string, unknown>> | undefined,
  name: string,
): unknown {
  const list = object?.['shared_with'];
  if (name !== 'shared' || object?.[name] !== undefined || !Array.isArray(list)) return object?.[name];
  return list.includes('*') || (projectId !== null && list.includes(projectId));
}

function holds(naive: Naive, expression: Expression, object: Readonly<Record<string, unknown>>): boolean {
  switch (expression.kind) {
    case 'constant':
      return expression.value;
    case 'and':
      return expression.parts.every((part) => holds(naive, part, object));
    case 'or':
      return expression.parts.some((part) => holds(naive, part, object));
    case 'not':
      return !holds(naive, expression.part, object);
    case 'rule':
      return naively(naive, expression.name, object);
    case 'role': {
      const role = render(naive, expression.role, object)?.toLowerCase();
      return naive.credentials.roles.some((one) => one.toLowerCase() === role);
    }
    case 'match': {
      const given = render(naive, expression.right, object);
      if (given === undefined) return false;
      if (expression.left.kind === 'literal') return given === expression.left.text;
      const hasPlace = expression.right.some((part) => typeof part === 'object');
      return valuesAt(credentialTree(naive), expression.left.path).some(
        (value) => textOf(value) === given && !(value === null && hasPlace),
      );
    }
    case 'field': {
      const own = attributeValue(naive, object, expression.field);
      const value = own ?? attributeValue(naive, parent(naive, expression.resource, object), expression.field);
      if (expression.wanted.kind === 'pattern')
        return typeof value === 'string' && expression.wanted.pattern.test(value);
      const { text } = expression.wanted;
      if (typeof value === 'boolean') return text.toLowerCase() === String(value) || text === (value ? '1' : '0');
      return (typeof value === 'string' || typeof value === 'number') && String(value) === text;
    }
  }
}

function credentialTree({ credentials: given, isAdmin }: Naive): Readonly<Record<string, unknown>> {
  return {
    ...given.others,
    user_id: given.userId,
    project_id: given.projectId,
    tenant_id: given.projectId,
    domain_id: given.domainId,
    user_domain_id: given.userDomainId,
    project_domain_id: given.projectDomainId,
    system_scope: given.systemScope,
    roles: given.roles,
    is_admin: isAdmin,
  };
}

function valuesAt(value: unknown, path: readonly string[]): readonly unknown[] {
  if (Array.isArray(value)) return value.flatMap((one) => valuesAt(one, path));
  const [head, ...rest] = path;
  if (head === undefined) return [value];
  return typeof value === 'object' && value !== null && Object.hasOwn(value, head)
    ? valuesAt((value as Readonly<Record<string, unknown>>)[head], rest)
    : [];
}

function render(naive: Naive, template: Template, object: Readonly<Record<string, unknown>>): string | undefined {
  const texts = template.map((part) =>
    typeof part === 'string' ? part : textOf(attribute(naive, part.attribute, object)),
  );
  return texts.includes(undefined) ? undefined : texts.join('');
}

function attribute(naive: Naive, given: string, object: Readonly<Record<string, unknown>>): unknown {
  const name = given.replace(/(^|:)tenant_id$/, '$1project_id');
  if (Object.hasOwn(object, name) || name === 'shared') return attributeValue(naive, object, name);
  const [head = '', ...rest] = name.split(':');
  if (rest.length > 0) return attributeValue(naive, parent(naive, head, object), rest.join(':'));
  const [only, ...more] = valuesAt(object, name.split('.'));
  return more.length > 0 ? undefined : only;
}

function parent(naive: Naive, word: string, object: Readonly<Record<string, unknown>>): AnyObject | undefined {
  const all = Object.entries(naive.model.attributes);
  const found = all.find(([, { reference }]) => {
    if (reference === undefined) return false;
    const plural = BUILT_IN_RESOURCES.find((one) => one.name === reference.type)?.plural;
    return word === reference.type || word === plural || (word === 'ext_parent' && reference.onDelete === 'cascade');
  });
  return found === undefined ? undefined : naive.row(found[1].reference?.type ?? '', String(object[found[0]]));
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** One of the values. */
export function pick<T>(random: () => number, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
}

const CHECKS = [
  '@',
  '!',
  'role:admin',
  'role:Member',
  'role:%(name)s',
  'is_admin:True',
  'is_admin:False',
  'system_scope:all',
  'system_scope:None',
  'project_id:%(project_id)s',
  'tenant_id:%(tenant_id)s',
  'user_id:%(name)s',
  'user_id:u',
  'domain_id:None',
  'domain_id:%(description)s',
  'project_id:%(network:tenant_id)s',
  'tenant_id:%(ext_parent:tenant_id)s',
  'tenant_id:%(networks:project_id)s',
  'roles:member',
  'roles:%(name)s',
  'token.user.id:%(name)s',
  'token.groups.id:%(name)s',
  'token.nothing:%(name)s',
  "'p':%(project_id)s",
  "'':%(name)s",
  'None:%(description)s',
  'None:%(nothing)s',
  'True:%(shared)s',
  'False:%(admin_state_up)s',
  '5:%(revision_number)s',
  'project_id:%(name)s-%(name)s',
  'project_id:%(dict.key)s',
  'field:networks:shared=True',
  'field:networks:shared=false',
  'field:port:name=p',
  'field:port:name=~^(p|u)$',
  'field:networks:project_id=q',
  'field:ports:description=None',
  'field:port:revision_number=5',
  'field:port:binding:host_id=p',
  'p:%(project_id)s',
];

/** Text of a rule that refers to no rule but those given. */
export function randomRule(random: () => number, names: readonly string[], depth: number): string {
  const kind = random();
  if (depth === 0 || kind < 0.3) {
    return random() < 0.25 && names.length > 0 ? `rule:${pick(random, names)}` : pick(random, CHECKS);
  }
  if (kind < 0.45) return `not ${nested(random, names, depth)}`;
  const word = kind < 0.7 ? 'and' : 'or';
  const count = 2 + Math.floor(random() * 2);
  return Array.from({ length: count }, () => nested(random, names, depth)).join(` ${word} `);
}

function nested(random: () => number, names: readonly string[], depth: number): string {
  const text = randomRule(random, names, depth - 1);
  return text.includes(' ') ? `(${text})` : text;
}

/** A world of networks, subnets and ports with few different values, so that rules meet them. */
export function randomWorld(random: () => number): World {
  const base = (id: string): AnyObject => ({
    id,
    project_id: pick(random, ['p', 'q']),
    name: pick(random, ['', 'p', 'u', 'admin', 'None', 'True']),
    description: pick(random, ['', 'None', null]),
    revision_number: pick(random, [5, 6]),
  });
  const network = ['n1', 'n2', 'n3'].map((id) => ({
    ...base(id),
    shared_with: pick(random, [[], [], ['*'], ['p'], ['q', 'p']]),
    external_to: pick(random, [[], [], [], ['*'], ['q']]),
    admin_state_up: random() < 0.5,
  }));
  const network_id = (): string => pick(random, ['n1', 'n2', 'n3', 'gone']);
  const subnet = ['s1', 's2', 's3', 's4'].map((id) => ({ ...base(id), network_id: network_id() }));
  const port = ['p1', 'p2', 'p3', 'p4', 'p5'].map((id) => ({
    ...base(id),
    network_id: network_id(),
    admin_state_up: random() < 0.5,
    'binding:host_id': pick(random, ['', 'p']),
    fixed_ips: [],
  }));
  return { network, subnet, port };
}

/** Callers of many kinds. */
export function randomCredentials(random: () => number): Credentials {
  return credentials({
    userId: pick(random, ['u', 'p', null]),
    projectId: pick(random, ['p', 'q', 'None', null]),
    domainId: pick(random, ['None', 'd', null]),
    systemScope: pick(random, ['all', null]),
    roles: pick(random, [[], ['member'], ['ADMIN'], ['p', 'reader'], ['member', 'u']]),
    others: pick(random, [{}, { token: { user: { id: 'u' }, groups: [{ id: 'p' }, { id: 'u' }, {}] } }]),
  });
}
