/** What tests of protons share. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Answer, Send } from '../testing/harness.ts';

const MODELS = fileURLToPath(new URL('../../../proton/models/', import.meta.url));

export const ADMIN = { 'x-roles': 'admin', 'x-project-id': 'ops' };
export const TENANT = '7d3f5b210a9c4e8db6f71c2d3e4f5a6b';
export const OTHER = '00000000000000000000000000000002';
export const AS: { readonly 'x-roles': string; readonly 'x-project-id': string } = {
  'x-roles': 'member',
  'x-project-id': TENANT,
};
export const PORT: Readonly<Record<string, unknown>> = {
  ...{ mac_address: 'FA:16:3e:00:00:01', admin_state_up: true, status: 'DOWN', vnic_type: 'normal', mtu: 1500 },
  ...{ vlan_transparency: false, name: 'p1', tenant_id: TENANT },
};

export type File = { readonly name: string; readonly text: string };

/** The files of a model that is shipped. */
export function model(name: string): readonly File[] {
  return readdirSync(`${MODELS}${name}`).map((file) => ({
    name: `${name}/${file}`,
    text: readFileSync(`${MODELS}${name}/${file}`, 'utf8'),
  }));
}

export function install({ send }: { readonly send: Send }, files: readonly File[], more: object = {}): Promise<Answer> {
  return send('POST', '/cable/v1/protons/install', { files, ...more }, ADMIN);
}

export const V10 = `
file_version: "1.0"
imports: base/base.yaml
info: { name: shop, version: "1.0", description: Shops }
objects:
  Port: { api: { name: port, plural_name: ports }, extends: BasePort }
  Interface:
    api: { name: interface, plural_name: interfaces, parent: Port, parent_key: port_id }
    extends: BaseInterface
    attributes: { port_id: { type: Port } }
  Shop:
    api: { name: shop, plural_name: shops }
    extends: BaseService
    attributes:
      targets: { type: string, length: 255 }
      size: { type: integer, min: 1, max: 9, required: true }
  ShopBinding:
    api: { name: shopbinding, plural_name: shopbindings }
    extends: BaseServiceBinding
    attributes: { service_id: { type: Shop }, interface_id: { type: Interface } }
`;

/** With list, another name, something new, and a rule. */
export const V20 = `
file_version: "2.0"
info: { name: shop, version: "2.0", description: Shops }
imports: base/v2.yaml
objects:
  Port: { api: { name: port, plural_name: ports }, extends: BasePort }
  Interface:
    api: { name: interface, plural_name: interfaces, parent: Port, parent_key: port_id }
    extends: BaseInterface
    attributes: { port_id: { ref: { object: Port, onDelete: restrict } } }
  Shop:
    api: { name: shop, plural_name: shops, print_columns: [name, volume] }
    extends: BaseService
    attributes:
      route_targets: { type: array, items: { type: string, pattern: '^[0-9]+:[0-9]+$' }, default: [] }
      volume: { type: integer, minimum: 1, maximum: 9, required: true }
      colour: { type: string, enum: [red, green], default: red }
      code: { type: string, maxLength: 20, unique: project, nullable: true }
    rules:
      - { rule: 'volume < 9 || colour == "green"', message: a shop of 9 is green }
  ShopBinding:
    api: { name: shopbinding, plural_name: shopbindings }
    extends: BaseServiceBinding
    attributes:
      service_id: { ref: { object: Shop, onDelete: restrict } }
      interface_id: { ref: { object: Interface, onDelete: restrict } }
conversions:
  - from: "1.0"
    objects:
      Shop:
        - rename: { from: size, to: volume }
        - split: { attribute: targets, into: route_targets, separator: "," }
        - default: { attribute: colour, value: red }
        - default: { attribute: code, value: null }
`;

export const file = (text: string): readonly File[] => [{ name: 'shop.yaml', text }];
