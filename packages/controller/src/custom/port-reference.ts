/** How spec says of which port it speaks. */
import { reference, type Schema } from './definition.ts';
import type { CustomObject, PortReference } from './work.ts';

export function portReference(description: string): Schema {
  return {
    type: 'object',
    description,
    properties: {
      pod: {
        type: 'string',
        minLength: 1,
        maxLength: 253,
        description: 'That of this pod of the namespace, whenever it is there.',
      },
      port: reference('A Port of the namespace, or name or ID of a port that its project sees.'),
      portID: { type: 'string', minLength: 36, maxLength: 36, description: 'ID of a port in Cable’s API.' },
    },
    'x-kubernetes-validations': [
      {
        rule: '(has(self.pod) ? 1 : 0) + (has(self.port) ? 1 : 0) + (has(self.portID) ? 1 : 0) == 1',
        message: 'give one of pod, port and portID',
      },
    ],
  };
}

/** Pods that these fields of spec speak of. */
export function podsIn({ spec = {} }: CustomObject, ...fields: readonly string[]): readonly string[] {
  return fields.flatMap((field) => (spec[field] as PortReference | undefined)?.pod ?? []);
}
