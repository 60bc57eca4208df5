/**
 * What went wrong, by what is to be done about it:
 * - `network`: nothing came through, or it broke; tried again
 * - `silent`: open, and nothing was heard for too long; tried again
 * - `restart`: the server ended the connection for a restart; tried again soon
 * - `refused`: the token is not good; the provider is asked for another
 * - `missing`: there is no such pipeline (yet); asked again slowly
 * - `fatal`: the server cannot take what this client says; not tried again on this transport
 * - `unavailable`: this environment lacks what the transport needs
 */
export type ProblemKind = 'network' | 'silent' | 'restart' | 'refused' | 'missing' | 'fatal' | 'unavailable';

/** What went wrong. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly message: string;
  /** The closing code of a WebSocket, the status of a response, or the code of a GraphQL error. */
  readonly code?: number | string;
}

/** A {@link Problem} as it is thrown by `refresh()`. */
export class FeedError extends Error {
  override name = 'FeedError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

export function problem(kind: ProblemKind, message: string, code?: number | string): Problem {
  return code === undefined ? { kind, message } : { kind, message, code };
}

/** Of anything that was thrown. */
export function ofError(error: unknown): Problem {
  return error instanceof FeedError
    ? error.problem
    : problem('network', error instanceof Error ? error.message : 'no connection');
}

/** Codes with which the server says that the same again will not do: of them, only 4403 may be mended by another token. */
const FATAL = new Set([4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500]);

/** Of a WebSocket's closing code. */
export function ofClose(code: number, reason = ''): Problem {
  const kind =
    code === 4403 || code === 4001 ? 'refused' : code === 1012 ? 'restart' : FATAL.has(code) ? 'fatal' : 'network';
  return problem(kind, reason || 'the connection was closed', code);
}

/** Of the status of a response. Proxies that block answer with nearly anything, so few are taken for the server's own. */
export function ofStatus(code: number): Problem {
  const kind = code === 401 ? 'refused' : [400, 406, 415].includes(code) ? 'fatal' : 'network';
  return problem(kind, `the server answered ${code}`, code);
}

/** Of GraphQL errors. One without a code is about the request itself. */
export function ofGraphqlErrors(errors: readonly { message: string; extensions?: Record<string, unknown> }[]): Problem {
  const code = errors[0]?.extensions?.code as string | undefined;
  const kind = code === 'PIPELINE_NOT_FOUND' ? 'missing' : code ? 'network' : 'fatal';
  return problem(kind, errors[0]?.message ?? 'the server refused the request', code);
}
