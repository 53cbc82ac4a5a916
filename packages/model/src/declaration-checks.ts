/** What a declaration must be, whether written here or read from a file: well formed, and at one with itself. */
import { dashed, filterProblem, isCommandText, optionProblem, VERB_NAMES } from './command-words.ts';
import type { ActionDeclaration, Attribute, FormDeclaration, Resource } from './declaration.ts';
import { isRecord, type Problem, problem, RESOURCE, shapeProblem } from './declaration-shape.ts';
import { isErrorCode } from './errors.ts';

/** A declaration that cannot be used. The message names the resource, the attribute and what to do. */
export class DeclarationError extends Error {
  /** Of the resource, or alias of the extension. */
  readonly subject: string;
  readonly remedy: string;

  constructor(subject: string, problem: string, remedy: string) {
    super(`${subject}: ${problem}. ${remedy}`);
    this.name = 'DeclarationError';
    this.subject = subject;
    this.remedy = remedy;
  }
}

type Attributes = Readonly<Record<string, Attribute>>;

/** Throws `DeclarationError` for the first thing that is wrong. `standard`: attributes that the resource has besides its own. */
export function checkDeclaration(resource: Resource, standard: Attributes): void {
  const subject = `resource ${String(resource.type ?? resource.name)}`;
  const problem = resourceProblem(resource, standard);
  if (problem !== undefined) throw new DeclarationError(subject, problem.text, problem.remedy);
}

function resourceProblem(resource: Resource, standard: Attributes): Problem | undefined {
  const shape = shapeProblem(resource, RESOURCE);
  if (shape !== undefined) return shape;
  const shown: Attributes = { ...standard, ...resource.attributes };
  const all: Attributes = { ...shown, ...resource.hidden };
  return (
    nameProblem(resource) ??
    duplicateProblem(resource, standard) ??
    firstProblem(Object.entries(shown), ([name, one]) => within(name, wordProblem(name, one, shown))) ??
    firstProblem(Object.entries(all), ([name, attribute]) => within(name, attributeProblem(name, attribute, all))) ??
    mentionProblem(resource, all) ??
    keyProblem(resource, standard) ??
    impliedProblem(resource) ??
    parentProblem(resource, all) ??
    firstProblem(resource.actions ?? [], (action) => actionProblem(action)) ??
    repeated(resource.actions ?? [], ({ name }) => name, 'action') ??
    firstProblem(resource.forms ?? [], (form) => formProblem(form, resource, all)) ??
    repeated(resource.forms ?? [], ({ form }) => form, 'form')
  );
}

/** The first problem of any of them. */
function firstProblem<T>(
  items: readonly T[],
  find: (item: T, at: number, all: readonly T[]) => Problem | undefined,
): Problem | undefined {
  for (const [at, item] of items.entries()) {
    const problem = find(item, at, items);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function within(name: string, problem: Problem | undefined): Problem | undefined {
  return problem === undefined ? undefined : { ...problem, text: `attribute ${name}: ${problem.text}` };
}

const SNAKE = /^[a-z][a-z0-9_]*$/;
/** Parts behind a dot are for what is made of a file: no type of this package has them. */
const TYPE = /^[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_-]*)*$/;
/** It stands in lists alone. */
const BARE_PLURAL = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const PATH = /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*)*$/;
const ACTION_PATH =
  /^([A-Za-z0-9][A-Za-z0-9._-]*|\{[a-z][a-z0-9_]*\})(\/([A-Za-z0-9][A-Za-z0-9._-]*|\{[a-z][a-z0-9_]*\}))*$/;
const PREFIX = /^(\/[a-z0-9][a-z0-9._-]*)+$/;
const ATTRIBUTE_NAME = /^[A-Za-z_][A-Za-z0-9_-]*(:[A-Za-z_][A-Za-z0-9_-]*)*$/;

