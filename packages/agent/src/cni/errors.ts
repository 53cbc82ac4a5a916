/** CNI error codes: 1-99 are the specification's, 100 and up are Cable's (docs/guide/cni.md lists them). */
export const CNI_CODE = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodeFailure: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  /** The server refused: quota, no address left, a reference that is not there. */
  serverRefused: 100,
  /** The kernel refused a link, address or route. */
  kernelRefused: 101,
  /** CHECK found another state than ADD had left. */
  checkFailed: 102,
} as const;

export type CniCode = (typeof CNI_CODE)[keyof typeof CNI_CODE];

/** A failure to tell the runtime. `message` says what is wrong, naming the field; `remedy` what to do about it. */
export class CniError extends Error {
  readonly code: CniCode;
  readonly remedy: string;

  constructor(code: CniCode, message: string, remedy: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CniError';
    this.code = code;
    this.remedy = remedy;
  }
}

/** The netconf is wrong in a field. */
export function invalidConfig(field: string, problem: string, remedy: string): CniError {
  return new CniError(CNI_CODE.invalidConfig, `${field}: ${problem}`, remedy);
}

/** What is there is not what ADD had made. */
export function checkFailed(difference: string): CniError {
  return new CniError(CNI_CODE.checkFailed, `CHECK: ${difference}`, 'recreate the pod');
}
