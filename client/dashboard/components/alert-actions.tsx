import { Button, Group, NativeSelect, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { client } from '../apollo-client';
import { AcknowledgeDocument, type AlertFieldsFragment, SilenceDocument } from '../generated';

const AUTHOR_KEY = 'pipewatch-name';
const DURATIONS = [
  { value: '1', label: '1 hour' },
  { value: '4', label: '4 hours' },
  { value: '24', label: '1 day' },
  { value: '168', label: '1 week' },
];

type Action = 'acknowledge' | 'silence';

/** Buttons and forms to acknowledge or silence an alert. */
export function AlertActions({ alert, onChanged }: { alert: AlertFieldsFragment; onChanged: () => Promise<unknown> }) {
  const [action, setAction] = useState<Action | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const toggle = (toggled: Action) => setAction(action === toggled ? null : toggled);
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const field = (name: string) => String(form.get(name) ?? '').trim();
    const author = field('author');
    localStorage.setItem(AUTHOR_KEY, author);
    setBusy(true);
    try {
      if (action === 'acknowledge') {
        const variables = { id: alert.id, author, note: field('reason') || null };
        await client.mutate({ mutation: AcknowledgeDocument, variables });
      } else {
        const { rule, pipeline, source } = alert;
        const until = new Date(Date.now() + Number(field('hours')) * 3_600_000).toISOString();
        const variables = { rule, pipeline, source, until, author, reason: field('reason') };
        await client.mutate({ mutation: SilenceDocument, variables });
      }
      await onChanged();
      setAction(null);
      setError(null);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : 'The request failed.');
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
            aria-expanded={action === 'acknowledge'}
            onClick={() => toggle('acknowledge')}
          >
            Acknowledge
          </Button>
        )}
        <Button size="xs" variant="default" aria-expanded={action === 'silence'} onClick={() => toggle('silence')}>
          Silence
        </Button>
      </Group>
      {action && (
        <form className="form" onSubmit={onSubmit}>
          <TextInput name="author" label="Your name" defaultValue={localStorage.getItem(AUTHOR_KEY) ?? ''} required />
          <TextInput
            name="reason"
            label={action === 'silence' ? 'Reason' : 'Note (optional)'}
            required={action === 'silence'}
          />
          {action === 'silence' && <NativeSelect name="hours" label="Duration" data={DURATIONS} defaultValue="4" />}
          <Button type="submit" variant="default" loading={isBusy}>
            {action === 'silence' ? 'Create silence' : 'Acknowledge alert'}
          </Button>
        </form>
      )}
      {error && <p role="alert">{error}</p>}
    </>
  );
}
