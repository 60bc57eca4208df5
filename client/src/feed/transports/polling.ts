import type { Operation } from '../operation';
import { FeedError, ofGraphqlErrors, ofStatus, problem } from '../problem';
import { bearer, type Poll } from '../transport';

/** What is asked again costs a 304 while it is the same. */
export function tagged(url: string, accept: string) {
  let tag: string | null = null;
  return async (token: string | null, signal: AbortSignal): Promise<Response> => {
    const known = tag ? { 'if-none-match': tag } : undefined;
    const response = await fetch(url, { headers: { accept, ...bearer(token), ...known }, signal });
    if (response.ok) tag = response.headers.get('etag');
    return response;
  };
}

/** The query by GET with an entity tag. */
export function polling<T>(url: string, operation: Operation<T>): Poll<T> {
  const variables = JSON.stringify(operation.variables);
  const ask = tagged(
    `${url}?${new URLSearchParams({ query: operation.query, variables })}`,
    'application/graphql-response+json',
  );
  return async (token, signal) => {
    const response = await ask(token, signal);
    if (response.status === 304) return null;
    const isAnswer = response.headers.get('content-type')?.includes('json');
    const answer = isAnswer ? await response.json() : {};
    if (answer.data) return operation.pick(answer.data);
    throw new FeedError(
      answer.errors?.length
        ? ofGraphqlErrors(answer.errors)
        : response.ok
          ? problem('network', 'no answer')
          : ofStatus(response.status),
    );
  };
}