function nameProblem({
  type,
  name,
  plural,
  label,
  notFound,
  prefix,
  path,
  command,
  bare,
}: Resource): Problem | undefined {
  if (type !== undefined && !TYPE.test(type)) return problem('type is not snake case', 'Write it as net_port.');
  if (!SNAKE.test(name)) return problem('name is not snake case', 'Write it as security_group.');
  if (!(bare === true ? BARE_PLURAL : SNAKE).test(plural))
    return problem('plural is not snake case', 'Write it as security_groups.');
  if (plural === name) return problem('plural and name are the same', 'Give the body of many another key.');
  if (!/^[A-Z][A-Za-z0-9]*$/.test(label)) return problem('label is not a word', 'Write it as SecurityGroup.');
  if (notFound?.includes('{id}') === false) {
    return problem('notFound does not tell what is not there', 'Write it as Security group {id} does not exist.');
  }
  if (!PREFIX.test(prefix)) return problem('prefix is not a path', 'Write it as /v2.0.');
  if (!PATH.test(path)) return problem('path is not parts of a URL', 'Write it as security-groups or qos/policies.');
  if (command !== undefined && !isCommandText(command)) {
    return problem('command is not words', 'Write it as network agent.');
  }
  return undefined;
}

function duplicateProblem({ attributes, hidden = {} }: Resource, standard: Attributes): Problem | undefined {
  const own = Object.keys(attributes);
  const twice = [...own, ...Object.keys(hidden)].find(
    (name, at, all) => Object.hasOwn(standard, name) || all.indexOf(name) !== at,
  );
  if (twice === undefined) return undefined;
  const remedy = Object.hasOwn(standard, twice)
    ? 'Leave it out: every standard resource has it.'
    : 'Declare it as one of the attributes or as hidden.';
  return within(twice, problem('it is there twice', remedy));
}

/** An attribute needs an option, and a filter of its name unless it is no filter. */
function wordProblem(name: string, one: Attribute, all: Attributes): Problem | undefined {
  const words = Object.entries(all).map(([other, { option }]) =>
    other === name ? (one.option ?? name) : (option ?? other),
  );
  const found =
    (one.filter === false ? undefined : filterProblem(name)) ??
    (ATTRIBUTE_NAME.test(name) ? optionProblem(one.option ?? name, words) : undefined);
  return found === undefined ? undefined : problem(`the name is taken: ${found}`, 'Give it another name.');
}

function attributeProblem(name: string, a: Attribute, all: Attributes): Problem | undefined {
  // A name of JavaScript's own objects would be found in every body.
  if (!ATTRIBUTE_NAME.test(name) || name in {}) return problem('the name cannot be used', 'Write it as fixed_ips.');
  if (a.required && (a.default !== undefined || a.derive !== undefined)) {
    return problem('required has no default', 'Leave out required, or default and derive.');
  }
  if (a.required && a.write === undefined)
    return problem('required but nobody may write it', "Give it write: 'create'.");
  if (a.computed && a.write !== undefined) return problem('computed but written', 'Leave out write, or computed.');
  if (a.input && (a.write === undefined || a.filter !== false || a.sort !== false || a.reference !== undefined)) {
    return problem('an input is given, and no more', 'Give it write, filter: false and sort: false.');
  }
  if (a.aliasOf !== undefined && all[a.aliasOf] === undefined) {
    return problem(`aliasOf names no attribute: ${a.aliasOf}`, 'Name an attribute of the resource.');
  }
  if (a.grantedBy !== undefined && (a.type !== 'boolean' || all[a.grantedBy]?.items?.type !== 'string')) {
    return problem('grantedBy is of a boolean, and names a list of texts', 'Correct grantedBy, or declare the list.');
  }
  if (a.grantedThrough !== undefined && (a.filterOnly !== true || all[a.grantedThrough]?.reference === undefined)) {
    return problem('grantedThrough is of a filterOnly, and names a reference', 'Correct grantedThrough.');
  }
  return valueProblem(a);
}

