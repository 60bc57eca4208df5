import { Button, TextInput, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useDocumentTitle } from '../hooks/use-document-title';
import { storedToken, storeToken } from '../token';

/** Asks for the token of a server that requires one. */
export function TokenForm({ retry }: { retry: () => Promise<unknown> }) {
  useDocumentTitle('Sign in', null, null);
  const [isBusy, setBusy] = useState(false);
  const isInvalid = !isBusy && storedToken() !== null;
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    storeToken(String(new FormData(event.currentTarget).get('token')).trim());
    setBusy(true);
    await retry().catch(() => {});
    setBusy(false);
  };
  return (
    <section className="empty-state">
      <Title order={1} size="h2">
        Sign in
      </Title>
      <p>This server requires an access token.</p>
      <form className="form" onSubmit={onSubmit}>
        <TextInput
          name="token"
          type="password"
          label="Token"
          autoComplete="current-password"
          aria-invalid={isInvalid}
          required
        />
        <Button type="submit" variant="default" loading={isBusy}>
          Sign in
        </Button>
      </form>
      {isInvalid && (
        <p role="alert" className="error-text">
          Invalid token.
        </p>
      )}
      <p className="muted">The token is kept until this tab is closed.</p>
    </section>
  );
}
