/** The further forms in which the objects of a type are served. */
import type { Attribute, FormDeclaration, ParentDeclaration, ResourceModel } from './declaration.ts';
import { DeclarationError } from './declaration-checks.ts';

/**
 * Models of the further forms. A form's attributes are aliases of the declared ones: what is parsed with it has declared names, and what is shown with it the
 * form's; one that has attributes of its own has those. All have the type of the model that is stored. `served`: what is served of another type, its declared model first.
 */
export function formsOf(
  model: ResourceModel,
  served: (type: string) => readonly ResourceModel[] = () => [],
): readonly ResourceModel[] {
  return (model.forms ?? []).map((declared) => {
    const { under } = declared;
    const parents = served(under?.type ?? model.parent?.type ?? '');
    const wanted = under === undefined ? declared.form : under.form;
    const parent = parents.find((one) => one.form === wanted);
    if (under !== undefined && parent === undefined) {
      throw new DeclarationError(
        `resource ${model.type}`,
        `form ${declared.form}: there is no ${under.type} of the form ${under.form ?? 'declared'} above it`,
        'Correct under, or declare that before this.',
      );
    }
    return formOf(model, declared, parent);
  });
}

function formOf(model: ResourceModel, declared: FormDeclaration, parent: ResourceModel | undefined): ResourceModel {
  const { form, prefix, path = model.path, name = model.name, plural = model.plural, verbs = model.verbs } = declared;
  const { parent: own, forms: _forms, columns: _columns, actions, ...rest } = model;
  const under = declared.under === undefined ? own : parentOf(declared.under);
  const served = servedName(declared);
  const attributes = declared.attributes ?? servedAttributes(model, declared);
  return {
    ...rest,
    ...{ form, prefix, path, name, plural, verbs, attributes },
    key: served(model.key),
    collection: parent === undefined ? `${prefix}/${path}` : `${parent.collection}/{${parent.name}_id}/${path}`,
    ...(parent === undefined || under === undefined ? {} : { parent: under }),
    fixed: Object.fromEntries(
      Object.entries(declared.defaults ?? {}).filter(([one]) => declared.omits?.includes(one) === true),
    ),
    ...(declared.deprecated ? { deprecated: true } : {}),
    ...(declared.statuses === undefined ? {} : { statuses: declared.statuses }),
    ...(actions === undefined
      ? {}
      : { actions: actions.filter((one) => declared.actions?.includes(one.name) ?? true) }),
  };
}

function parentOf({ type, attribute }: ParentDeclaration): ParentDeclaration {
  return { type, attribute };
}

/** What an attribute with the declared name is called here. */
function servedName({ renames = {} }: FormDeclaration): (declaredName: string) => string {
  const names = new Map(Object.entries(renames).map(([served, name]) => [name, served]));
  return (name) => names.get(name) ?? name;
}

function servedAttributes(model: ResourceModel, declared: FormDeclaration): Readonly<Record<string, Attribute>> {
  const { omits = [], defaults = {}, serves, also = {} } = declared;
  const served = servedName(declared);
  const isServed = (name: string): boolean =>
    !omits.includes(name) && (serves === undefined || serves.includes(name) || name === model.key);
  const kept = Object.entries(model.attributes).filter(([name]) => isServed(name));
  const second = Object.entries(also).flatMap(([here, name]) => {
    const attribute = model.attributes[name];
    return attribute === undefined ? [] : [[here, { ...attribute, aliasOf: attribute.aliasOf ?? name }] as const];
  });
  const first = kept.map(([name, attribute]) => {
    const here = served(name);
    const { required: _required, ...optional } = attribute;
    const isGiven = Object.hasOwn(defaults, here);
    const own = isGiven ? { ...optional, default: defaults[here] } : attribute;
    return [here, here === name ? own : { ...own, aliasOf: attribute.aliasOf ?? name }] as const;
  });
  return Object.fromEntries([...first, ...second]);
}