/** Of an attribute, or of an element or a property of one. */
function valueProblem(a: Attribute): Problem | undefined {
  if ((a.type === 'list') !== (a.items !== undefined)) {
    return problem('list and items go together', 'Give items to a list, and to nothing else.');
  }
  if ((a.type === 'object') !== (a.properties !== undefined)) {
    return problem('object and properties go together', 'Give properties to an object, and to nothing else.');
  }
  if (a.default === null && a.nullable !== true) {
    return problem('default null but not nullable', 'Add nullable: true, or give another default.');
  }
  if (a.minimum !== undefined && a.maximum !== undefined && a.minimum > a.maximum) {
    return problem('minimum is above maximum', 'Exchange them.');
  }
  if (a.badValue !== undefined && !isErrorCode(a.badValue.code)) {
    return problem(`badValue: there is no error ${a.badValue.code}`, 'Give one of ERRORS (errors.ts).');
  }
  for (const field of ['default', 'example'] as const) {
    if (a[field] !== undefined && !isOfType(a, a[field])) {
      return problem(`${field} is no value of type ${a.type}`, `Give a ${field} that a client could give.`);
    }
  }
  const unknown = (a.distinct ?? []).find((name) => a.items?.properties?.[name] === undefined);
  if (unknown !== undefined) return problem(`distinct names no property of its items: ${unknown}`, 'Correct distinct.');
  if (a.repeated !== undefined && a.items?.type !== 'object') {
    return problem('repeated is of a list of objects', 'Leave it out.');
  }
  if (a.routable === true && a.type !== 'cidr') return problem('only a cidr is routable', 'Leave it out.');
  for (const [name, { requiredUnless }] of Object.entries(a.properties ?? {})) {
    if (requiredUnless === undefined || a.properties?.[requiredUnless.attribute] !== undefined) continue;
    return within(name, problem(`requiredUnless names nothing beside it: ${requiredUnless.attribute}`, 'Correct it.'));
  }
  if (a.besides !== undefined && a.properties === undefined) {
    return problem('only an object with properties has something besides them', 'Leave out besides.');
  }
  if (a.emptyAsNull === true && a.nullable !== true) {
    return problem('empty text is null, which it is not', 'Add nullable: true, or leave out emptyAsNull.');
  }
  if (a.nullAsEmpty === true && a.type !== 'list') {
    return problem('only a list is emptied by null', 'Leave out nullAsEmpty.');
  }
  if (a.needsLength === true && (a.type !== 'cidr' || a.hostBits !== 'cleared')) {
    return problem('needsLength is of a cidr whose host bits are cleared', 'Leave it out, or add hostBits.');
  }
  if (a.filterAs === 'members' && a.items?.type !== 'string') {
    return problem('only a list of texts is filtered by its members', 'Leave out filterAs.');
  }
  const inner = [a.items, ...Object.values(a.properties ?? {})].filter((one) => one !== undefined);
  return firstProblem(inner, valueProblem);
}

function isOfType({ type, nullable, values, orInteger }: Attribute, value: unknown): boolean {
  if (value === null) return nullable === true;
  if (values !== undefined && !(values as readonly unknown[]).includes(value)) return false;
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'any') return true;
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type === 'number') return Number.isFinite(value);
  if (type === 'list') return Array.isArray(value);
  if (type === 'object' || type === 'dict') return isRecord(value);
  return typeof value === 'string' || (orInteger === true && Number.isSafeInteger(value));
}

function mentionProblem(resource: Resource, all: Attributes): Problem | undefined {
  for (const field of ['sharedBy', 'visibleThrough', 'ownedThrough'] as const) {
    const name = resource[field];
    if (name === undefined) continue;
    if (all[name] === undefined) return problem(`there is no attribute ${name}`, `Correct ${field}.`);
    if (field !== 'sharedBy' && all[name]?.reference === undefined) {
      return within(name, problem('it is no reference', `Give it one, or correct ${field}.`));
    }
  }
  const column = resource.columns?.find((name) => all[name] === undefined || resource.hidden?.[name] !== undefined);
  return column === undefined ? undefined : problem(`there is no attribute ${column}`, 'Correct columns.');
}

const KEY_TYPES: ReadonlySet<string> = new Set(['string', 'uuid', 'hostname', 'ip', 'mac']);

