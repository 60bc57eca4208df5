/**
 * What went wrong, by how the feed reacts:
 * - `network`: no connection, or it broke; retried
 * - `timeout`: the connection was open but silent for too long; retried
 * - `restart`: the server closed the connection to restart; retried within seconds
 * - `unauthorized`: the token was rejected; the token provider is called again
 * - `notFound`: the pipeline does not exist (yet); retried at the poll interval
 * - `fatal`: the server rejects this client's requests; not retried on this transport
 * - `unsupported`: this environment lacks an API that the transport needs
 * - `closed`: the feed was closed
 */
export type ProblemKind =
  | 'network'
  | 'timeout'
  | 'restart'
  | 'unauthorized'
  | 'notFound'
  | 'fatal'
  | 'unsupported'
  | 'closed';

export interface Problem {
  readonly kind: ProblemKind;
  readonly message: string;
  /** The close code of a WebSocket, the status code of a response, or the code of a GraphQL error. */
  readonly code?: number | string | undefined;
}

/** A {@link Problem} as `refresh()` throws it. */
export class FeedError extends Error {
  override name = 'FeedError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

export function problem(kind: ProblemKind, message: string, code?: number | string): Problem {
  return { kind, message, code };
}

/** Anything that was thrown, as a problem. */
export function problemFromError(error: unknown): Problem {
  return error instanceof FeedError
    ? error.problem
    : problem('network', error instanceof Error ? error.message : 'connection failed');
}

/** Close codes after which the same request would fail again. Only 4403 may succeed with another token. */
const FATAL_CLOSE_CODES = [4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500];

export function problemFromCloseCode(code: number, reason = ''): Problem {
  const kind =
    code === 4403 || code === 4001
      ? 'unauthorized'
      : code === 1012
        ? 'restart'
        : FATAL_CLOSE_CODES.includes(code)
          ? 'fatal'
          : 'network';
  return problem(kind, reason || `closed with code ${code}`, code);
}

/** Blocking proxies answer with nearly any status, so only a few are taken as the server's own. */
export function problemFromStatus(code: number): Problem {
  const kind = code === 401 ? 'unauthorized' : [400, 406, 415].includes(code) ? 'fatal' : 'network';
  return problem(kind, `the server responded ${code}`, code);
}

/** A GraphQL error without a code rejects the request itself, so it is fatal. */
export function problemFromGraphqlErrors(
  errors: readonly { message: string; extensions?: Record<string, unknown> }[],
): Problem {
  const code = errors[0]?.extensions?.code as string | undefined;
  const kind = code === 'PIPELINE_NOT_FOUND' ? 'notFound' : code ? 'network' : 'fatal';
  return problem(kind, errors[0]?.message ?? 'the server rejected the request', code);
}

export function pipelineNotFound(): FeedError {
  return new FeedError(problem('notFound', 'pipeline not found', 404));
}

export function streamEnded(): Problem {
  return problem('network', 'the server ended the stream');
}

export function webSocketMissing(): Problem {
  return problem('unsupported', 'WebSocket is not available');
}
