/** Who may do what with objects of a proton, as the model's policies say. */
import type { DeclaredObject, ProtonObject, ProtonVersions } from '@cable/proton';
import { DEFAULT_RULES } from '../policy/defaults/all.ts';
import type { RuleDefault } from '../policy/rules.ts';

const KNOWN: ReadonlySet<string> = new Set(DEFAULT_RULES.map(({ name }) => name));

/** Rules that format 1.0's files name, and that Gluon had not. */
const BY_OTHER_NAMES: Readonly<Record<string, string>> = { admin: 'context_is_admin', tenant: 'owner' };

/** Who plugs ports. */
const SERVICES = 'rule:service_api';

/** What of a port says where and how it is plugged, and into what: no tenant gives it, whatever the model says. */
const BINDING: ReadonlySet<string> = new Set([
  ...['host_id', 'vif_type', 'vif_details', 'profile', 'binding', 'device_id', 'device_owner', 'status'],
]);

/** Format 1.0 has each create of a port say it: what it may be then `refuseStatus` says. */
const SAID_BY_CREATES = 'status';

/** Rules of all types. Each is about the stored version's objects, through whatever version they are asked for. */
export function rulesOf(_versions: ProtonVersions, declared: readonly DeclaredObject[]): readonly RuleDefault[] {
  return declared.flatMap(({ type, object }) => [...verbRules(type, object), ...attributeRules(type, object)]);
}

function verbRules(type: string, { name, kind, policies }: ProtonObject): readonly RuleDefault[] {
  const rule = (verb: string, check: string): RuleDefault => ({
    ...{ name: `${verb}_${type}`, check: kind === 'port' ? `(${check}) or ${SERVICES}` : check },
    description: `As the model says of ${name}.`,
  });
  const { create, get, list, update, delete: remove } = policies;
  // Who may list them sees them; what somebody may see alone he sees in lists, too.
  const seen = list === get ? named(get) : `(${named(get)}) or (${named(list)})`;
  return [
    rule('create', named(create)),
    rule('get', seen),
    rule('update', named(update)),
    rule('delete', named(remove)),
  ];
}

function attributeRules(type: string, { kind, attributes }: ProtonObject): readonly RuleDefault[] {
  const guessed = kind === 'port' ? [{ ...ID_RULE, name: `create_${type}:id` }] : [];
  const own = attributes.flatMap(({ name, policies = {} }): readonly RuleDefault[] => {
    const { read, write } = policies;
    const isBinding = kind === 'port' && BINDING.has(name);
    const writers = isBinding ? `rule:context_is_admin or ${SERVICES}` : write === undefined ? undefined : named(write);
    const description = `As the model says of the attribute ${name}.`;
    return [
      ...(writers === undefined
        ? []
        : [
            ...(isBinding && name === SAID_BY_CREATES
              ? []
              : [{ name: `create_${type}:${name}`, check: writers, description }]),
            // Who may not write it may send back what he was shown.
            { name: `update_${type}:${name}`, check: writers, description, asked: 'changed' as const },
          ]),
      ...(read === undefined ? [] : [{ name: `get_${type}:${name}`, check: named(read), description }]),
    ];
  });
  return [...guessed, ...own];
}

/** Devices are called by the first characters of an id: who chooses one could choose another's. */
const ID_RULE = { check: `rule:context_is_admin or ${SERVICES}`, description: 'Give a port an id of its own.' };

/** The text with the names that the rules have here. What is not known stays: the policy says so. */
function named(text: string): string {
  const known = text.replaceAll(/rule:([A-Za-z0-9_-]+)/g, (whole, name: string) => {
    return KNOWN.has(name) ? whole : `rule:${BY_OTHER_NAMES[name] ?? name}`;
  });
  return known.replaceAll(/tenant_id:%\(tenant_id\)s/g, 'project_id:%(project_id)s').trim();
}
