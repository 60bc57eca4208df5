import type { Operation } from '../operation';
import { FeedError, problem, problemFromGraphqlErrors, problemFromStatus } from '../problem';
import { bearerHeader, type Poll } from '../transport';

/**
 * Sends the ETag of the last successful response, to which the server responds 304 if nothing has changed. `read` returns the
 * value of a response or throws; the ETag of an error is not kept, since its 304 would pass for the previous value.
 */
export function fetchWithEtag<T>(accept: string, read: (response: Response) => Promise<T>) {
  let etag: string | null = null;
  return async (
    url: string,
    token: string | null,
    signal: AbortSignal,
  ): Promise<{ response: Response; value: T | null }> => {
    const condition = etag ? { 'if-none-match': etag } : undefined;
    const response = await fetch(url, { headers: { accept, ...bearerHeader(token), ...condition }, signal });
    if (response.status === 304) return { response, value: null };
    etag = null;
    const value = await read(response);
    etag = response.headers.get('etag');
    return { response, value };
  };
}

/** The GraphQL query by GET with an ETag, which depends on the response alone and not on the variables. */
export function polling<T>(url: string, operation: Operation<T>): Poll<T> {
  const load = fetchWithEtag('application/graphql-response+json', async (response) => {
    const isJson = response.headers.get('content-type')?.includes('json');
    const body = isJson ? await response.json() : {};
    if (body.data) return operation.extract(body.data);
    if (body.errors?.length) throw new FeedError(problemFromGraphqlErrors(body.errors));
    throw new FeedError(response.ok ? problem('network', 'invalid response') : problemFromStatus(response.status));
  });
  return async (token, signal, newest) => {
    const variables = JSON.stringify(operation.variables(newest));
    const parameters = new URLSearchParams({ query: operation.query, variables });
    return (await load(`${url}?${parameters}`, token, signal)).value;
  };
}
