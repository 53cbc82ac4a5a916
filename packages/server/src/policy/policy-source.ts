/** What the operator says about who may do what: which defaults, and a file of rules. */
import type { PolicyOptions } from './policy.ts';
import { inFile, type PolicyOverrides } from './policy-file.ts';
import { type DefaultsName, PolicyError } from './rules.ts';

/** The same value for everything that makes a policy; `overrides` is replaced when the file is read anew. */
export class PolicySource {
  readonly defaults: DefaultsName;
  overrides: PolicyOverrides | undefined;

  constructor(defaults: DefaultsName = 'secure', overrides: PolicyOverrides | undefined = undefined) {
    this.defaults = defaults;
    this.overrides = overrides;
  }

  /** The error with the place in the operator's file that it is about; else as it is. */
  explain(err: unknown, overrides: PolicyOverrides | undefined = this.overrides): unknown {
    if (!(err instanceof PolicyError) || overrides === undefined) return err;
    return inFile(err, overrides) ?? err;
  }

  /** For `createPolicy`, with the rules given instead of those that are in force. */
  options(overrides: PolicyOverrides | undefined = this.overrides): Pick<PolicyOptions, 'defaults' | 'overrides'> {
    return { defaults: this.defaults, ...(overrides === undefined ? {} : { overrides: overrides.rules }) };
  }
}
