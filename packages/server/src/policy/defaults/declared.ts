import type { ResourceModel } from '@cable/model';
import { actionRule, type RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY } from './words.ts';

/** What a declaration says about who may see and write, as rules: where there are no others. */
export function rulesOfDeclaration(
  model: ResourceModel,
  models: ReadonlyMap<string, ResourceModel>,
): readonly RuleDefault[] {
  const rule = (name: string, check: string, zed: string = check): RuleDefault => ({
    ...{ name, check, zed },
    description: `As the ${model.type} is declared.`,
  });
  const { type: name, adminOnly, ownedThrough } = model;
  const owners = (verb: string, roles: string, ofPart = '', ofPartZed = ''): RuleDefault =>
    adminOnly ? rule(verb, ADMIN) : rule(verb, `${roles}${ofPart}`, `${ADMIN_OR_OWNER}${ofPartZed}`);
  const parts = (role: string): string =>
    ownedThrough === undefined ? '' : ` or ${role}${ownerOf(model, ownedThrough)}`;
  const shared = sharedWith(model, models);
  const rules = [
    adminOnly ? rule(`create_${name}`, ADMIN) : rule(`create_${name}`, ADMIN_OR_MEMBER, ANYBODY),
    owners(`get_${name}`, ADMIN_OR_READER, `${parts('role:reader and ')}${shared}`, `${parts('')}${shared}`),
    owners(`update_${name}`, ADMIN_OR_MEMBER),
    owners(`delete_${name}`, ADMIN_OR_MEMBER, parts('role:member and '), parts('')),
    ...(model.actions ?? [])
      .filter((action) => action.rule === undefined)
      .map((action) => owners(actionRule(model, action.name), ADMIN_OR_MEMBER)),
  ];
  // An action may name a rule of the type itself.
  const named = new Set(rules.map((one) => one.name));
  rules.push(...ownRulesOf(model).flatMap(([own, check]) => (named.has(own) ? [] : [rule(own, check)])));
  for (const [attribute, { writeBy, updateBy, seeBy }] of Object.entries(model.attributes)) {
    if (writeBy === 'admin') rules.push(rule(`create_${name}:${attribute}`, ADMIN));
    if (writeBy === 'admin' || updateBy === 'admin') rules.push(rule(`update_${name}:${attribute}`, ADMIN));
    if (seeBy === 'admin') rules.push(rule(`get_${name}:${attribute}`, ADMIN));
  }
  return rules;
}

/** Rules that the model's actions name themselves, and their checks: who may see the object may do what only reads, who may change it the rest. */
export function ownRulesOf(model: ResourceModel): readonly (readonly [name: string, check: string])[] {
  const own = (model.actions ?? []).filter((action) => action.rule !== undefined);
  const rules = own.map((action): [string, string] => {
    const verb = action.method === 'GET' ? 'get' : 'update';
    return [actionRule(model, action.name), `rule:${verb}_${model.type}`];
  });
  return [...new Map(rules)];
}

function ownerOf(model: ResourceModel, through: string): string {
  return `project_id:%(${model.attributes[through]?.reference?.type ?? ''}:project_id)s`;
}

function sharedWith(model: ResourceModel, models: ReadonlyMap<string, ResourceModel>): string {
  const own = model.sharedBy === undefined ? '' : ` or True:%(${model.sharedBy})s`;
  const type = model.visibleThrough === undefined ? undefined : model.attributes[model.visibleThrough]?.reference?.type;
  const parents = type === undefined ? undefined : models.get(type)?.sharedBy;
  return parents === undefined ? own : `${own} or True:%(${type}:${parents})s`;
}
