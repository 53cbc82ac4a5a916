import type { ResourceModel } from '@cable/model';
import { actionRule, type RuleDefault } from '../rules.ts';

/** What a declaration says about who may see and write, as rules: where there are no others. */
export function rulesOfDeclaration(
  model: ResourceModel,
  models: ReadonlyMap<string, ResourceModel>,
): readonly RuleDefault[] {
  const rule = (name: string, check: string): RuleDefault => ({
    name,
    check,
    description: `As the ${model.type} is declared.`,
  });
  const { type: name } = model;
  const owners = model.adminOnly ? 'rule:admin_only' : 'rule:admin_or_owner';
  const parts = model.ownedThrough === undefined ? '' : ` or ${ownerOf(model, model.ownedThrough)}`;
  const rules = [
    rule(`create_${name}`, model.adminOnly ? 'rule:admin_only' : 'rule:regular_user'),
    rule(`get_${name}`, `${owners}${parts}${sharedWith(model, models)}`),
    rule(`update_${name}`, owners),
    rule(`delete_${name}`, `${owners}${parts}`),
    ...(model.actions ?? []).map((action) => rule(actionRule(name, action.name), owners)),
  ];
  for (const [attribute, { writeBy, updateBy, seeBy }] of Object.entries(model.attributes)) {
    if (writeBy === 'admin') rules.push(rule(`create_${name}:${attribute}`, 'rule:admin_only'));
    if (writeBy === 'admin' || updateBy === 'admin') rules.push(rule(`update_${name}:${attribute}`, 'rule:admin_only'));
    if (seeBy === 'admin') rules.push(rule(`get_${name}:${attribute}`, 'rule:admin_only'));
  }
  return rules;
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
