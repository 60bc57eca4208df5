import { Button, TextInput, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { storedToken, storeToken } from '../token';

/** The server lets nobody in without a token. */
export function TokenForm({ retry }: { retry: () => Promise<unknown> }) {
  const [isBusy, setBusy] = useState(false);
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    storeToken(String(new FormData(event.currentTarget).get('token')).trim());
    setBusy(true);
    await retry().catch(() => {});
    setBusy(false);
  };
  return (
    <section className="empty">
      <Title order={1} size="h2">
        This server asks for a token
      </Title>
      <form className="form" onSubmit={onSubmit}>
        <TextInput name="token" type="password" label="Token" autoComplete="current-password" required />
        <Button type="submit" variant="default" loading={isBusy}>
          Show the status
        </Button>
      </form>
      <p className="dim">
        {storedToken() ? 'The one that was given is not taken. ' : ''}It is kept for as long as this tab is open.
      </p>
    </section>
  );
}
