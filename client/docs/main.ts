import SwaggerUi from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import 'swagger-ui-dist/swagger-ui.css';
import './style.css';
import { storedToken, storeToken } from '../dashboard/token';

const root = document.getElementById('root') as HTMLElement;

function authorization(): Record<string, string> {
  const token = storedToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Loads the description, which requires a token where the server does. */
async function start() {
  const response = await fetch('/api/openapi.json', { headers: authorization() });
  if (response.status === 401) return askForToken();
  if (!response.ok) return show(`The description could not be loaded: ${response.status} ${response.statusText}`);
  root.replaceChildren();
  SwaggerUi({
    domNode: root,
    spec: await response.json(),
    deepLinking: true,
    // Without it, Swagger UI sends the description to validator.swagger.io.
    validatorUrl: null,
    requestInterceptor: (request) => {
      request.headers = { ...authorization(), ...request.headers };
      return request;
    },
  });
}

function askForToken() {
  const form = document.createElement('form');
  const input = Object.assign(document.createElement('input'), { type: 'password', required: true, name: 'token' });
  const label = document.createElement('label');
  label.append('Access token', input);
  form.className = 'message';
  form.append(label, Object.assign(document.createElement('button'), { textContent: 'Sign in' }));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    storeToken(input.value.trim());
    run();
  });
  root.replaceChildren(form);
}

function show(message: string) {
  const paragraph = Object.assign(document.createElement('p'), { className: 'message', textContent: message });
  root.replaceChildren(paragraph);
}

function run() {
  start().catch((error) => show(`The description could not be loaded: ${error}`));
}

run();