function keyProblem({ key = 'id', givenId, attributes, verbs }: Resource, standard: Attributes): Problem | undefined {
  const attribute = attributes[key] ?? standard[key];
  if (attribute === undefined) return problem(`there is no attribute ${key}`, 'Declare it, or name another as key.');
  if (key === 'id') return undefined;
  if (givenId === true) return problem('givenId, but its key is another', 'Leave out givenId, or key.');
  if (attributes['id'] !== undefined)
    return within('id', problem('it is not the key', 'Leave it out, or leave out key.'));
  if (!KEY_TYPES.has(attribute.type) || attribute.nullable || attribute.aliasOf !== undefined) {
    return within(key, problem('it cannot identify an object', 'Let it be text that is never null.'));
  }
  if (attribute.write === 'update' || attribute.write === 'both') {
    return within(key, problem('it identifies the object, so it stays', "Give it write: 'create'."));
  }
  if (verbs.includes('create') && attribute.type !== 'uuid' && !attribute.required) {
    return within(key, problem('nothing makes it', 'Add required: true, or let it be a uuid.'));
  }
  return undefined;
}

function impliedProblem({ implied, key = 'id', verbs, stored, standard, parent }: Resource): Problem | undefined {
  if (implied !== true) return undefined;
  if (key === 'id') return problem('implied, but its ids are made', 'Name another attribute as key.');
  if (verbs.includes('create')) return problem('implied, but created', 'Leave out create: an update makes it.');
  if (!stored || standard || parent !== undefined) {
    return problem(
      'implied, but not stored by its key alone',
      'Let it be stored, without parent and standard attributes.',
    );
  }
  return undefined;
}

function parentProblem({ parent, hidden = {}, verbs }: Resource, all: Attributes): Problem | undefined {
  if (parent === undefined) return undefined;
  const attribute = all[parent.attribute];
  if (attribute === undefined) {
    return problem(`there is no attribute ${parent.attribute}`, 'Declare what refers to the parent, shown or hidden.');
  }
  if (attribute.reference?.type !== parent.type) {
    return within(
      parent.attribute,
      problem(`it does not refer to ${parent.type}`, 'Give it a reference to the parent.'),
    );
  }
  const isHidden = hidden[parent.attribute] !== undefined;
  if (!isHidden && (attribute.write === 'update' || attribute.write === 'both')) {
    return within(parent.attribute, problem('an object stays with its parent', "Give it write: 'create'."));
  }
  if (!isHidden && verbs.includes('create') && attribute.write === undefined) {
    return within(parent.attribute, problem('a create sets it from the path', "Give it write: 'create', or hide it."));
  }
  return undefined;
}

function actionProblem(action: ActionDeclaration): Problem | undefined {
  const { name, path = name, body, bodyKey, answer, answerKey, status, method } = action;
  const bad = (text: string, remedy: string): Problem => problem(`action ${name}: ${text}`, remedy);
  if (!SNAKE.test(name)) return bad('name is not snake case', 'Write it as add_router_interface.');
  if (VERB_NAMES.has(name)) {
    return bad(`the name is taken: ${dashed(name)} is a command of every resource`, 'Give it another name.');
  }
  if (!ACTION_PATH.test(path)) return bad('path is not parts of a URL', 'Write it as activate or tags/{tag}.');
  if (/\{(id|\w+_id)\}/.test(path)) {
    return bad('a parameter has the name of an identifier', 'Name it after what it is, e.g. {router}.');
  }
  if (bodyKey !== undefined && body === undefined) return bad('bodyKey without a body', 'Declare the body.');
  if (body !== undefined && method === 'GET')
    return bad('GET has no body', 'Leave out the body, or give another method.');
  if (answerKey !== undefined && answer === undefined) return bad('answerKey without an answer', 'Declare the answer.');
  if (answer !== undefined && status === 204)
    return bad('204 has no answer', 'Leave out the answer, or give status 200.');
  const taken = firstProblem(Object.keys(body ?? {}), (attribute, _at, names) => {
    const found = ATTRIBUTE_NAME.test(attribute) ? optionProblem(attribute, names) : undefined;
    return found === undefined ? undefined : bad(`body: ${attribute}: the name is taken: ${found}`, 'Give it another.');
  });
  if (taken !== undefined) return taken;
  const values = Object.entries({ ...body, ...answer });
  return firstProblem(values, ([attribute, one]) => {
    const found = ATTRIBUTE_NAME.test(attribute) && !(attribute in {}) ? valueProblem(one) : NAME_UNUSABLE;
    return found === undefined ? undefined : bad(`${attribute}: ${found.text}`, found.remedy);
  });
}

