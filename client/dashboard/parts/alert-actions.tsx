import { Button, Group, NativeSelect, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { ACKNOWLEDGE, client, SILENCE } from '../apollo';
import type { AlertsQuery } from '../generated';

type Alert = AlertsQuery['open']['nodes'][number];

const NAME = 'pipewatch-name';
const HOURS = [
  { value: '1', label: 'an hour' },
  { value: '4', label: 'four hours' },
  { value: '24', label: 'a day' },
  { value: '168', label: 'a week' },
];

/** To say that one looks, and to have it quiet for a while. */
export function AlertActions({ alert, onChanged }: { alert: Alert; onChanged: () => Promise<unknown> }) {
  const [open, setOpen] = useState<'acknowledge' | 'silence' | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? '').trim();
    const author = text('author');
    localStorage.setItem(NAME, author);
    setBusy(true);
    try {
      if (open === 'acknowledge') {
        await client.mutate({
          mutation: ACKNOWLEDGE,
          variables: { id: alert.id, author, note: text('reason') || null },
        });
      } else {
        const { rule, pipeline, source } = alert;
        const until = new Date(Date.now() + Number(text('hours')) * 3_600_000).toISOString();
        await client.mutate({
          mutation: SILENCE,
          variables: { rule, pipeline, source, until, author, reason: text('reason') },
        });
      }
      await onChanged();
      setOpen(null);
      setError(null);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : 'It did not work.');
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <Group gap="xs">
        {alert.state === 'FIRING' && (
          <Button
            size="xs"
            variant="default"
            aria-expanded={open === 'acknowledge'}
            onClick={() => setOpen(open === 'acknowledge' ? null : 'acknowledge')}
          >
            Acknowledge
          </Button>
        )}
        <Button
          size="xs"
          variant="default"
          aria-expanded={open === 'silence'}
          onClick={() => setOpen(open === 'silence' ? null : 'silence')}
        >
          Silence
        </Button>
      </Group>
      {open && (
        <form className="form" onSubmit={onSubmit}>
          <TextInput name="author" label="Your name" defaultValue={localStorage.getItem(NAME) ?? ''} required />
          <TextInput name="reason" label={open === 'silence' ? 'Why' : 'Note'} required={open === 'silence'} />
          {open === 'silence' && <NativeSelect name="hours" label="For" data={HOURS} defaultValue="4" />}
          <Button type="submit" variant="default" loading={isBusy}>
            {open === 'silence' ? 'Silence it' : 'I look at it'}
          </Button>
        </form>
      )}
      {error && <p role="alert">{error}</p>}
    </>
  );
}
