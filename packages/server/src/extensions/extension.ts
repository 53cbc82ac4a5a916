/** What an extension is that is loaded at run time. */
import { ExpectedError } from '@cable/kit';
import {
  type AnyObject,
  CableError,
  type CableErrorDetails,
  ERRORS,
  type ErrorCode,
  type ExtensionDeclaration,
} from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Contribution } from '../engine/module.ts';
import { notFound, rowFor } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planCreate, planDelete, planUpdate } from '../engine/write.ts';
import type { RuleDefault } from '../policy/rules.ts';

/** What it brings, and what the server does for it. */
export type ServerExtension = {
  readonly declaration: ExtensionDeclaration;
  /** What types do besides their declarations, by type: its own types, and those of others. */
  readonly contributions?: Readonly<Record<string, Contribution<AnyObject>>>;
  /** Who may do what. Absent: what the declarations say. */
  readonly rules?: readonly RuleDefault[];
};

/** An extension and the file that it came from. */
export type LoadedExtension = ServerExtension & { readonly file: string };

/** What the code of an extension is given: it stands outside of the source tree, so it can import nothing of it. */
export type ExtensionTools = {
  readonly CableError: typeof CableError;
  readonly transact: typeof transact;
  readonly planCreate: typeof planCreate;
  readonly planUpdate: typeof planUpdate;
  readonly planDelete: typeof planDelete;
  readonly permittedRow: typeof permittedRow;
  readonly rowFor: typeof rowFor;
  readonly readerOf: typeof readerOf;
  readonly notFound: typeof notFound;
};

/** No compiler has read the code of an extension: a code that there is not must be told where it stands, not where the error is answered. */
class CheckedCableError extends CableError {
  constructor(code: ErrorCode, message: string, details?: CableErrorDetails) {
    if (!Object.hasOwn(ERRORS, code)) {
      throw new TypeError(
        `new CableError: there is no code ${String(code)}. The codes are those of ERRORS in packages/model/src/errors.ts, such as HTTPBadRequest and HTTPConflict.`,
      );
    }
    super(code, message, details);
  }
}

export const EXTENSION_TOOLS: ExtensionTools = {
  CableError: CheckedCableError,
  transact,
  planCreate,
  planUpdate,
  planDelete,
  permittedRow,
  rowFor,
  readerOf,
  notFound,
};

/** Extensions that cannot be loaded as they are. The message names what is wrong, the file where it is one's, and what to do. */
export class ExtensionError extends ExpectedError {
  /** The message without what names the option. */
  readonly problem: string;

  constructor(problem: string, options?: ErrorOptions) {
    super(`--extensions: ${problem}`, options);
    this.name = 'ExtensionError';
    this.problem = problem;
  }
}