const NAME_UNUSABLE: Problem = problem('the name cannot be used', 'Write it as fixed_ips.');

function formProblem(form: FormDeclaration, resource: Resource, all: Attributes): Problem | undefined {
  const bad = (text: string, remedy: string): Problem => problem(`form ${form.form}: ${text}`, remedy);
  const { renames = {}, omits = [], defaults = {}, also = {}, serves = [], actions = [] } = form;
  const named = nameProblem({ ...resource, ...form } as Resource);
  if (named !== undefined) return bad(named.text, named.remedy);
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(form.form)) return bad('it is not a plain word', 'Write it as v2.');
  const names = [...Object.values(renames), ...Object.values(also), ...omits, ...serves];
  const unknown = names.find((name) => all[name] === undefined);
  if (unknown !== undefined) return bad(`there is no attribute ${unknown}`, 'Name declared attributes.');
  const strange = actions.find((name) => !(resource.actions ?? []).some((one) => one.name === name));
  if (strange !== undefined) return bad(`there is no action ${strange}`, 'Name actions of the resource.');
  if (form.attributes !== undefined) return ownAttributesProblem(form.attributes, resource, bad);
  const served = servedNames(form, all);
  const twice = served.find((name, at) => served.indexOf(name) !== at);
  if (twice !== undefined) return bad(`two attributes are called ${twice}`, 'Rename or omit the other one.');
  for (const name of served) {
    const taken = filterProblem(name);
    if (taken !== undefined) return bad(`renames: ${name}: the name is taken: ${taken}`, 'Give it another name.');
  }
  const lost = [...omits].find((name) => name === (resource.key ?? 'id'));
  if (lost !== undefined) return bad(`${lost} identifies the object`, 'Rename it, or keep it.');
  const stray = Object.keys(defaults).find((name) => !served.includes(name) && !omits.includes(name));
  if (stray !== undefined) return bad(`defaults has no attribute for ${stray}`, 'Name a served or an omitted one.');
  const wrong = Object.entries(defaults).find(([name, value]) => {
    const attribute = all[renames[name] ?? name];
    return attribute !== undefined && !isOfType(attribute, value);
  });
  if (wrong !== undefined) return bad(`defaults has no value for ${wrong[0]}`, 'Give one that a client could give.');
  const creates = (form.verbs ?? resource.verbs).includes('create');
  const needed = omits.find((name) => all[name]?.required && !Object.hasOwn(defaults, name));
  if (creates && needed !== undefined) return bad(`${needed} is required but omitted`, 'Give it one of the defaults.');
  return undefined;
}

/** Of a form that has attributes of its own. */
function ownAttributesProblem(
  attributes: Attributes,
  { key = 'id' }: Resource,
  bad: (text: string, remedy: string) => Problem,
): Problem | undefined {
  if (attributes[key] === undefined) return bad(`attributes: ${key} is missing`, 'It identifies the object: name it.');
  return firstProblem(Object.entries(attributes), ([name, one]) => {
    const { aliasOf, ...rest } = one;
    if (aliasOf !== undefined && attributes[aliasOf] === undefined)
      return bad(`${name}: aliasOf names no attribute: ${aliasOf}`, 'Name an attribute of the form.');
    const found = wordProblem(name, one, attributes) ?? attributeProblem(name, rest, attributes);
    return found === undefined ? undefined : bad(`${name}: ${found.text}`, found.remedy);
  });
}

function servedNames(form: FormDeclaration, all: Attributes): readonly string[] {
  const { renames = {}, omits = [], also = {}, serves } = form;
  const renamed = new Set(Object.values(renames));
  const own = serves ?? Object.keys(all);
  const kept = own.filter((name) => !renamed.has(name) && !omits.includes(name));
  return [...kept, ...Object.keys(renames), ...Object.keys(also)];
}

function repeated<T>(items: readonly T[], nameOf: (item: T) => string, what: string): Problem | undefined {
  const names = items.map(nameOf);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  return twice === undefined ? undefined : problem(`${what} ${twice} is there twice`, 'Give each a name of its own.');
}
